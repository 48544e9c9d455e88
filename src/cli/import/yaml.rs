//! Writing YAML that people read: plain where it can be, quoted where it must be.

/// A text as a value that nothing expands: `${` is written `$${`.
pub(super) fn value(text: &str) -> String {
    scalar(&text.replace("${", "$${"))
}

/// A text as it is.
pub(super) fn scalar(text: &str) -> String {
    let is_plain = !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-:*".contains(&byte))
        && !text.starts_with(['*', '-', ':'])
        && !text.ends_with(':')
        && text.bytes().any(|byte| byte.is_ascii_alphabetic() || byte == b'/')
        && !["true", "false", "null", "yes", "no", "on", "off"].contains(&text.to_ascii_lowercase().as_str());
    if is_plain {
        text.to_owned()
    } else if text.chars().any(|c| c.is_control() || matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}')) {
        // JSON's strings are YAML's.
        let mut quoted = String::from("\"");
        for c in text.chars() {
            match c {
                '"' | '\\' => quoted.extend(['\\', c]),
                c if c.is_control() || !c.is_ascii() && u32::from(c) < 0x1_0000 => {
                    quoted.push_str(&format!("\\u{:04x}", u32::from(c)));
                }
                c => quoted.push(c),
            }
        }
        quoted + "\""
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

/// A list in one line.
pub(super) fn list<T: AsRef<str>>(items: &[T]) -> String {
    // Within brackets more characters have a meaning; quotes are safe anywhere.
    let items = items.iter().map(|item| {
        let text = value(item.as_ref());
        if text.contains([':', '*']) && !text.starts_with(['\'', '"']) { format!("'{text}'") } else { text }
    });
    format!("[{}]", items.collect::<Vec<_>>().join(", "))
}

/// A document whose texts stand as they are, each line `indent` blanks in; a mapping or a list.
pub(super) fn block(document: &serde_json::Value, indent: usize) -> String {
    use serde_json::Value;
    let blanks = " ".repeat(indent);
    match document {
        Value::Object(entries) if !entries.is_empty() => entries
            .iter()
            .map(|(key, value)| format!("{blanks}{}:{}", scalar(key), behind(value, indent + 2)))
            .collect(),
        Value::Array(items) if !items.is_empty() => items
            .iter()
            .map(|item| match item {
                Value::Object(entries) if !entries.is_empty() => {
                    let block = block(item, indent + 2);
                    format!("{blanks}- {}", block.trim_start())
                }
                item => format!("{blanks}-{}", behind(item, indent + 2)),
            })
            .collect(),
        other => format!("{blanks}{}\n", flat(other)),
    }
}

/// What stands behind a key or a dash.
fn behind(value: &serde_json::Value, indent: usize) -> String {
    use serde_json::Value;
    match value {
        Value::Object(entries) if !entries.is_empty() => format!("\n{}", block(value, indent)),
        Value::Array(items) if items.iter().all(|item| !item.is_array() && !item.is_object()) => {
            format!(" [{}]\n", items.iter().map(flat).collect::<Vec<_>>().join(", "))
        }
        Value::Array(_) => format!("\n{}", block(value, indent)),
        other => format!(" {}\n", flat(other)),
    }
}

fn flat(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => {
            let text = scalar(text);
            // Within brackets more characters have a meaning; quotes are safe anywhere.
            if text.contains([':', '*']) && !text.starts_with(['\'', '"']) { format!("'{text}'") } else { text }
        }
        other => other.to_string(),
    }
}

/// A text in one line, for a comment.
pub(super) fn comment(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') { ' ' } else { c }).collect()
}
