//! Which requests to Kratos may end or change a session, and which cookies in its answers begin one.

use http::header::SET_COOKIE;
use http::{HeaderMap, Method};
use smallvec::SmallVec;
use uuid::Uuid;

use crate::decision::credentials::{Sources, is_session_cookie};
use crate::sessions::ending::Ending;
use crate::telemetry::RevocationCause;

/// What a request may do to sessions.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Effect {
    /// It may end or change these.
    Ends(Ending, RevocationCause),
    /// It may end its own sessions and those of the tokens in its body.
    EndsWithBody,
    /// It only reads.
    Nothing,
    /// It asks who someone is.
    Whoami,
}

/// What a request may do to sessions, `path` being decoded and without the prefix under which Kratos is mounted.
///
/// Everything is taken to end sessions but what is known not to: submits come by GET too (logout, links from mails,
/// callbacks of identity providers).
pub(super) fn effect(method: &Method, path: &str) -> Effect {
    let mut segments = path.split('/').skip(1).collect::<SmallVec<[&str; 8]>>();
    // Some versions of Kratos serve a path with a trailing slash as the one without.
    if segments.last().is_some_and(|last| last.is_empty()) {
        segments.pop();
    }
    let reads = *method == Method::GET || *method == Method::HEAD;
    match segments.as_slice() {
        ["self-service" | "sessions", ..] if *method == Method::OPTIONS => Effect::Nothing,
        ["self-service", _, "browser" | "api" | "flows"] | ["self-service", "errors"] | ["sessions"] if reads => {
            Effect::Nothing
        }
        ["self-service", "login", ..] => Effect::Ends(Ending::Sessions, RevocationCause::Login),
        ["self-service", "logout", "api"] => Effect::EndsWithBody,
        ["self-service", "logout", ..] => Effect::Ends(Ending::Sessions, RevocationCause::Logout),
        ["self-service", "settings", ..] => Effect::Ends(Ending::Identity, RevocationCause::Settings),
        ["self-service", ..] => Effect::Ends(Ending::Sessions, RevocationCause::SelfService),
        ["sessions", "whoami"] if reads => Effect::Whoami,
        ["sessions"] => Effect::Ends(Ending::Identity, RevocationCause::SessionsDeleted),
        ["sessions", id] if *method == Method::DELETE => {
            let ending = Uuid::try_parse(id).map_or(Ending::Sessions, Ending::Named);
            Effect::Ends(ending, RevocationCause::SessionDeleted)
        }
        ["sessions", ..] => Effect::Ends(Ending::Sessions, RevocationCause::SelfService),
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
            let (name, value) =
                attribute.split_at(attribute.iter().position(|b| *b == b'=').unwrap_or(attribute.len()));
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
        let ends = |cause| Effect::Ends(Ending::Sessions, cause);
        let ends_identity = |cause| Effect::Ends(Ending::Identity, cause);
        let named = || Effect::Ends(Ending::Named(ID.parse().unwrap()), RevocationCause::SessionDeleted);
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
            ("POST", "/self-service/login", ends(RevocationCause::Login)),
            ("POST", "/self-service/login/browser", ends(RevocationCause::Login)),
            ("POST", "/self-service/registration", ends(RevocationCause::SelfService)),
            ("POST", "/self-service/settings", ends_identity(RevocationCause::Settings)),
            ("GET", "/self-service/settings", ends_identity(RevocationCause::Settings)),
            ("GET", "/self-service/logout", ends(RevocationCause::Logout)),
            ("DELETE", "/self-service/logout/api", Effect::EndsWithBody),
            ("POST", "/self-service/logout/api", Effect::EndsWithBody),
            ("GET", "/self-service/recovery", ends(RevocationCause::SelfService)),
            ("POST", "/self-service/recovery", ends(RevocationCause::SelfService)),
            ("GET", "/self-service/verification", ends(RevocationCause::SelfService)),
            ("GET", "/self-service/methods/oidc/callback/github", ends(RevocationCause::SelfService)),
            ("POST", "/self-service/methods/oidc/callback", ends(RevocationCause::SelfService)),
            ("GET", "/self-service/methods/oidc/callback/api", ends(RevocationCause::SelfService)),
            ("GET", "/self-service/login/browser/", Effect::Nothing),
            ("DELETE", "/self-service/logout/api/", Effect::EndsWithBody),
            ("DELETE", "/sessions/", ends_identity(RevocationCause::SessionsDeleted)),
            ("DELETE", &format!("/sessions/{ID}/"), named()),
            ("GET", "/self-service", ends(RevocationCause::SelfService)),
            ("GET", "/self-service/fed-cm/parameters", ends(RevocationCause::SelfService)),
            ("GET", "/sessions/whoami", Effect::Whoami),
            ("HEAD", "/sessions/whoami", Effect::Whoami),
            ("POST", "/sessions/whoami", ends(RevocationCause::SelfService)),
            ("DELETE", "/sessions/whoami", ends(RevocationCause::SessionDeleted)),
            ("GET", "/sessions", Effect::Nothing),
            ("DELETE", "/sessions", ends_identity(RevocationCause::SessionsDeleted)),
            ("DELETE", &format!("/sessions/{ID}"), named()),
            ("DELETE", &format!("/sessions/{}", ID.to_uppercase()), named()),
            ("GET", &format!("/sessions/{ID}"), ends(RevocationCause::SelfService)),
            ("GET", "/sessions/token-exchange", ends(RevocationCause::SelfService)),
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
