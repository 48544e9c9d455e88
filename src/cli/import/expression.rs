//! Texts of CEL: strings, and the ways to what whoami tells.

/// A text as a string of CEL.
pub(super) fn string(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// The way to a value of whoami's answer, which is `session` here.
pub(super) fn of_session(way: &[String]) -> String {
    let (root, rest) = match way.split_first() {
        Some((first, rest)) if first == "identity" => ("identity", rest),
        _ => ("session", way),
    };
    of_root(root, rest)
}

/// The way from a root on.
pub(super) fn of_root(root: &str, way: &[String]) -> String {
    let mut expression = root.to_owned();
    for name in way {
        let is_name = !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && !matches!(name.as_str(), "in" | "true" | "false" | "null" | "as" | "if" | "for" | "while" | "return");
        if is_name {
            expression.push_str(&format!(".{name}"));
        } else if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit()) {
            expression.push_str(&format!("[{name}]"));
        } else {
            expression.push_str(&format!("[{}]", string(name)));
        }
    }
    expression
}
