//! Who can vouch for a caller, and which of them a request's credentials are for.

use std::sync::Arc;
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use crate::decision::credentials::{Credentials, bearer_token, cookies, is_marked_session_token};
use crate::decision::rule::Rule;

/// One of those who can vouch for a caller, as a rule lists them.
#[derive(Clone, Debug)]
pub enum Authenticator {
    /// Whoever brings no credential that another one judges is called this.
    Anonymous { subject: Arc<str> },
    /// Kratos, by a session.
    Session { on_invalid: OnInvalid },
    /// Whoever issued a token.
    Token { issuer: Arc<Issuer>, scopes: Scopes, on_invalid: OnInvalid },
}

/// What becomes of a request whose credential is invalid.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum OnInvalid {
    /// The next one that finds a credential decides.
    Next,
    /// It is one of nobody.
    #[default]
    Refuse,
}

/// Whose tokens are believed, where they are carried, and how they are checked.
#[derive(Debug, Eq, PartialEq)]
pub struct Issuer {
    pub name: Box<str>,
    pub carried: Carried,
    /// The claim that says who asks. Default `sub`.
    pub subject: Box<str>,
    /// The subject is the id of an identity of Kratos, and services are told so.
    pub subject_is_identity: bool,
    pub verification: Verification,
}

/// Where a token stands in a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Carried {
    /// `Authorization: Bearer`.
    Bearer,
    Cookie(Box<str>),
    /// The whole value of a header.
    Header(HeaderName),
}

/// How a token is checked.
#[derive(Debug, Eq, PartialEq)]
pub enum Verification {
    /// Its issuer is asked (RFC 7662).
    Introspection(Introspection),
    /// Its signature is checked here (RFC 7519).
    Jwt(Jwt),
}

/// What a signed token must be.
#[derive(Debug, Eq, PartialEq)]
pub struct Jwt {
    /// Where the keys are published; at least one.
    pub jwks: Vec<KeySource>,
    pub algorithms: Vec<Algorithm>,
    /// Any of these must have issued it; empty: whoever has the key.
    pub issuers: Vec<Box<str>>,
    /// It must be meant for all of these.
    pub audience: Vec<Box<str>>,
    /// By how much clocks may differ.
    pub leeway: Duration,
    /// How long fetched keys are good.
    pub refresh_after: Duration,
    pub timeout: Duration,
    /// PEM certificates of a private authority that vouches for https URLs, instead of the system's.
    pub authority: Option<Box<[u8]>>,
}

/// A JWKS.
#[derive(Clone, Eq, PartialEq)]
pub enum KeySource {
    /// What a file of the configuration says.
    File(Box<[u8]>),
    Url(Url),
}

impl std::fmt::Debug for KeySource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(_) => f.write_str("File(..)"),
            Self::Url(url) => f.write_str(url.as_str()),
        }
    }
}

/// Algorithms whose keys are public: a secret that both sides share would have to be kept by everybody who checks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Algorithm {
    EdDsa,
    Es256,
    Es384,
    Ps256,
    Ps384,
    Ps512,
    Rs256,
    Rs384,
    Rs512,
}

impl Algorithm {
    pub const ALL: [Self; 9] = [
        Self::EdDsa,
        Self::Es256,
        Self::Es384,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
    ];

    /// Reads the name that RFC 7518 gives it.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == name)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
        }
    }
}

/// How the issuer of opaque tokens is asked.
#[derive(Eq, PartialEq)]
pub struct Introspection {
    pub url: Url,
    /// The value of the `Authorization` header by which the gateway says who it is.
    pub authorization: Option<HeaderValue>,
    pub issuers: Vec<Box<str>>,
    pub audience: Vec<Box<str>>,
    pub leeway: Duration,
    pub timeout: Duration,
    /// How long an answer is good, and never past the token's own end. Zero: it is asked every time.
    pub ttl: Duration,
    pub authority: Option<Box<[u8]>>,
}

impl std::fmt::Debug for Introspection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Introspection").field("url", &self.url.as_str()).finish_non_exhaustive()
    }
}

/// What a token must be good for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Scopes {
    /// All of them.
    pub required: Vec<Box<str>>,
    pub strategy: ScopeStrategy,
}

/// When a scope that a token has covers one that is required.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ScopeStrategy {
    #[default]
    Exact,
    /// `orders` covers `orders.read`.
    Hierarchic,
    /// `orders.*` covers `orders.read`; a star stands for one part or, at the end, for all that follow.
    Wildcard,
}

impl Scopes {
    /// Whether `granted` covers all that is required.
    pub fn covered_by(&self, granted: &[Box<str>]) -> bool {
        self.required.iter().all(|required| granted.iter().any(|granted| self.strategy.covers(granted, required)))
    }
}

