//! Redirects: where to, in words that a request can fill but not turn elsewhere.

use http::{HeaderValue, StatusCode};
use percent_encoding::{AsciiSet, utf8_percent_encode};

use crate::decision::expression::{Reads, Scope};
use crate::decision::template::{Part, Template, TemplateError};
use crate::decision::url_template::COMPONENT;

/// All but what RFC 3986 leaves alone anywhere, and the slash.
const PATH: &AsciiSet = &COMPONENT.remove(b'/');

/// The same for the host that was asked, which was read as one: an IPv6 address has brackets and colons.
const HOST: &AsciiSet = &PATH.remove(b'[').remove(b']').remove(b':');

/// A rule that answers with a redirect.
#[derive(Debug)]
pub struct Redirect {
    to: Template,
    pub status: StatusCode,
    /// The path as sent is appended.
    pub append_path: bool,
    /// The query as sent is appended.
    pub append_query: bool,
}

/// Why a text says not where to.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RedirectError {
    #[error("does not begin with `https://`, `http://` or `/`")]
    Start,
    #[error("lets the request say which server it leads to; a hole there may only be `${{request.host}}`")]
    Server,
    #[error("begins with `//` or `/\\`, which browsers take for another server")]
    Elsewhere,
    #[error("has a character that no URL has; write it as `%XX`")]
    Character,
    #[error("has a fragment")]
    Fragment,
    #[error(transparent)]
    Template(#[from] TemplateError),
}

