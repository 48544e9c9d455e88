//! A URL with holes whose values cannot change what it means: they are encoded, and never name the server.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::decision::expression::{Reads, Scope};
use crate::decision::template::{Part, Template, TemplateError};

/// All but what RFC 3986 leaves alone anywhere.
pub const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The longest URL that is asked, in bytes.
const LONGEST: usize = 16 * 1024;

/// An http or https URL with holes behind its authority.
#[derive(Debug)]
pub struct UrlTemplate {
    template: Template,
}

/// Why a text is no URL with holes.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum UrlTemplateError {
    #[error("is neither an http nor an https URL")]
    Scheme,
    #[error("has a hole before its path: only what is written may say which server is asked")]
    Server,
    #[error("is no URL: {0}")]
    Malformed(url::ParseError),
    #[error("has a user name, a password or a fragment")]
    Extra,
    #[error(transparent)]
    Template(#[from] TemplateError),
}

impl UrlTemplate {
    /// Parses a URL. `${…}` is a hole, in its path or query only.
    ///
    /// # Errors
    /// Where it is no http URL, or a hole could name another server.
    pub fn parse(text: &str) -> Result<Self, UrlTemplateError> {
        let template = Template::parse(text)?;
        let (Some(Part::Text(start)), rest) = (template.parts().first(), template.parts().get(1..)) else {
            return Err(UrlTemplateError::Server);
        };
        let authority = ["http://", "https://"].iter().find_map(|scheme| start.strip_prefix(scheme));
        let authority = authority.ok_or(UrlTemplateError::Scheme)?;
        if rest.is_some_and(|rest| !rest.is_empty()) && !authority.contains(['/', '?']) {
            return Err(UrlTemplateError::Server);
        }
        let probe = template.parts().iter().map(|part| match part {
            Part::Hole(_) => "x",
            Part::Text(text) => text,
        });
        let probe = url::Url::parse(&probe.collect::<String>()).map_err(UrlTemplateError::Malformed)?;
        if !probe.username().is_empty() || probe.password().is_some() || probe.fragment().is_some() {
            return Err(UrlTemplateError::Extra);
        }
        Ok(Self { template })
    }

    pub fn reads(&self) -> Reads {
        self.template.reads()
    }

    /// The URL, or nothing where it is too long or a hole has no value, or one that would be a step in the path: empty,
    /// `.` or `..`.
    pub fn render(&self, scope: &Scope<'_>) -> Option<String> {
        let mut url = String::new();
        for part in self.template.parts() {
            match part {
                Part::Hole(expression) => {
                    let value = expression.text(scope).filter(|value| !matches!(value.as_str(), "" | "." | ".."))?;
                    url.extend(utf8_percent_encode(&value, COMPONENT));
                }
                Part::Text(text) => url.push_str(text),
            }
        }
        (url.len() <= LONGEST).then_some(url)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::decision::expression::tests::with_scope;

    fn rendered(template: &str) -> Option<String> {
        let template = UrlTemplate::parse(template).unwrap_or_else(|error| panic!("{template}: {error}"));
        let mut url = None;
        with_scope(None, |scope| url = template.render(scope));
        url
    }

    #[test]
    fn holes_are_filled_behind_the_authority_and_encoded() {
        for (template, expected) in [
            ("http://a", Some("http://a")),
            ("https://a:8443/b?c=d", Some("https://a:8443/b?c=d")),
            ("http://a/${request.captures.id}/x", Some("http://a/a%20b/x")),
            ("http://a/?path=${request.path}", Some("http://a/?path=%2Forders%2Fa%20b")),
            ("http://a?${'b=c&d'}", Some("http://a?b%3Dc%26d")),
            ("http://a/${'../b'}", Some("http://a/..%2Fb")),
            ("http://a/${'..'}/b", None),
            ("http://a/${'.'}", None),
            ("http://a/${''}/b", None),
            ("http://a/${identity.none}", None),
            ("http://a/$${b}", Some("http://a/${b}")),
        ] {
            assert_eq!(rendered(template).as_deref(), expected, "{template}");
        }
    }

    #[test]
    fn what_could_ask_another_server_is_refused() {
        for (template, expected) in [
            ("ftp://a", UrlTemplateError::Scheme),
            ("/a", UrlTemplateError::Scheme),
            ("${request.path}", UrlTemplateError::Server),
            ("http://${request.host}/", UrlTemplateError::Server),
            ("http://a${request.path}", UrlTemplateError::Server),
            ("http://a.${request.host}/", UrlTemplateError::Server),
            ("http://user@a/", UrlTemplateError::Extra),
            ("http://a/#b", UrlTemplateError::Extra),
        ] {
            assert_eq!(UrlTemplate::parse(template).unwrap_err(), expected, "{template}");
        }
        assert!(matches!(UrlTemplate::parse("http://a b/"), Err(UrlTemplateError::Malformed(_))));
    }

    proptest! {
        /// Whatever fills a hole, the URL asks the server that is written, and nothing above the folder that is written.
        #[test]
        fn no_value_changes_which_server_is_asked(value in "\\PC{0,20}") {
            let quoted = value.replace('\\', "\\\\").replace('\'', "\\'");
            let Ok(template) = UrlTemplate::parse(&format!("http://server.test:81/folder/${{'{quoted}'}}/end")) else {
                return Ok(());
            };
            let mut url = None;
            with_scope(None, |scope| url = template.render(scope));
            if let Some(url) = url {
                let url = url::Url::parse(&url).unwrap();
                prop_assert_eq!(url.host_str(), Some("server.test"));
                prop_assert_eq!(url.port(), Some(81));
                prop_assert!(url.path().starts_with("/folder/") && url.path().ends_with("/end"), "{}", url);
                prop_assert_eq!(url.path_segments().unwrap().count(), 3);
                prop_assert!(url.query().is_none() && url.fragment().is_none());
            }
        }
    }
}
