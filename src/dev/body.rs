//! Parses what forms and programs submit, JSON or form-urlencoded, into one shape.

use serde_json::Map;
use serde_json::Value;
use url::form_urlencoded;

/// Dots in a form name nest objects. A client needs two levels; more than this is somebody's attack on the stack.
const DEEPEST_NAME: usize = 8;

/// The submitted fields.
#[derive(Debug, Default, Clone)]
pub(super) struct Body(Map<String, Value>);

impl Body {
    /// Reads `bytes` as its content type says. The error is the reason a client is shown.
    pub(super) fn parse(content_type: &str, bytes: &[u8]) -> Result<Self, String> {
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        if media_type.eq_ignore_ascii_case("application/json") {
            match serde_json::from_slice(bytes) {
                Ok(Value::Object(fields)) => Ok(Self(fields)),
                Ok(_) => Err("Unable to decode HTTP Request Body: a JSON object is required".to_owned()),
                Err(error) => Err(format!("Unable to decode HTTP Request Body as JSON: {error}")),
            }
        } else if media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            Ok(Self::from_form(bytes))
        } else {
            Err(format!(
                "Unable to decode HTTP Request Body because its HTTP Header \"Content-Type\" is \"{media_type}\" but \
                 only [application/json application/x-www-form-urlencoded] is supported"
            ))
        }
    }

    /// Form fields, or a query string: `traits.name.first=Ann` becomes nested objects.
    pub(super) fn from_form(bytes: &[u8]) -> Self {
        let mut fields = Map::new();
        for (name, value) in form_urlencoded::parse(bytes) {
            let path: Vec<&str> = name.split('.').collect();
            if path.len() <= DEEPEST_NAME {
                place(&mut fields, &path, value.into_owned());
            }
        }
        Self(fields)
    }

    pub(super) fn field(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// The text of a field; empty text counts as absent, since browsers send every input of a form.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    /// Whether a field says yes: `true`, or what a button or checkbox sends.
    pub(super) fn flag(&self, name: &str) -> bool {
        match self.0.get(name) {
            Some(Value::Bool(yes)) => *yes,
            Some(Value::String(text)) => matches!(text.as_str(), "true" | "1" | "on"),
            _ => false,
        }
    }
}

/// Puts `value` at `path`; the later of two contradicting fields wins.
fn place(fields: &mut Map<String, Value>, path: &[&str], value: String) {
    match path {
        [] => {}
        [last] => {
            fields.insert((*last).to_owned(), Value::String(value));
        }
        [first, rest @ ..] => {
            let entry = fields.entry(*first).or_insert_with(|| Value::Object(Map::new()));
            if !entry.is_object() {
                *entry = Value::Object(Map::new());
            }
            if let Value::Object(inner) = entry {
                place(inner, rest, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn dotted_form_names_nest() {
        let body = Body::from_form(b"traits.email=a%40b.c&traits.name.first=Ann&method=password&empty=");
        assert_eq!(body.field("traits"), Some(&json!({ "email": "a@b.c", "name": { "first": "Ann" } })));
        assert_eq!(body.text("method"), Some("password"));
        assert_eq!(body.text("empty"), None);
    }

    #[test]
    fn contradicting_form_names_keep_the_later_one() {
        let body = Body::from_form(b"a=1&a.b=2");
        assert_eq!(body.field("a"), Some(&json!({ "b": "2" })));
    }

    #[test]
    fn only_objects_of_a_known_content_type_are_bodies() {
        for (content_type, bytes) in
            [("application/json", "[1]"), ("application/json", "{"), ("", "a=b"), ("text/plain", "a=b")]
        {
            assert!(Body::parse(content_type, bytes.as_bytes()).is_err(), "{content_type} {bytes}");
        }
        assert!(Body::parse("application/json; charset=utf-8", b"{}").is_ok());
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512), json in any::<bool>()) {
            let content_type = if json { "application/json" } else { "application/x-www-form-urlencoded" };
            let _ = Body::parse(content_type, &bytes);
        }

        #[test]
        fn no_form_names_make_the_parser_panic(text in "[a.=&%]{0,200}") {
            let _ = Body::from_form(text.as_bytes());
        }
    }
}