impl Redirect {
    /// Parses where to; found, unless said otherwise, with the query as sent.
    ///
    /// # Errors
    /// Where it is no URL, or a request could turn it elsewhere.
    pub fn parse(to: &str) -> Result<Self, RedirectError> {
        let template = Template::parse(to)?;
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'"' | b'<' | b'>');
        for part in template.parts() {
            match part {
                Part::Text(text) if text.contains('#') => return Err(RedirectError::Fragment),
                Part::Text(text) if text.starts_with("/\\") => return Err(RedirectError::Elsewhere),
                Part::Text(text) if !text.bytes().all(is_plain) => return Err(RedirectError::Character),
                Part::Hole(_) | Part::Text(_) => {}
            }
        }
        check_start(template.parts())?;
        Ok(Self { to: template, status: StatusCode::FOUND, append_path: false, append_query: true })
    }

    pub fn reads(&self) -> Reads {
        self.to.reads()
    }

    /// Where to, where that is written without holes.
    pub fn written(&self) -> Option<&str> {
        match self.to.parts() {
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Whether it names a query, behind which no path can be appended.
    pub fn has_query(&self) -> bool {
        self.to.parts().iter().any(|part| matches!(part, Part::Text(text) if text.contains('?')))
    }

    /// Whether all that changes is the scheme, to https.
    pub fn only_secures(&self) -> bool {
        let parts = self.to.parts();
        let is_bare = match parts {
            [Part::Text(start), Part::Hole(_)] => &**start == "https://",
            [Part::Text(start), Part::Hole(_), Part::Text(end)] => &**start == "https://" && &**end == "/",
            _ => false,
        };
        is_bare && self.append_path
    }

    /// The value of `Location` for a request to `target`, path and query as sent; nothing where a hole has no value.
    pub fn location(&self, scope: &Scope<'_>, target: &str) -> Option<HeaderValue> {
        let mut location = String::new();
        for part in self.to.parts() {
            match part {
                Part::Hole(expression) => {
                    let set = if matches!(&*location, "https://" | "http://") { HOST } else { PATH };
                    location.extend(utf8_percent_encode(&expression.text(scope)?, set));
                }
                Part::Text(text) => location.push_str(text),
            }
        }
        // A value must not climb out of the path that is written.
        let steps = location.split('?').next().unwrap_or_default().split('/');
        if steps.into_iter().any(|step| matches!(step, "." | "..")) {
            return None;
        }
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        if self.append_path {
            location.truncate(location.trim_end_matches('/').len());
            location.push_str(path);
        }
        if let Some(query) = query.filter(|_| self.append_query) {
            location.push(if location.contains('?') { '&' } else { '?' });
            location.push_str(query);
        }
        // A value that begins with a slash would make another server of a path; so would a backslash, to browsers.
        if location.starts_with("//") || location.starts_with("/\\") {
            return None;
        }
        HeaderValue::try_from(location).ok()
    }
}

/// Only what is written may say which server it leads to, or that it is the one that was asked.
fn check_start(parts: &[Part]) -> Result<(), RedirectError> {
    let (Some(Part::Text(first)), rest) = (parts.first(), parts.get(1..).unwrap_or_default()) else {
        return Err(RedirectError::Server);
    };
    if let Some(path) = first.strip_prefix('/') {
        return match path.chars().next() {
            Some('/' | '\\') => Err(RedirectError::Elsewhere),
            // `/${…}` may become `//…`, which is looked at when it is known.
            Some(_) | None => Ok(()),
        };
    }
    let authority = ["https://", "http://"].iter().find_map(|scheme| first.strip_prefix(scheme));
    let authority = authority.ok_or(RedirectError::Start)?;
    if authority.starts_with(['/', '?']) || authority.contains('@') {
        return Err(RedirectError::Server);
    }
    if authority.contains(['/', '?']) || (rest.is_empty() && !authority.is_empty()) {
        return Ok(());
    }
    match (authority, rest) {
        ("", [Part::Hole(host)]) if host.source() == "request.host" => Ok(()),
        ("", [Part::Hole(host), Part::Text(after), ..])
            if host.source() == "request.host" && after.starts_with(['/', '?', ':']) =>
        {
            let port_ends = after.find(['/', '?']).unwrap_or(after.len());
            let is_port = after[..port_ends].trim_start_matches(':').bytes().all(|byte| byte.is_ascii_digit());
            let is_closed = port_ends < after.len() || rest.len() == 2;
            if is_port && is_closed { Ok(()) } else { Err(RedirectError::Server) }
        }
        _ => Err(RedirectError::Server),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::decision::expression::tests::with_scope;

    fn location(redirect: &Redirect, target: &str) -> Option<String> {
        let mut found = None;
        with_scope(None, |scope| found = redirect.location(scope, target));
        found.map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_request_fills_a_redirect_and_cannot_turn_it() {
        // The request is a POST to https://shop.example.com/orders/a%20b?x=1 with the capture id = "a b".
        for (to, expected) in [
            ("https://new.example", "https://new.example?x=1"),
            ("https://new.example/x/${request.captures.id}", "https://new.example/x/a%20b?x=1"),
            ("https://new.example/${request.path}?a=b", "https://new.example//orders/a%20b?a=b&x=1"),
            ("https://${request.host}/moved", "https://shop.example.com/moved?x=1"),
            ("https://${request.host}:8443/moved", "https://shop.example.com:8443/moved?x=1"),
            ("/moved/${'//evil.example'}", "/moved///evil.example?x=1"),
            ("/x${'?a=b#c\\r\\nset-cookie: d=e'}", "/x%3Fa%3Db%23c%0D%0Aset-cookie%3A%20d%3De?x=1"),
            ("/x${'\\\\\\\\evil'}", "/x%5C%5Cevil?x=1"),
            ("/x/${'a..b/.c'}?d=${'..'}", "/x/a..b/.c?d=..&x=1"),
        ] {
            let redirect = Redirect::parse(to).unwrap_or_else(|error| panic!("{to}: {error}"));
            assert_eq!(location(&redirect, "/orders/a%20b?x=1").as_deref(), Some(expected), "{to}");
        }
        for nowhere in [
            "/${request.path}",
            "/${'/evil.example'}",
            "/x/${request.captures.none}",
            "/x/${'../../account'}",
            "https://new.example/x/.${'.'}/y",
            "https://new.example/x/${'.'}",
        ] {
            assert_eq!(location(&Redirect::parse(nowhere).unwrap(), "/a"), None, "{nowhere}");
        }
    }

    #[test]
    fn the_path_and_the_query_travel_as_they_came() {
        let mut redirect = Redirect::parse("https://${request.host}").unwrap();
        redirect.append_path = true;
        assert_eq!(location(&redirect, "/a%2F?b=%20").as_deref(), Some("https://shop.example.com/a%2F?b=%20"));
        redirect.append_query = false;
        assert_eq!(location(&redirect, "/a?b").as_deref(), Some("https://shop.example.com/a"));
    }

    #[test]
    fn only_what_changes_nothing_but_the_scheme_only_secures() {
        for (to, append_path, expected) in [
            ("https://${request.host}", true, true),
            ("https://${request.host}/", true, true),
            ("https://${request.host}", false, false),
            ("https://${request.host}:8443", true, false),
            ("https://${request.host}/v2", true, false),
            ("http://${request.host}", true, false),
            ("https://new.example", true, false),
        ] {
            let mut redirect = Redirect::parse(to).unwrap();
            redirect.append_path = append_path;
            assert_eq!(redirect.only_secures(), expected, "{to}");
        }
    }

    #[test]
    fn what_could_lead_elsewhere_is_refused() {
        for (to, expected) in [
            ("new.example", RedirectError::Start),
            ("ftp://new.example", RedirectError::Start),
            ("${request.path}", RedirectError::Server),
            ("https://${request.headers.host}/", RedirectError::Server),
            ("https://${request.host}.evil.example/", RedirectError::Server),
            ("https://${request.host}${request.path}", RedirectError::Server),
            ("https://${request.host}@evil.example/", RedirectError::Server),
            ("https://${request.host}:${request.query}/", RedirectError::Server),
            ("https://a${request.host}/", RedirectError::Server),
            ("https://new.example${request.path}", RedirectError::Server),
            ("https://user@new.example/", RedirectError::Server),
            ("https:///x", RedirectError::Server),
            ("https://", RedirectError::Server),
            ("//new.example", RedirectError::Elsewhere),
            ("/\\\\new.example", RedirectError::Elsewhere),
            ("https://new.example/a b", RedirectError::Character),
            ("https://new.example/#a", RedirectError::Fragment),
        ] {
            assert_eq!(Redirect::parse(to).unwrap_err(), expected, "{to}");
        }
    }

    proptest! {
        /// Whatever a client sends, it stays where the rule leads.
        #[test]
        fn no_value_leads_elsewhere(value in "\\PC{0,20}", path in "/[!-~]{0,20}") {
            let quoted = value.replace('\\', "\\\\").replace('\'', "\\'");
            for (to, host) in [("https://new.example/x/", Some("new.example")), ("/y", None), ("/", None)] {
                let Ok(mut redirect) = Redirect::parse(&format!("{to}${{'{quoted}'}}")) else { continue };
                for append_path in [false, true] {
                    redirect.append_path = append_path;
                    let Some(location) = location(&redirect, &path.replace('#', "")) else { continue };
                    let base = url::Url::parse("https://gateway.example/z").unwrap();
                    let led = base.join(&location).unwrap();
                    prop_assert_eq!(led.host_str(), host.or(Some("gateway.example")), "{}", location);
                }
            }
        }
    }
}
