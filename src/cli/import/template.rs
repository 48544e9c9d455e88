//! Go templates of headers, as text with holes.

use super::expression::{of_session, string};
use crate::decision::template::HeaderTemplate;

/// Who is behind a request of a rule, as templates name them.
#[derive(Clone, Debug)]
pub(super) enum Named {
    /// Always this subject.
    Constant(String),
    Session {
        /// The way to the subject in whoami's answer.
        subject: Option<Vec<String>>,
        /// The way to what templates call `.Extra`.
        extra: Option<Vec<String>>,
        /// The subject of those without a session, where they may pass.
        anonymous: Option<String>,
    },
}

/// Translates a template; the value is one that our configuration takes.
pub(super) fn header(name: &str, template: &str, named: &Named) -> Result<String, String> {
    let mut value = String::new();
    let mut rest = template;
    while let Some(start) = rest.find("{{") {
        let (text, after) = rest.split_at(start);
        let end = after.find("}}").ok_or("`{{` is not closed")?;
        let mut action = &after[2..end];
        let mut text = text;
        rest = &after[end + 2..];
        // A dash beside the braces eats the blanks next to it.
        if let Some(trimmed) = action.strip_prefix("- ") {
            (action, text) = (trimmed, text.trim_end());
        }
        if let Some(trimmed) = action.strip_suffix(" -") {
            (action, rest) = (trimmed, rest.trim_start());
        }
        value.push_str(&literal(text));
        value.push_str(&hole(action.trim(), named)?);
    }
    value.push_str(&literal(rest));
    HeaderTemplate::parse(name, &value).map(|_| value.clone()).map_err(|error| error.to_string())
}

fn literal(text: &str) -> String {
    text.replace("${", "$${")
}

/// Whether a template reads what the URL captured.
pub(super) fn captures(template: &str) -> bool {
    template.contains("RegexpCaptureGroups")
}

fn hole(action: &str, named: &Named) -> Result<String, String> {
    let unknown = || format!("`{{{{ {action} }}}}` is more than can be said in a hole");
    let words = words(action).ok_or_else(unknown)?;
    let words = words.iter().map(String::as_str).collect::<Vec<_>>();
    let words = match words.as_slice() {
        [rest @ .., "|", "toString" | "print"] => rest,
        all => all,
    };
    let words = match words {
        ["print", rest @ ..] | ["printf", "\"%s\"" | "\"%v\"", rest @ ..] => rest,
        all => all,
    };
    match words {
        [".Subject"] => subject(named),
        [".Extra"] | [".Extra", "|", "toJson"] | ["toJson", ".Extra"] => extra(named, &[]),
        [one] if one.starts_with(".Extra.") => {
            extra(named, &one[".Extra.".len()..].split('.').map(str::to_owned).collect::<Vec<_>>())
        }
        ["index", ".Extra", names @ ..] if !names.is_empty() => {
            let names = names.iter().map(|name| unquoted(name)).collect::<Option<Vec<_>>>().ok_or_else(unknown)?;
            extra(named, &names)
        }
        [".MatchContext.Method"] => Ok("${request.method}".to_owned()),
        [".MatchContext.URL.Path"] => Ok("${request.path}".to_owned()),
        [".MatchContext.URL.Host"] => Ok("${request.host}".to_owned()),
        [".MatchContext.URL.RawQuery"] => Ok("${request.query}".to_owned()),
        [".MatchContext.Header.Get" | "(.MatchContext.Header.Get", name] => {
            let name = unquoted(name.trim_end_matches(')')).ok_or_else(unknown)?.to_ascii_lowercase();
            Ok(format!("${{request.headers[{}]}}", string(&name)))
        }
        ["printIndex" | "index", ".MatchContext.RegexpCaptureGroups", number] => {
            let number = number.parse::<usize>().map_err(|_| unknown())?;
            Ok(format!("${{request.captures.cap{number}}}"))
        }
        [one] => Ok(literal(&unquoted(one).ok_or_else(unknown)?)),
        _ => Err(unknown()),
    }
}

