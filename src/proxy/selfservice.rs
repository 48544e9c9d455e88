//! Which requests to Kratos may end or change a session, and which cookies in its answers begin one.

use http::header::SET_COOKIE;
use http::{HeaderMap, Method};
use uuid::Uuid;

use crate::decision::credentials::{Sources, is_session_cookie};
use crate::sessions::Ending;

/// What a request may do to sessions.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Effect {
    /// It may end or change these.
    Ends(Ending),
    /// It may end its own sessions and those of the tokens in its body.
    EndsWithBody,
    /// It asks who someone is.
    Whoami,
    /// It only reads.
    Nothing,
}

/// What a request may do to sessions, `path` being decoded and without the prefix under which Kratos is mounted.
///
/// Everything is taken to end sessions but what is known not to: submits come by GET too (logout, links from mails,
/// callbacks of identity providers).
pub(super) fn effect(method: &Method, path: &str) -> Effect {
    let mut segments = path.split('/').skip(1);
    let (area, rest) = (segments.next().unwrap_or_default(), segments.collect::<Vec<_>>());
    let reads = *method == Method::GET || *method == Method::HEAD;
    match (area, rest.as_slice()) {
        ("self-service" | "sessions", _) if *method == Method::OPTIONS => Effect::Nothing,
        ("self-service", [_, "browser" | "api" | "flows"] | ["errors"]) if reads => Effect::Nothing,
        ("self-service", ["logout", "api"]) => Effect::EndsWithBody,
        ("self-service", ["settings", ..]) => Effect::Ends(Ending::Identity),
        ("self-service", _) => Effect::Ends(Ending::Sessions),
        ("sessions", ["whoami"]) if reads => Effect::Whoami,
        ("sessions", []) if reads => Effect::Nothing,
        ("sessions", []) => Effect::Ends(Ending::Identity),
        ("sessions", [id]) if *method == Method::DELETE => Effect::Ends(match Uuid::try_parse(id) {
            Ok(id) => Ending::Named(id.to_string()),
            Err(_) => Ending::Sessions,
        }),
        ("sessions", _) => Effect::Ends(Ending::Sessions),
        _ => Effect::Nothing,
    }
}

/// The session cookie that an answer sets, name and value. One that is cleared is none.
pub(super) fn new_session_cookie<'h>(headers: &'h HeaderMap, sources: &Sources) -> Option<(&'h [u8], &'h [u8])> {
    headers.get_all(SET_COOKIE).iter().find_map(|cookie| {
        let mut parts = cookie.as_bytes().split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let pair = parts.next()?;
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        let (name, value) = (pair[..equals].trim_ascii(), pair[equals + 1..].trim_ascii());
        let is_cleared = parts.any(|attribute| {
            let (name, value) = attribute.split_at(attribute.iter().position(|b| *b == b'=').unwrap_or(attribute.len()));
            name.eq_ignore_ascii_case(b"max-age") && matches!(value.get(1), None | Some(b'0' | b'-'))
        });
        (is_session_cookie(name, sources) && !value.is_empty() && !is_cleared).then_some((name, value))
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const ID: &str = "0b4ed4d6-0b0c-4d94-a1f6-7a1c1c8a6c1f";

    #[test]
    fn every_request_has_its_effect() {
        let ends = || Effect::Ends(Ending::Sessions);
        let ends_identity = || Effect::Ends(Ending::Identity);
        for (method, path, expected) in [
            ("GET", "/self-service/login/browser", Effect::Nothing),
            ("HEAD", "/self-service/login/browser", Effect::Nothing),
            ("GET", "/self-service/login/api", Effect::Nothing),
            ("GET", "/self-service/login/flows", Effect::Nothing),
            ("GET", "/self-service/settings/browser", Effect::Nothing),
            ("GET", "/self-service/settings/flows", Effect::Nothing),
            ("GET", "/self-service/logout/browser", Effect::Nothing),
            ("GET", "/self-service/logout/api", Effect::Nothing),
            ("GET", "/self-service/errors", Effect::Nothing),
            ("OPTIONS", "/self-service/login", Effect::Nothing),
            ("OPTIONS", "/sessions", Effect::Nothing),
            ("OPTIONS", "/self-service/logout/api", Effect::Nothing),
            ("POST", "/self-service/login", ends()),
            ("POST", "/self-service/login/browser", ends()),
            ("POST", "/self-service/registration", ends()),
            ("POST", "/self-service/settings", ends_identity()),
            ("GET", "/self-service/settings", ends_identity()),
            ("GET", "/self-service/logout", ends()),
            ("DELETE", "/self-service/logout/api", Effect::EndsWithBody),
            ("POST", "/self-service/logout/api", Effect::EndsWithBody),
            ("GET", "/self-service/recovery", ends()),
            ("POST", "/self-service/recovery", ends()),
            ("GET", "/self-service/verification", ends()),
            ("GET", "/self-service/methods/oidc/callback/github", ends()),
            ("POST", "/self-service/methods/oidc/callback", ends()),
            ("GET", "/self-service/methods/oidc/callback/api", ends()),
            ("GET", "/self-service/login/browser/", ends()),
            ("GET", "/self-service", ends()),
            ("GET", "/self-service/fed-cm/parameters", ends()),
            ("GET", "/sessions/whoami", Effect::Whoami),
            ("HEAD", "/sessions/whoami", Effect::Whoami),
            ("POST", "/sessions/whoami", ends()),
            ("DELETE", "/sessions/whoami", ends()),
            ("GET", "/sessions", Effect::Nothing),
            ("DELETE", "/sessions", ends_identity()),
            ("DELETE", &format!("/sessions/{ID}"), Effect::Ends(Ending::Named(ID.to_owned()))),
            ("DELETE", &format!("/sessions/{}", ID.to_uppercase()), Effect::Ends(Ending::Named(ID.to_owned()))),
            ("GET", &format!("/sessions/{ID}"), ends()),
            ("GET", "/sessions/token-exchange", ends()),
            ("GET", "/schemas", Effect::Nothing),
            ("GET", "/schemas/default", Effect::Nothing),
            ("GET", "/.well-known/ory/webauthn.js", Effect::Nothing),
            ("GET", "/.well-known/change-password", Effect::Nothing),
        ] {
            let parsed = Method::from_bytes(method.as_bytes()).unwrap();
            assert_eq!(effect(&parsed, path), expected, "{method} {path}");
        }
    }

    #[test]
    fn a_new_session_is_seen_by_its_cookie() {
        let found = |cookies: &[&'static str]| {
            let headers =
                cookies.iter().map(|cookie| (SET_COOKIE, HeaderValue::from_static(cookie))).collect::<HeaderMap>();
            new_session_cookie(&headers, &Sources::default())
                .map(|(_, value)| String::from_utf8(value.to_vec()).unwrap())
        };
        assert_eq!(found(&["csrf=x; Path=/", "ory_kratos_session=abc; Path=/; Max-Age=86400"]).as_deref(), Some("abc"));
        assert_eq!(found(&["ory_kratos_session=abc"]).as_deref(), Some("abc"));
        for none in ["ory_kratos_session=abc; Max-Age=0", "ory_kratos_session=; Path=/", "other=abc", "nonsense"] {
            assert_eq!(found(&[none]), None, "{none}");
        }
    }
}