impl ScopeStrategy {
    fn covers(self, granted: &str, required: &str) -> bool {
        match self {
            Self::Exact => granted == required,
            Self::Hierarchic => {
                required.strip_prefix(granted).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
                    && !granted.is_empty()
            }
            Self::Wildcard => {
                let (mut granted, mut required) = (granted.split('.').peekable(), required.split('.'));
                while let Some(part) = granted.next() {
                    match required.next() {
                        None | Some("") => return false,
                        Some(_) if part == "*" && granted.peek().is_none() => return true,
                        Some(wanted) if part == "*" || part == wanted => {}
                        Some(_) => return false,
                    }
                }
                required.next().is_none()
            }
        }
    }
}

/// A credential that one of a rule's authenticators can judge.
#[derive(Debug)]
pub enum Presented<'i, 'r> {
    /// What Kratos would look at.
    Session(Credentials<'r>),
    /// A token, and who issued it.
    Token { token: &'r [u8], issuer: &'i Arc<Issuer> },
}

/// The first of the rule's authenticators, from number `from` on, that finds a credential in `headers`.
///
/// A Bearer may be a session token, a signed token or an opaque one. Its looks decide: what begins `ory_st_` is for
/// Kratos, what has three parts is for whoever checks signatures, the rest is for introspection. On a rule that takes no
/// other tokens all of them are for Kratos.
pub fn presented<'i, 'r>(
    rule: &'i Rule,
    headers: &'r HeaderMap,
    credentials: &Credentials<'r>,
    from: usize,
) -> Option<(usize, Presented<'i, 'r>)> {
    let shares_bearer = rule.authenticate.iter().any(Authenticator::reads_bearer);
    rule.authenticate.iter().enumerate().skip(from).find_map(|(number, authenticator)| {
        let presented = match authenticator {
            Authenticator::Anonymous { .. } => None,
            Authenticator::Session { .. } => {
                let own = if shares_bearer { credentials.without_foreign_bearer() } else { credentials.clone() };
                (!own.is_empty()).then_some(Presented::Session(own))
            }
            Authenticator::Token { issuer, .. } => {
                issuer.token(headers).map(|token| Presented::Token { token, issuer })
            }
        };
        Some((number, presented?))
    })
}

impl Authenticator {
    /// What callers without a credential are called.
    pub fn anonymous(&self) -> Option<&str> {
        match self {
            Self::Anonymous { subject } => Some(subject),
            Self::Session { .. } | Self::Token { .. } => None,
        }
    }

    pub fn on_invalid(&self) -> OnInvalid {
        match self {
            Self::Anonymous { .. } => OnInvalid::Refuse,
            Self::Session { on_invalid } | Self::Token { on_invalid, .. } => *on_invalid,
        }
    }

    /// Whose tokens it judges, where it judges any.
    pub fn issuer(&self) -> Option<&Arc<Issuer>> {
        match self {
            Self::Anonymous { .. } | Self::Session { .. } => None,
            Self::Token { issuer, .. } => Some(issuer),
        }
    }

    fn reads_bearer(&self) -> bool {
        match self {
            Self::Anonymous { .. } | Self::Session { .. } => false,
            Self::Token { issuer, .. } => issuer.carried == Carried::Bearer,
        }
    }
}

fn single<'r>(headers: &'r HeaderMap, name: &HeaderName) -> Option<&'r HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

