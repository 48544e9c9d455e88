//! Go templates of headers, as text with holes.

use super::expression::{of_root, of_session, string};
use crate::decision::template::{HeaderTemplate, Template};

/// Who is behind a request of a rule, as templates name them.
#[derive(Clone, Debug, Default)]
pub(super) struct Named {
    session: Option<Ways>,
    /// A token may say who asks, and there is what it calls `.Extra`.
    token: Option<Extra>,
    /// What those are called that bring nothing, where they may pass.
    unnamed: Option<String>,
    /// The hydrator that told last; its word stands in place of whoami's.
    hydrated: Option<String>,
}

/// What `.Extra` is of a token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Extra {
    Claims,
    /// `ext`, and some of the answer's own fields.
    OfIntrospection,
    /// Tokens of both kinds are taken.
    Unclear,
}

/// The ways to what templates call `.Subject` and `.Extra` in whoami's answer; absent where they cannot be said.
#[derive(Clone, Debug)]
struct Ways {
    subject: Option<Vec<String>>,
    extra: Option<Vec<String>>,
}

impl Named {
    pub(super) fn constant(subject: String) -> Self {
        Self { unnamed: Some(subject), ..Self::default() }
    }

    pub(super) fn session(subject: Option<Vec<String>>, extra: Option<Vec<String>>, unnamed: Option<String>) -> Self {
        Self { session: Some(Ways { subject, extra }), unnamed, ..Self::default() }
    }

    #[must_use]
    pub(super) fn or_token(self, extra: Extra) -> Self {
        Self { token: Some(extra), ..self }
    }

    #[must_use]
    pub(super) fn hydrated(self, name: &str) -> Self {
        Self { hydrated: Some(name.to_owned()), ..self }
    }

    /// What everybody is called, where nobody is asked who asks.
    pub(super) fn only_name(&self) -> Option<&str> {
        if self.session.is_none() && self.token.is_none() {
            Some(self.unnamed.as_deref().unwrap_or_default())
        } else {
            None
        }
    }

    /// The subject as a hole, or as what it always is.
    pub(super) fn subject_hole(&self) -> Result<String, String> {
        match (&self.session, self.token.is_some(), &self.unnamed) {
            (None, false, unnamed) => Ok(literal(unnamed.as_deref().unwrap_or_default())),
            (Some(Ways { subject: None, .. }), ..) => Err("its `subject_from` is no plain path".to_owned()),
            (None, true, _) => Ok("${subject}".to_owned()),
            (Some(Ways { subject: Some(way), .. }), true, _) if *way == ["identity", "id"] => {
                Ok("${subject}".to_owned())
            }
            (Some(Ways { subject: Some(way), .. }), true, _) => {
                Ok(format!("${{session != null ? {} : subject}}", of_session(way)))
            }
            (Some(Ways { subject: Some(way), .. }), false, None) => Ok(format!("${{{}}}", of_session(way))),
            (Some(Ways { subject: Some(way), .. }), false, Some(name)) => {
                Ok(format!("${{session == null ? {} : {}}}", string(name), of_session(way)))
            }
        }
    }

    /// What templates call `.Extra`, or a part of it, as a hole.
    pub(super) fn extra_hole(&self, names: &[String]) -> Result<String, String> {
        if let Some(hydrator) = &self.hydrated {
            let way = [hydrator.clone(), "extra".to_owned()].into_iter().chain(names.iter().cloned());
            return Ok(format!("${{{}}}", of_root("context", &way.collect::<Vec<_>>())));
        }
        let way = match &self.session {
            Some(Ways { extra: None, .. }) => return Err("its `extra_from` is no plain path".to_owned()),
            Some(Ways { extra: Some(way), .. }) => Some(of_session(&[way.as_slice(), names].concat())),
            None => None,
        };
        let claim = |extra| match (extra, names.first().map(String::as_str)) {
            (Extra::Claims, _) | (Extra::OfIntrospection, Some("aud" | "client_id" | "scope" | "username")) => {
                Ok(of_root("claims", names))
            }
            (Extra::OfIntrospection, _) => Ok(of_root("claims", &[&["ext".to_owned()], names].concat())),
            (Extra::Unclear, _) => Err("`jwt` and `oauth2_introspection` tell `.Extra` in different places".to_owned()),
        };
        match (way, self.token) {
            (None, None) => Err("without a session `.Extra` is empty".to_owned()),
            (None, Some(extra)) => Ok(format!("${{{}}}", claim(extra)?)),
            (Some(way), None) => Ok(format!("${{{way}}}")),
            (Some(way), Some(extra)) => Ok(format!("${{session != null ? {way} : {}}}", claim(extra)?)),
        }
    }
}

/// Translates a template; the value is one that our configuration takes.
pub(super) fn header(name: &str, template: &str, named: &Named) -> Result<String, String> {
    let value = self::template(template, named)?;
    HeaderTemplate::parse(name, &value).map(|_| value.clone()).map_err(|error| error.to_string())
}

/// Translates a template of a text.
pub(super) fn template(template: &str, named: &Named) -> Result<String, String> {
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
    Template::parse(&value).map(|_| value.clone()).map_err(|error| error.to_string())
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
        [".Subject"] => named.subject_hole(),
        [".Extra"] | [".Extra", "|", "toJson"] | ["toJson", ".Extra"] => named.extra_hole(&[]),
        [one] if one.starts_with(".Extra.") => {
            named.extra_hole(&one[".Extra.".len()..].split('.').map(str::to_owned).collect::<Vec<_>>())
        }
        ["index", ".Extra", names @ ..] if !names.is_empty() => {
            let names = names.iter().map(|name| unquoted(name)).collect::<Option<Vec<_>>>().ok_or_else(unknown)?;
            named.extra_hole(&names)
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
        Named::session(way("identity.id"), way(""), anonymous.map(str::to_owned))
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
        assert_eq!(header("X-A", "{{ .Subject }}", &Named::constant("guest".to_owned())).as_deref(), Ok("guest"));
    }

    #[test]
    fn tokens_and_hydrators_name_the_caller_too() {
        for (named, subject, extra) in [
            (Named::default().or_token(Extra::Claims), "${subject}", "${claims.email}"),
            (Named::default().or_token(Extra::OfIntrospection), "${subject}", "${claims.ext.email}"),
            (named(None).or_token(Extra::Claims), "${subject}", "${session != null ? session.email : claims.email}"),
            (named(None).hydrated("hydrator"), "${identity.id}", "${context.hydrator.extra.email}"),
        ] {
            assert_eq!(header("X-A", "{{ print .Subject }}", &named).as_deref(), Ok(subject));
            assert_eq!(header("X-A", "{{ print .Extra.email }}", &named).as_deref(), Ok(extra));
        }
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
        assert!(header("X-A", "{{ .Extra.a }}", &Named::constant(String::new())).is_err());
    }
}
