//! Which secrets a request carries, in the order in which Kratos would look at them.

use std::fmt;

use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderName};
use smallvec::SmallVec;

/// The header of Kratos' API clients; it wins over everything else.
pub const SESSION_TOKEN: HeaderName = HeaderName::from_static("x-session-token");

/// The prefix of every session token that Kratos has made since it marks them.
const SESSION_TOKEN_PREFIX: &[u8] = b"ory_st_";

/// Where credentials are looked for. What is not listed is neither asked about nor removed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sources {
    pub session_token: bool,
    /// Names of the session cookie; empty: cookies are not looked at.
    pub cookies: Vec<Box<str>>,
    pub bearer: bool,
}

impl Default for Sources {
    fn default() -> Self {
        Self { session_token: true, cookies: vec!["ory_kratos_session".into()], bearer: true }
    }
}

/// One secret. Its `Debug` tells only the kind.
#[derive(Clone, Copy, Eq, PartialEq)]
pub enum Credential<'a> {
    /// The token of an `Authorization: Bearer` header.
    Bearer(&'a [u8]),
    /// A session cookie: its name and value as sent.
    Cookie { name: &'a [u8], value: &'a [u8] },
    /// The value of an `X-Session-Token` header.
    Token(&'a [u8]),
}

impl<'a> Credential<'a> {
    /// The secret itself.
    pub fn secret(&self) -> &'a [u8] {
        match *self {
            Self::Bearer(value) | Self::Token(value) | Self::Cookie { value, .. } => value,
        }
    }

    /// Whether it looks like a session token from before Kratos marked them: 32 alphanumeric characters.
    pub fn is_like_old_session_token(&self) -> bool {
        let secret = self.secret();
        secret.len() == 32 && secret.iter().all(u8::is_ascii_alphanumeric)
    }

    /// A service's own API token travels as a Bearer too; Kratos' are told apart by their prefix.
    pub fn is_marked_session_token(&self) -> bool {
        is_marked_session_token(self.secret())
    }
}

/// Whether a token begins as Kratos' do.
pub fn is_marked_session_token(token: &[u8]) -> bool {
    token.starts_with(SESSION_TOKEN_PREFIX)
}

impl fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bearer(_) => "Bearer(..)",
            Self::Cookie { .. } => "Cookie(..)",
            Self::Token(_) => "Token(..)",
        })
    }
}

/// All the credentials of one request.
#[derive(Clone, Debug, Default)]
pub struct Credentials<'a> {
    all: SmallVec<[Credential<'a>; 2]>,
}

impl<'a> Credentials<'a> {
    /// Finds what `sources` name in `headers`.
    pub fn find(headers: &'a HeaderMap, sources: &Sources) -> Self {
        let mut all = SmallVec::new();
        // Kratos reads the first header of a name and ignores the others.
        if sources.session_token
            && let Some(token) = headers.get(SESSION_TOKEN).filter(|value| !value.is_empty())
        {
            all.push(Credential::Token(token.as_bytes()));
        }
        if !sources.cookies.is_empty() {
            all.extend(
                cookies(headers)
                    .filter(|(name, _)| is_session_cookie(name, sources))
                    .map(|(name, value)| Credential::Cookie { name, value }),
            );
        }
        if sources.bearer
            && let Some(token) = headers.get(AUTHORIZATION).and_then(|value| bearer_token(value.as_bytes()))
        {
            all.push(Credential::Bearer(token));
        }
        Self { all }
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Without a Bearer that does not look like one of Kratos', for rules that take other tokens too.
    #[must_use]
    pub fn without_foreign_bearer(&self) -> Self {
        let is_own = |credential: &&Credential<'a>| match credential {
            Credential::Bearer(_) => credential.is_marked_session_token(),
            Credential::Cookie { .. } | Credential::Token(_) => true,
        };
        Self { all: self.all.iter().filter(is_own).copied().collect() }
    }

    /// Every credential, also those that Kratos would not look at for whoami (its logout has another order).
    pub fn all(&self) -> &[Credential<'a>] {
        &self.all
    }

    /// What whoami would look at: a token alone, else the cookies, and a Bearer for when no cookie can be decoded.
    pub fn asked(&self) -> &[Credential<'a>] {
        match self.all.first() {
            Some(Credential::Token(_)) => &self.all[..1],
            Some(Credential::Bearer(_) | Credential::Cookie { .. }) | None => &self.all,
        }
    }

    /// The credential that decides when whoami knows the session.
    pub fn deciding(&self) -> Option<&Credential<'a>> {
        self.all.first()
    }
}

impl<'a> From<Credential<'a>> for Credentials<'a> {
    fn from(credential: Credential<'a>) -> Self {
        Self { all: SmallVec::from_iter([credential]) }
    }
}

/// The cookies of all `Cookie` headers, in order. Pairs that no one could read as a cookie are passed over.
pub fn cookies(headers: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8])> {
    headers.get_all(COOKIE).iter().flat_map(|header| header.as_bytes().split(|byte| *byte == b';')).filter_map(|pair| {
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        Some((pair[..equals].trim_ascii(), pair[equals + 1..].trim_ascii()))
    })
}

/// Whether a cookie of this name is a session cookie.
pub fn is_session_cookie(name: &[u8], sources: &Sources) -> bool {
    sources.cookies.iter().any(|session| session.as_bytes() == name)
}

/// The token of `Bearer <token>`: two parts and no more, the scheme in any case, as Kratos reads it.
pub fn bearer_token(value: &[u8]) -> Option<&[u8]> {
    let mut parts = value.split(|byte| *byte == b' ');
    let (scheme, token) = (parts.next()?, parts.next()?);
    (parts.next().is_none() && scheme.eq_ignore_ascii_case(b"bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn found(headers: &[(&'static str, &'static str)]) -> Vec<String> {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect::<HeaderMap>();
        let credentials = Credentials::find(&headers, &Sources::default());
        credentials
            .asked()
            .iter()
            .map(|credential| format!("{credential:?} {}", String::from_utf8_lossy(credential.secret())))
            .collect()
    }

    #[test]
    fn credentials_come_in_the_order_of_kratos() {
        let cookie = ("cookie", "a=b; ory_kratos_session=one; ory_kratos_session=two");
        let bearer = ("authorization", "bEaReR three");
        let token = ("x-session-token", "four");
        assert_eq!(found(&[]), Vec::<String>::new());
        assert_eq!(found(&[bearer]), ["Bearer(..) three"]);
        assert_eq!(found(&[bearer, cookie]), ["Cookie(..) one", "Cookie(..) two", "Bearer(..) three"]);
        assert_eq!(found(&[bearer, cookie, token]), ["Token(..) four"]);
        assert_eq!(found(&[("x-session-token", ""), cookie]), ["Cookie(..) one", "Cookie(..) two"]);
    }

    #[test]
    fn a_bearer_has_two_parts() {
        for value in ["Bearer", "Bearer ", "Bearer a b", "Basic a", "Bearer  a"] {
            assert_eq!(found(&[("authorization", value)]), Vec::<String>::new(), "{value}");
        }
    }

    #[test]
    fn several_cookie_headers_are_read_in_order() {
        assert_eq!(
            found(&[("cookie", "ory_kratos_session=one"), ("cookie", "x=y;ory_kratos_session = two")]),
            ["Cookie(..) one", "Cookie(..) two"]
        );
    }

    #[test]
    fn a_credential_never_prints_its_secret() {
        let credential = Credential::Cookie { name: b"ory_kratos_session", value: b"hunter2" };
        assert_eq!(format!("{credential:?}"), "Cookie(..)");
    }
}
