//! JSON from elsewhere as values that expressions can read.

use std::collections::HashMap;
use std::sync::Arc;

use cel::Value;
use cel::objects::{Key, Map};

/// Longer lists and maps are not told to expressions: a condition that reads one does not hold. Others decide how long
/// they are, and loops over them cost time.
const MAX_ITEMS: usize = 1000;

/// Whole numbers become integers whatever their sign, so that `level == 3` means what it says.
pub(crate) fn value(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(flag) => Value::Bool(*flag),
        serde_json::Value::Number(number) => number
            .as_i64()
            .map(Value::Int)
            .or_else(|| number.as_u64().map(Value::UInt))
            .or_else(|| number.as_f64().map(Value::Float))
            .unwrap_or(Value::Null),
        serde_json::Value::String(text) => Value::String(Arc::new(text.clone())),
        serde_json::Value::Array(items) if items.len() > MAX_ITEMS => Value::Null,
        serde_json::Value::Object(fields) if fields.len() > MAX_ITEMS => Value::Null,
        serde_json::Value::Array(items) => Value::List(Arc::new(items.iter().map(value).collect())),
        serde_json::Value::Object(fields) => {
            let map = fields.iter().map(|(name, field)| (Key::String(Arc::new(name.clone())), value(field)));
            Value::Map(Map { map: Arc::new(map.collect::<HashMap<_, _>>()) })
        }
    }
}
