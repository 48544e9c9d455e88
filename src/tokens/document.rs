//! JSON that says who somebody is, read strictly: whatever two parsers could read in two ways is none.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// How deep claims may nest. Those of real issuers nest three or four levels.
const MAX_DEPTH: usize = 16;

/// An object with no name twice, on any level, that nests no deeper than it may.
pub(super) fn object(bytes: &[u8]) -> Option<Map<String, Value>> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { levels: MAX_DEPTH }.deserialize(&mut reader).ok()?;
    reader.end().ok()?;
    match value {
        Value::Object(fields) => Some(fields),
        Value::Array(_) | Value::Bool(_) | Value::Null | Value::Number(_) | Value::String(_) => None,
    }
}

/// A value with so many levels of lists and objects at most.
#[derive(Clone, Copy)]
struct Strict {
    levels: usize,
}

impl Strict {
    fn inner<E: Error>(self) -> Result<Self, E> {
        let levels = self.levels.checked_sub(1).ok_or_else(|| E::custom("it nests too deep"))?;
        Ok(Self { levels })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number that is none"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut items = Vec::new();
        while let Some(item) = list.next_element_seed(inner)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut fields = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            let value = map.next_value_seed(inner)?;
            // Parsers differ in which of two they take.
            if fields.insert(name, value).is_some() {
                return Err(A::Error::custom("a name is given twice"));
            }
        }
        Ok(Value::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_be_read_in_two_ways_is_no_document() {
        let nested = |levels: usize| format!("{}{{}}{}", "{\"a\":".repeat(levels - 1), "}".repeat(levels - 1));
        let lists = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1));
        for (text, is_read) in [
            (r#"{"sub":"ann","exp":1,"n":-1.5,"ok":true,"no":null,"l":[1,"2"]}"#.to_owned(), true),
            ("{}".to_owned(), true),
            (r#"{"sub":"ann","sub":"bob"}"#.to_owned(), false),
            (r#"{"sub":"ann","s\u0075b":"bob"}"#.to_owned(), false),
            (r#"{"a":{"b":1,"b":2}}"#.to_owned(), false),
            (r#"{"a":[{"b":1,"b":1}]}"#.to_owned(), false),
            ("[]".to_owned(), false),
            ("\"{}\"".to_owned(), false),
            ("{} {}".to_owned(), false),
            (r#"{"a":1e999}"#.to_owned(), false),
            (r#"{"a":NaN}"#.to_owned(), false),
            (nested(MAX_DEPTH), true),
            (nested(MAX_DEPTH + 1), false),
            (lists(MAX_DEPTH), true),
            (lists(MAX_DEPTH + 1), false),
            (nested(100_000), false),
        ] {
            assert_eq!(object(text.as_bytes()).is_some(), is_read, "{}", &text[..text.len().min(80)]);
        }
        assert!(object(b"{\"a\":\"\xff\"}").is_none());
    }
}
