//! What changes in the head of a permitted request: removals first, then what the session says.

use std::sync::Arc;

use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::decision::credentials::{Credential, SESSION_TOKEN, Sources, bearer_token, is_session_cookie};
use crate::decision::names::FoldedNames;

/// One header that the gateway sets.
#[derive(Clone, Debug)]
pub struct Stamp {
    pub name: HeaderName,
    /// The name as the configuration spells it.
    pub spelling: Arc<str>,
    pub value: HeaderValue,
}

/// One change to the head. It is data, for only the engine's own methods may touch its header map.
#[derive(Clone, Debug)]
pub enum Edit {
    Remove(HeaderName),
    Set { name: HeaderName, spelling: Arc<str>, value: HeaderValue },
}

/// The names that no client may send, on any rule of the policy.
#[derive(Debug, Default)]
pub struct Owned {
    /// The identity header and every header that any rule sets.
    pub stamped: FoldedNames,
    /// Their names as configured, for people.
    pub spellings: Vec<Box<str>>,
}

impl Owned {
    pub fn insert(&mut self, spelling: &str) {
        if !self.spellings.iter().any(|known| known.eq_ignore_ascii_case(spelling)) {
            self.spellings.push(spelling.into());
            self.stamped.insert(spelling);
        }
    }
}

/// The removals that `headers` need before anything is set: owned names, and names that tell where a request came from.
pub fn removals<'h>(
    headers: &'h HeaderMap,
    owned: &'h FoldedNames,
    forwarding: &'h FoldedNames,
) -> impl Iterator<Item = &'h HeaderName> {
    headers.keys().filter(|name| owned.contains(name) || forwarding.contains(name))
}

/// What becomes of the credentials on the way to a service.
///
/// `kept` is the one that decided, where the rule forwards it; all others that Kratos was or could be asked about go.
/// `decided` goes even if it does not look like one of Kratos' tokens.
pub fn credential_edits(
    headers: &HeaderMap,
    sources: &Sources,
    decided: Option<&Credential<'_>>,
    forward: bool,
) -> Vec<Edit> {
    let mut edits = Vec::new();
    let kept = decided.filter(|_| forward);
    if sources.session_token
        && headers.contains_key(SESSION_TOKEN)
        && !kept.is_some_and(|kept| matches!(kept, Credential::Token(_)))
    {
        edits.push(Edit::Remove(SESSION_TOKEN));
    }
    if sources.bearer
        && let Some(token) = headers.get(AUTHORIZATION).and_then(|value| bearer_token(value.as_bytes()))
    {
        let decided = decided.is_some_and(|decided| matches!(decided, Credential::Bearer(_)));
        if (decided && !forward) || (!decided && Credential::Bearer(token).is_marked_session_token()) {
            edits.push(Edit::Remove(AUTHORIZATION));
        }
    }
    edits.extend(cookie_edit(headers, sources, kept));
    edits
}

/// One Cookie header without the session cookies, or none; nothing where the head has nothing to change.
fn cookie_edit(headers: &HeaderMap, sources: &Sources, kept: Option<&Credential<'_>>) -> Option<Edit> {
    let several = headers.get_all(COOKIE).iter().nth(1).is_some();
    let mut value = Vec::new();
    let mut dropped = false;
    for header in headers.get_all(COOKIE) {
        for pair in header.as_bytes().split(|byte| *byte == b';').map(<[u8]>::trim_ascii) {
            let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii();
            let is_kept = kept.is_some_and(|kept| {
                matches!(kept, Credential::Cookie { name: kept_name, value } if *kept_name == name
                    && pair.get(pair.iter().position(|byte| *byte == b'=').map_or(pair.len(), |at| at + 1)..)
                        .is_some_and(|rest| rest.trim_ascii() == *value))
            });
            if is_session_cookie(name, sources) && !is_kept {
                dropped = true;
            } else if !pair.is_empty() {
                if !value.is_empty() {
                    value.extend_from_slice(b"; ");
                }
                value.extend_from_slice(pair);
            }
        }
    }
    if !dropped && !several {
        return None;
    }
    Some(match HeaderValue::from_bytes(&value) {
        Ok(value) if !value.is_empty() => Edit::Set { name: COOKIE, spelling: "Cookie".into(), value },
        Ok(_) | Err(_) => Edit::Remove(COOKIE),
    })
}

/// Several Cookie headers as one, in order: Kratos reads one, and HTTP/2 clients may split theirs.
pub fn join_cookies(headers: &HeaderMap) -> Option<Edit> {
    cookie_edit(headers, &Sources { session_token: false, cookies: Vec::new(), bearer: false }, None)
}

/// The stamps of one permit, shared between the requests of a session where they do not depend on the request.
pub type Stamps = Arc<[Stamp]>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::credentials::Credentials;

    /// The edits toward a service in words.
    fn edited(headers: &[(&'static str, &'static str)], known: bool, forward: bool) -> Vec<String> {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect::<HeaderMap>();
        let sources = Sources::default();
        let credentials = Credentials::find(&headers, &sources);
        let decided = credentials.deciding().filter(|_| known);
        credential_edits(&headers, &sources, decided, forward)
            .iter()
            .map(|edit| match edit {
                Edit::Remove(name) => format!("-{name}"),
                Edit::Set { name, value, .. } => format!("{name}={}", value.to_str().unwrap()),
            })
            .collect()
    }

    #[test]
    fn credentials_stop_at_the_gateway() {
        let none = Vec::<String>::new();
        for (headers, expected) in [
            (vec![("accept", "*/*")], none.clone()),
            (vec![("cookie", "a=b; c=d")], none.clone()),
            (vec![("cookie", "ory_kratos_session=s")], vec!["-cookie".to_owned()]),
            (vec![("cookie", "a=b; ory_kratos_session=s; c=d")], vec!["cookie=a=b; c=d".to_owned()]),
            (vec![("cookie", "ory_kratos_session=s;ory_kratos_session=t; =x")], vec!["cookie==x".to_owned()]),
            (vec![("x-session-token", "t")], vec!["-x-session-token".to_owned()]),
            (vec![("authorization", "Bearer ory_st_t")], vec!["-authorization".to_owned()]),
            (vec![("authorization", "Basic dTpw")], none.clone()),
            (vec![("authorization", "Bearer own-api-token")], none),
        ] {
            assert_eq!(edited(&headers, false, false), expected, "{headers:?}");
        }
    }

    #[test]
    fn a_bearer_that_decided_goes_whatever_it_looks_like() {
        assert_eq!(edited(&[("authorization", "Bearer legacy")], true, false), ["-authorization"]);
    }

    #[test]
    fn only_the_credential_that_decided_is_forwarded() {
        let cookie = ("cookie", "a=b; ory_kratos_session=s; ory_kratos_session=t");
        let bearer = ("authorization", "Bearer ory_st_t");
        let token = ("x-session-token", "u");
        assert_eq!(edited(&[cookie, bearer], true, true), ["-authorization", "cookie=a=b; ory_kratos_session=s"]);
        assert_eq!(edited(&[cookie, bearer, token], true, true), ["-authorization", "cookie=a=b"]);
        assert_eq!(edited(&[bearer], true, true), Vec::<String>::new());
        // Nobody decided by it, so nobody gets it.
        assert_eq!(edited(&[token], false, true), ["-x-session-token"]);
    }

    #[test]
    fn several_cookie_headers_become_one() {
        assert_eq!(edited(&[("cookie", "a=b"), ("cookie", "c=d")], false, false), ["cookie=a=b; c=d"]);
    }
}