fn subject(named: &Named) -> Result<String, String> {
    match named {
        Named::Constant(subject) => Ok(literal(subject)),
        Named::Session { subject: None, .. } => Err("its `subject_from` is no plain path".to_owned()),
        Named::Session { subject: Some(way), anonymous: None, .. } => Ok(format!("${{{}}}", of_session(way))),
        Named::Session { subject: Some(way), anonymous: Some(name), .. } => {
            Ok(format!("${{session == null ? {} : {}}}", string(name), of_session(way)))
        }
    }
}

fn extra(named: &Named, names: &[String]) -> Result<String, String> {
    match named {
        Named::Constant(_) => Err("without a session `.Extra` is empty".to_owned()),
        Named::Session { extra: None, .. } => Err("its `extra_from` is no plain path".to_owned()),
        Named::Session { extra: Some(way), .. } => Ok(format!("${{{}}}", of_session(&[way, names].concat()))),
    }
}

/// The words of an action; a text in quotes is one, and a pipe is.
fn words(action: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut rest = action.trim_start();
    while let Some(first) = rest.chars().next() {
        let end = match first {
            '"' => {
                let mut escaped = false;
                let close = rest.char_indices().skip(1).find(|(_, c)| match c {
                    _ if std::mem::take(&mut escaped) => false,
                    '\\' => {
                        escaped = true;
                        false
                    }
                    c => *c == '"',
                });
                close?.0 + 1
            }
            '`' => rest[1..].find('`')? + 2,
            '|' => 1,
            _ => rest.find([' ', '\t', '\n', '|', '"']).unwrap_or(rest.len()),
        };
        words.push(rest[..end].to_owned());
        rest = rest[end..].trim_start();
    }
    Some(words)
}

/// A text of Go without its quotes; escapes are those of JSON, as far as templates use any.
fn unquoted(word: &str) -> Option<String> {
    match word.strip_prefix('`').and_then(|rest| rest.strip_suffix('`')) {
        Some(raw) => Some(raw.to_owned()),
        None => serde_json::from_str::<String>(word).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(path: &str) -> Option<Vec<String>> {
        Some(path.split('.').filter(|name| !name.is_empty()).map(str::to_owned).collect())
    }

    fn named(anonymous: Option<&str>) -> Named {
        Named::Session { subject: way("identity.id"), extra: way(""), anonymous: anonymous.map(str::to_owned) }
    }

    #[test]
    fn templates_become_holes() {
        for (template, expected) in [
            ("{{ print .Subject }}", "${identity.id}"),
            ("{{.Subject}}", "${identity.id}"),
            ("{{ print .Extra.identity.traits.email }}", "${identity.traits.email}"),
            ("{{ .Extra.authenticated_at }}", "${session.authenticated_at}"),
            ("{{ .Extra | toJson }}", "${session}"),
            ("{{ index .Extra \"identity\" \"traits\" \"x-y\" }}", "${identity.traits[\"x-y\"]}"),
            ("{{ printIndex .MatchContext.RegexpCaptureGroups 1 }}", "${request.captures.cap1}"),
            ("{{ index .MatchContext.RegexpCaptureGroups 0 }}", "${request.captures.cap0}"),
            ("{{ .MatchContext.Header.Get \"X-Tenant\" }}", "${request.headers[\"x-tenant\"]}"),
            ("a {{- print \"b\" -}} c", "abc"),
            ("costs ${5}", "costs $${5}"),
            ("plain", "plain"),
        ] {
            assert_eq!(header("X-A", template, &named(None)).as_deref(), Ok(expected), "{template}");
        }
        assert_eq!(
            header("X-A", "{{ .Subject }}", &named(Some("guest"))).as_deref(),
            Ok("${session == null ? \"guest\" : identity.id}")
        );
        assert_eq!(header("X-A", "{{ .Subject }}", &Named::Constant("guest".to_owned())).as_deref(), Ok("guest"));
    }

    #[test]
    fn what_a_hole_cannot_say_is_refused() {
        for template in [
            "{{ if .Subject }}x{{ end }}",
            "{{ .Extra.identity.metadata_admin.x }}",
            "{{ .Subject",
            "{{ .Subject | upper }}",
            "{{ range .Extra }}",
        ] {
            assert!(header("X-A", template, &named(None)).is_err(), "{template}");
        }
        assert!(header("X-A", "{{ .Extra.a }}", &Named::Constant(String::new())).is_err());
    }
}
