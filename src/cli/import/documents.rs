//! Go templates that make JSON, such as claims and payloads, as documents with holes.

use serde_json::{Map, Value};

use super::template::{Named, template};
use crate::decision::template::{Part, Template};

/// Marks where an action stood; no text of a configuration has it.
const MARK: char = '\u{1}';

/// What stood in double braces.
struct Action {
    go: String,
    /// It stood within quotes, so that whatever it gives is a text.
    is_text: bool,
}

/// Translates a template of a JSON document; texts of the result are such as our configuration takes.
pub(super) fn document(text: &str, named: &Named) -> Result<Value, String> {
    let mut plain = String::new();
    let mut actions = Vec::new();
    let mut is_within = false;
    let mut rest = text;
    loop {
        let next = rest.find("{{");
        let (before, after) = rest.split_at(next.unwrap_or(rest.len()));
        let mut escaped = false;
        for c in before.chars() {
            match c {
                _ if std::mem::take(&mut escaped) => {}
                '\\' if is_within => escaped = true,
                '"' => is_within = !is_within,
                _ => {}
            }
        }
        plain.push_str(before);
        if next.is_none() {
            break;
        }
        let end = after.find("}}").ok_or("`{{` is not closed")?;
        actions.push(Action { go: after[..end + 2].to_owned(), is_text: is_within });
        // Within a string an action is a part of it, elsewhere it is a value.
        let mark = format!("{MARK}{}{MARK}", actions.len() - 1);
        let mark = mark.replace(MARK, "\\u0001");
        plain.push_str(&if is_within { mark } else { format!("\"{mark}\"") });
        rest = &after[end + 2..];
    }
    let document = serde_json::from_str::<Value>(&plain)
        .map_err(|error| format!("it makes no JSON that can be read before it is filled: {error}"))?;
    filled(document, &actions, named)
}

fn filled(value: Value, actions: &[Action], named: &Named) -> Result<Value, String> {
    Ok(match value {
        Value::Array(items) => {
            Value::Array(items.into_iter().map(|item| filled(item, actions, named)).collect::<Result<_, _>>()?)
        }
        Value::Object(entries) => {
            let entry = |(key, value): (String, Value)| {
                if key.contains(MARK) {
                    return Err("a template makes the name of a field".to_owned());
                }
                Ok((key, filled(value, actions, named)?))
            };
            Value::Object(entries.into_iter().map(entry).collect::<Result<Map<_, _>, _>>()?)
        }
        Value::String(text) => {
            let (mut go, mut is_text) = (String::new(), false);
            for (number, piece) in text.split(MARK).enumerate() {
                match number % 2 {
                    0 => go.push_str(piece),
                    _ => {
                        let action = piece.parse::<usize>().ok().and_then(|at| actions.get(at)).ok_or("it is odd")?;
                        go.push_str(&action.go);
                        is_text |= action.is_text && action.go.contains(".Extra");
                    }
                }
            }
            let value = template(&go, named)?;
            Value::String(if is_text { as_text(&value).unwrap_or(value) } else { value })
        }
        other => other,
    })
}

/// A hole that is all of a text keeps what it finds as it is, so a number there must be made a text.
fn as_text(value: &str) -> Option<String> {
    match Template::parse(value).ok()?.parts() {
        [Part::Hole(_)] => Some(format!("${{string({})}}", value.strip_prefix("${")?.strip_suffix('}')?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn named() -> Named {
        let way = |path: &str| Some(path.split('.').filter(|name| !name.is_empty()).map(str::to_owned).collect());
        Named::session(way("identity.id"), way(""), None)
    }

    #[test]
    fn templates_of_json_become_documents_with_holes() {
        for (text, expected) in [
            ("{}", json!({})),
            (
                "{\n \"session\": {{ .Extra | toJson }}, \"n\": 3, \"ok\": true }\n",
                json!({ "session": "${session}", "n": 3, "ok": true }),
            ),
            (
                r#"{"aud": ["a", "{{ print .Subject }}"], "mail": "<{{ .Extra.identity.traits.email }}>"}"#,
                json!({ "aud": ["a", "${identity.id}"], "mail": "<${identity.traits.email}>" }),
            ),
            (
                r#"{"mail": "{{ .Extra.identity.traits.email }}", "age": {{ .Extra.identity.traits.age }}}"#,
                json!({ "mail": "${string(identity.traits.email)}", "age": "${identity.traits.age}" }),
            ),
            (r#"{"a": "\"{{ .Subject }}\" costs ${5}"}"#, json!({ "a": "\"${identity.id}\" costs $${5}" })),
        ] {
            assert_eq!(document(text, &named()), Ok(expected), "{text}");
        }
        for text in ["{{ if .Subject }}{}{{ end }}", "{\"a\": }", "{\"{{ .Subject }}\": 1}", "{\"a\": \"{{ .X", "a"] {
            assert!(document(text, &named()).is_err(), "{text}");
        }
    }
}
