//! Documents with holes, such as the claims of a token: YAML whose texts may hold expressions.

use cel::Value;

use crate::config::decode::Decoder;
use crate::config::headers::characters;
use crate::config::node::{Kind, Node};
use crate::decision::payload::Payload;
use crate::decision::template::{Template, TemplateError};

/// Reads a document. `true`, `false`, `null` and numbers are themselves unless they are quoted.
pub(crate) fn payload(decoder: &mut Decoder<'_>, node: &Node) -> Option<Payload> {
    match &node.kind {
        Kind::Empty => Some(Payload::Fixed(Value::Null)),
        Kind::List(items) => {
            // All of them are read, for each may have faults of its own.
            let items = items.iter().map(|item| payload(decoder, item)).collect::<Vec<_>>();
            items.into_iter().collect::<Option<_>>().map(Payload::List)
        }
        Kind::Map(_) => map(decoder, node).map(Payload::Map),
        Kind::Scalar(scalar) => match fixed(&scalar.text).filter(|_| scalar.plain) {
            Some(value) => Some(Payload::Fixed(value)),
            None => template(decoder, node).map(Payload::Text),
        },
    }
}

/// Reads a document that is a mapping.
pub(crate) fn map(decoder: &mut Decoder<'_>, node: &Node) -> Option<Vec<(Box<str>, Payload)>> {
    let entries = decoder.entries(node)?;
    let entries = entries.iter().map(|entry| Some((entry.key.clone(), payload(decoder, &entry.value)?)));
    entries.collect::<Vec<_>>().into_iter().collect()
}

/// Reads a text with holes.
pub(crate) fn template(decoder: &mut Decoder<'_>, node: &Node) -> Option<Template> {
    let scalar = decoder.scalar(node)?;
    match Template::parse(&scalar.text) {
        Ok(template) => Some(template),
        Err(error) => {
            let mark = match (&error, scalar.offset) {
                (TemplateError::Hole { at, error, .. }, Some(offset)) => {
                    node.mark.right(offset + characters(&scalar.text, at + error.offset()))
                }
                (
                    TemplateError::ControlCharacter
                    | TemplateError::Cookie(_)
                    | TemplateError::Name(_)
                    | TemplateError::Unclosed,
                    _,
                )
                | (TemplateError::Hole { .. }, None) => node.mark,
            };
            decoder.report.fault(mark, error.to_string());
            None
        }
    }
}

fn fixed(text: &str) -> Option<Value> {
    match text {
        "true" => Some(Value::Bool(true)),
        "false" => Some(Value::Bool(false)),
        _ => match text.parse::<i64>() {
            Ok(number) => Some(Value::Int(number)),
            // Words such as `inf` are numbers to Rust and to nobody else.
            Err(_) if text.starts_with(|c: char| c.is_ascii_digit() || c == '-') => text.parse().ok().map(Value::Float),
            Err(_) => None,
        },
    }
}