impl Issuer {
    /// The token of this issuer that a request carries, by its looks. Of two, nobody knows which a service would read:
    /// then it carries none.
    pub fn token<'r>(&self, headers: &'r HeaderMap) -> Option<&'r [u8]> {
        let token = match &self.carried {
            Carried::Bearer => bearer_token(single(headers, &AUTHORIZATION)?.as_bytes())?,
            Carried::Cookie(name) => {
                let mut own = cookies(headers).filter(|(own, _)| *own == name.as_bytes());
                let (_, token) = own.next()?;
                own.next().is_none().then_some(token)?
            }
            Carried::Header(name) => single(headers, name)?.as_bytes(),
        };
        let is_its_kind = match &self.verification {
            Verification::Jwt(_) => {
                let mut parts = token.split(|byte| *byte == b'.');
                let whole = parts.by_ref().take(3).filter(|part| !part.is_empty()).count() == 3;
                whole && parts.next().is_none()
            }
            Verification::Introspection(_) => !is_marked_session_token(token),
        };
        (!token.is_empty() && is_its_kind).then_some(token)
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;
    use crate::decision::credentials::Sources;
    use crate::decision::rule::{Access, Demands};

    #[test]
    fn a_scope_covers_another_by_its_strategy() {
        let (exact, hierarchic, wildcard) = (ScopeStrategy::Exact, ScopeStrategy::Hierarchic, ScopeStrategy::Wildcard);
        for (strategy, granted, required, expected) in [
            (exact, "orders.read", "orders.read", true),
            (exact, "orders", "orders.read", false),
            (exact, "orders.*", "orders.read", false),
            (hierarchic, "orders", "orders", true),
            (hierarchic, "orders", "orders.read", true),
            (hierarchic, "orders", "orders.read.all", true),
            (hierarchic, "orders.read", "orders", false),
            (hierarchic, "order", "orders.read", false),
            (hierarchic, "", "orders", false),
            (wildcard, "orders.*", "orders.read", true),
            (wildcard, "orders.*", "orders.read.all", true),
            (wildcard, "orders.*", "orders", false),
            (wildcard, "orders.*", "orders.", false),
            (wildcard, "*.read", "orders.read", true),
            (wildcard, "*.read", "orders.write", false),
            (wildcard, "*", "orders", true),
            (wildcard, "orders.read", "orders.read", true),
            (wildcard, "orders", "orders.read", false),
        ] {
            let scopes = Scopes { required: vec![required.into()], strategy };
            assert_eq!(scopes.covered_by(&[granted.into()]), expected, "{strategy:?} {granted} {required}");
        }
        let two = Scopes { required: vec!["a".into(), "b".into()], strategy: exact };
        assert!(two.covered_by(&["b".into(), "c".into(), "a".into()]) && !two.covered_by(&["a".into()]));
        assert!(Scopes::default().covered_by(&[]));
    }

    fn token(name: &str, carried: Carried, verification: Verification) -> Authenticator {
        let issuer =
            Issuer { name: name.into(), carried, subject: "sub".into(), subject_is_identity: false, verification };
        Authenticator::Token { issuer: Arc::new(issuer), scopes: Scopes::default(), on_invalid: OnInvalid::Refuse }
    }

    fn signed() -> Verification {
        Verification::Jwt(Jwt {
            jwks: Vec::new(),
            algorithms: vec![Algorithm::Es256],
            issuers: Vec::new(),
            audience: Vec::new(),
            leeway: Duration::ZERO,
            refresh_after: Duration::ZERO,
            timeout: Duration::ZERO,
            authority: None,
        })
    }

    fn opaque() -> Verification {
        Verification::Introspection(Introspection {
            url: "http://issuer".parse().unwrap(),
            authorization: None,
            issuers: Vec::new(),
            audience: Vec::new(),
            leeway: Duration::ZERO,
            timeout: Duration::ZERO,
            ttl: Duration::ZERO,
            authority: None,
        })
    }

    #[test]
    fn a_credential_is_for_whom_it_looks_like() {
        let session = || Authenticator::Session { on_invalid: OnInvalid::Next };
        let all = vec![
            session(),
            token("jwt", Carried::Bearer, signed()),
            token("opaque", Carried::Bearer, opaque()),
            token("header", Carried::Header(HeaderName::from_static("x-token")), opaque()),
            token("cookie", Carried::Cookie("token".into()), signed()),
        ];
        let (cookie, bearer, header) = ("cookie", "authorization", "x-token");
        for (authenticate, headers, expected) in [
            (&all, &[(bearer, "Bearer ory_st_a")][..], &["session"][..]),
            (&all, &[(bearer, "Bearer a.b.c")], &["jwt", "opaque"]),
            (&all, &[(bearer, "Bearer abc")], &["opaque"]),
            (&all, &[(bearer, "Bearer a..c")], &["opaque"]),
            (&all, &[(bearer, "Bearer a.b.c.d")], &["opaque"]),
            (&all, &[(bearer, "Basic a.b.c")], &[]),
            (&all, &[(cookie, "ory_kratos_session=s"), (bearer, "Bearer a.b.c")], &["session", "jwt", "opaque"]),
            (&all, &[(header, "abc")], &["header"]),
            (&all, &[(header, "")], &[]),
            (&all, &[(cookie, "a=b; token=a.b.c")], &["cookie"]),
            (&all, &[(cookie, "token=abc")], &[]),
            (&vec![session()], &[(bearer, "Bearer a.b.c")], &["session"]),
            (&vec![session(), Authenticator::Anonymous { subject: "guest".into() }], &[], &[]),
        ] {
            let authenticate = authenticate.clone();
            let rule = Rule { authenticate, ..Rule::new("rule", Access::Session(Demands::default())) };
            let headers =
                headers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
            let headers = headers.collect::<HeaderMap>();
            let credentials = Credentials::find(&headers, &Sources::default());
            let mut found = Vec::new();
            let mut from = 0;
            while let Some((number, presented)) = presented(&rule, &headers, &credentials, from) {
                found.push(match presented {
                    Presented::Session(_) => "session".to_owned(),
                    Presented::Token { issuer, .. } => issuer.name.to_string(),
                });
                from = number + 1;
            }
            assert_eq!(found, expected, "{headers:?}");
        }
    }
}
