//! What changes in the head of a permitted request: removals first, then what the session says.

use std::collections::HashSet;
use std::sync::Arc;

use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue};

use smallvec::SmallVec;

use crate::decision::authenticate::{Authenticator, Carried};
use crate::decision::credentials::{Credential, Credentials, SESSION_TOKEN, Sources, bearer_token, is_session_cookie};
use crate::decision::decide::{Passing, Permit};
use crate::decision::names::{FoldedNames, is_cookie_read_as, is_cookie_read_in, is_read_as};
use crate::decision::policy::Policy;
use crate::decision::rule::{Rule, Target};

/// Something that the gateway says about a request.
#[derive(Clone, Debug)]
pub struct Stamp {
    pub on: Surface,
    /// Of the header; `Cookie` for a cookie.
    pub name: HeaderName,
    /// The name as the configuration spells it: of the header, or of the cookie.
    pub spelling: Arc<str>,
    pub value: HeaderValue,
}

/// Where the gateway says it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Surface {
    /// In the `Cookie` header of the request, beside what is left of the client's.
    Cookie,
    /// In a header of the request.
    Request,
    /// In a header of the service's answer.
    Response,
}

impl Stamp {
    /// A header of the request.
    pub fn request(name: HeaderName, spelling: Arc<str>, value: HeaderValue) -> Self {
        Self { on: Surface::Request, name, spelling, value }
    }
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
    /// The names of cookies that any rule sets.
    pub cookies: HashSet<Box<str>>,
}

impl Owned {
    pub fn insert(&mut self, spelling: &str) {
        if !self.spellings.iter().any(|known| known.eq_ignore_ascii_case(spelling)) {
            self.spellings.push(spelling.into());
            self.stamped.insert(spelling);
        }
    }
}

/// Changes in the order in which they are made. Most requests need no more than fit here.
pub type Edits = SmallVec<[Edit; 8]>;

/// Whom a request goes to, as far as its head is concerned.
#[derive(Clone, Copy, Debug)]
pub enum Toward<'p> {
    /// Kratos, or our own pages that ask it: they get every credential.
    Kratos,
    /// A service, which gets none but, where it is `forwarded`, the one that `decided`.
    Service { decided: Decider<'p>, rule: &'p Rule },
}

/// What let a request pass.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Decider<'p> {
    Nobody,
    Session,
    /// A token, carried there.
    Token(&'p Carried),
}

impl<'p> Toward<'p> {
    pub fn of(permit: &'p Permit) -> Self {
        match permit.target() {
            Some(Target::Keys | Target::Kratos(_) | Target::Pages) => Self::Kratos,
            Some(Target::Redirect(_) | Target::Service(_)) | None => {
                Self::Service { decided: Decider::of(permit), rule: permit.rule() }
            }
        }
    }
}

impl<'p> Decider<'p> {
    fn of(permit: &'p Permit) -> Self {
        match permit.caller() {
            Passing::Session(_) => Self::Session,
            Passing::Token(_, by) => match permit.rule().authenticate.get(*by) {
                Some(Authenticator::Token { issuer, .. }) => Self::Token(&issuer.carried),
                Some(Authenticator::Anonymous { .. } | Authenticator::Session { .. }) | None => Self::Nobody,
            },
            Passing::Unnamed => Self::Nobody,
        }
    }
}

/// What changes in a permitted request's head: what a client may not say goes first, then its credentials, then what
/// the gateway says is set.
pub fn edits(policy: &Policy, headers: &HeaderMap, toward: Toward<'_>, stamps: &[Stamp]) -> Edits {
    let mut edits = Edits::new();
    let unwelcome = |name: &&HeaderName| policy.owned.stamped.contains(name) || policy.forwarding.contains(name);
    edits.extend(headers.keys().filter(unwelcome).cloned().map(Edit::Remove));
    match toward {
        Toward::Kratos => edits.extend(join_cookies(headers)),
        Toward::Service { decided, rule } => {
            let forwarded = rule.forward_credentials;
            let found = Credentials::find(headers, &policy.sources);
            let session = found.deciding().filter(|_| decided == Decider::Session);
            remove_credentials(&mut edits, headers, &policy.sources, session, forwarded);
            let kept = match decided {
                Decider::Token(carried) if forwarded => Some(carried),
                Decider::Nobody | Decider::Session | Decider::Token(_) => None,
            };
            let is_kept_bearer = kept == Some(&Carried::Bearer)
                || (forwarded && session.is_some_and(|session| matches!(session, Credential::Bearer(_))));
            let tokens = Tokens { rule, kept };
            let goes = (tokens.read_bearer() && !is_kept_bearer && holds_bearer(headers))
                || (headers.contains_key(AUTHORIZATION) && rule.takes_authorization(policy));
            if goes {
                edits.push(Edit::Remove(AUTHORIZATION));
            }
            edits.extend(headers.keys().filter(|name| tokens.take_header(name)).cloned().map(Edit::Remove));
            let is_removed = |name: &&HeaderName| rule.remove_headers.contains(name);
            edits.extend(headers.keys().filter(is_removed).cloned().map(Edit::Remove));
            let jar = Jar {
                sources: &policy.sources,
                kept: session.filter(|_| forwarded),
                owned: &policy.owned.cookies,
                tokens: Some(&tokens),
                takes_all: rule.remove_headers.contains(&COOKIE),
            };
            edits.extend(cookie_edit(headers, &jar, stamps));
        }
    }
    let of_request = stamps.iter().filter(|stamp| stamp.on == Surface::Request);
    edits.extend(of_request.map(|stamp| Edit::Set {
        name: stamp.name.clone(),
        spelling: Arc::clone(&stamp.spelling),
        value: stamp.value.clone(),
    }));
    edits
}

/// What becomes of the credentials on the way to a service: all that Kratos was or could be asked about go, but the one
/// that decided where the rule forwards it. A Bearer goes if it decided, even if it does not look like one of Kratos'.
fn remove_credentials(
    edits: &mut Edits,
    headers: &HeaderMap,
    sources: &Sources,
    decided: Option<&Credential<'_>>,
    forwarded: bool,
) {
    let kept = decided.filter(|_| forwarded);
    if sources.session_token
        && headers.contains_key(SESSION_TOKEN)
        && !kept.is_some_and(|kept| matches!(kept, Credential::Token(_)))
    {
        edits.push(Edit::Remove(SESSION_TOKEN));
    }
    if sources.bearer
        && let Some(token) = headers.get(AUTHORIZATION).and_then(|value| bearer_token(value.as_bytes()))
    {
        let bearer = Credential::Bearer(token);
        let is_decided = decided.is_some_and(|decided| matches!(decided, Credential::Bearer(_)));
        // Beside a cookie that Kratos could not decode it may have decided all the same, marked or not.
        let may_be_kratos =
            bearer.is_marked_session_token() || (decided.is_some() && bearer.is_like_old_session_token());
        if (is_decided && !forwarded) || (!is_decided && may_be_kratos) {
            edits.push(Edit::Remove(AUTHORIZATION));
        }
    }
}

/// The tokens that a rule's authenticators judge. A service that reads them believes that they were found good, so it gets
/// none but the one that was.
struct Tokens<'t> {
    rule: &'t Rule,
    /// The one that decided, where the rule forwards it.
    kept: Option<&'t Carried>,
}

impl<'t> Tokens<'t> {
    fn carried(&self) -> impl Iterator<Item = &'t Carried> {
        self.rule.authenticate.iter().filter_map(Authenticator::issuer).map(|issuer| &issuer.carried)
    }

    fn read_bearer(&self) -> bool {
        self.carried().any(|carried| *carried == Carried::Bearer)
    }

    /// A header that a service might take for one of them counts, too.
    fn take_header(&self, name: &HeaderName) -> bool {
        self.carried().any(|carried| match carried {
            Carried::Header(own) => is_read_as(name, own) && (self.kept != Some(carried) || name != own),
            Carried::Bearer | Carried::Cookie(_) => false,
        })
    }

    /// So does a cookie.
    fn take_cookie(&self, name: &[u8]) -> bool {
        self.cookies().any(|(carried, own)| {
            is_cookie_read_as(name, own) && (self.kept != Some(carried) || own.as_bytes() != name)
        })
    }

    fn cookies(&self) -> impl Iterator<Item = (&'t Carried, &'t str)> {
        self.carried().filter_map(|carried| match carried {
            Carried::Cookie(own) => Some((carried, &**own)),
            Carried::Bearer | Carried::Header(_) => None,
        })
    }
}

/// Whether there is anything that a lenient service would read as a Bearer.
fn holds_bearer(headers: &HeaderMap) -> bool {
    let is_bearer = |value: &HeaderValue| {
        let value = value.as_bytes().trim_ascii();
        value.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer"))
    };
    headers.get_all(AUTHORIZATION).iter().any(is_bearer)
}

/// Which of the client's cookies a service does not get.
struct Jar<'j> {
    sources: &'j Sources,
    /// The one that decided, where the rule forwards it.
    kept: Option<&'j Credential<'j>>,
    owned: &'j HashSet<Box<str>>,
    tokens: Option<&'j Tokens<'j>>,
    takes_all: bool,
}

impl Jar<'_> {
    fn takes(&self, name: &[u8], value: Option<&[u8]>) -> bool {
        let is_kept = self.kept.is_some_and(|kept| {
            matches!(kept, Credential::Cookie { name: kept_name, value: kept } if *kept_name == name && Some(*kept) == value)
        });
        self.takes_all
            || (is_session_cookie(name, self.sources) && !is_kept)
            || self.owned.iter().any(|own| is_cookie_read_as(name, own))
            || self.tokens.is_some_and(|tokens| tokens.take_cookie(name))
            || value.is_some_and(|value| self.finds_in(value))
    }

    /// Whether a service might find a cookie in this value that no client may send.
    fn finds_in(&self, value: &[u8]) -> bool {
        let tokens = || self.tokens.iter().flat_map(|tokens| tokens.cookies()).map(|(_, own)| own);
        self.owned.iter().map(|own| &**own).chain(tokens()).any(|own| is_cookie_read_in(value, own))
    }
}

/// One Cookie header: ours, for some services read the first of a name, then what is left of the client's. Nothing where the head has nothing to change.
fn cookie_edit(headers: &HeaderMap, jar: &Jar<'_>, stamps: &[Stamp]) -> Option<Edit> {
    let mut changes = headers.get_all(COOKIE).iter().nth(1).is_some();
    let mut line = Vec::new();
    let mut push = |pair: &[u8]| {
        if !line.is_empty() {
            line.extend_from_slice(b"; ");
        }
        line.extend_from_slice(pair);
    };
    for stamp in stamps.iter().filter(|stamp| stamp.on == Surface::Cookie) {
        changes = true;
        push(&[stamp.spelling.as_bytes(), b"=", stamp.value.as_bytes()].concat());
    }
    for header in headers.get_all(COOKIE) {
        for pair in header.as_bytes().split(|byte| *byte == b';').map(<[u8]>::trim_ascii) {
            let equals = pair.iter().position(|byte| *byte == b'=');
            let name = pair[..equals.unwrap_or(pair.len())].trim_ascii();
            let value = equals.map(|at| pair[at + 1..].trim_ascii());
            if jar.takes(name, value) {
                changes = true;
            } else if !pair.is_empty() {
                push(pair);
            }
        }
    }
    if !changes {
        return None;
    }
    match HeaderValue::from_bytes(&line) {
        Ok(value) if !value.is_empty() => Some(Edit::Set { name: COOKIE, spelling: "Cookie".into(), value }),
        Ok(_) | Err(_) => headers.contains_key(COOKIE).then_some(Edit::Remove(COOKIE)),
    }
}

/// Several Cookie headers as one, in order: Kratos reads one, and HTTP/2 clients may split theirs.
fn join_cookies(headers: &HeaderMap) -> Option<Edit> {
    let sources = Sources { session_token: false, cookies: Vec::new(), bearer: false };
    let jar = Jar { sources: &sources, kept: None, owned: &HashSet::new(), tokens: None, takes_all: false };
    cookie_edit(headers, &jar, &[])
}

/// The stamps of one permit, shared between the requests of a session where they do not depend on the request.
pub type Stamps = Arc<[Stamp]>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::index::Index;
    use crate::decision::names::forwarding;
    use crate::decision::policy::{IdentityHeader, Login};
    use crate::decision::rule::Access;

    fn policy() -> Policy {
        let mut owned = Owned::default();
        owned.insert("X-User-Id");
        Policy {
            generation: 1,
            rules: Vec::new(),
            reserved: Vec::new(),
            index: Index::build(&[], &[]).unwrap(),
            owned,
            forwarding: forwarding(),
            identity_header: IdentityHeader {
                name: HeaderName::from_static("x-user-id"),
                spelling: "X-User-Id".into(),
            },
            sources: Sources::default(),
            trusted_proxies: Vec::new(),
            login: Login { url: "/login".into() },
            public_url: None,
            kratos_prefix: "".into(),
            tokenizes: false,
        }
    }

    /// The edits toward a service in words.
    fn edited(headers: &[(&'static str, &'static str)], decided: bool, forwarded: bool) -> Vec<String> {
        let decided = if decided { Decider::Session } else { Decider::Nobody };
        let rule = Rule { forward_credentials: forwarded, ..Rule::new("rule", Access::Public) };
        edited_toward(Toward::Service { decided, rule: &rule }, headers, &[])
    }

    fn edited_toward(
        toward: Toward<'_>,
        headers: &[(&'static str, &'static str)],
        stamps: &[(&'static str, &'static str)],
    ) -> Vec<String> {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect::<HeaderMap>();
        let stamp = |(name, value): &(&'static str, &'static str)| Stamp {
            on: Surface::Request,
            name: HeaderName::from_bytes(name.as_bytes()).unwrap(),
            spelling: (*name).into(),
            value: HeaderValue::from_static(value),
        };
        let stamps = stamps.iter().map(stamp).collect::<Vec<_>>();
        edits(&policy(), &headers, toward, &stamps)
            .iter()
            .map(|edit| match edit {
                Edit::Remove(name) => format!("-{name}"),
                Edit::Set { spelling, value, .. } => format!("{spelling}={}", value.to_str().unwrap()),
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
            (vec![("cookie", "a=b; ory_kratos_session=s; c=d")], vec!["Cookie=a=b; c=d".to_owned()]),
            (vec![("cookie", "ory_kratos_session=s;ory_kratos_session=t; =x")], vec!["Cookie==x".to_owned()]),
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
        assert_eq!(edited(&[cookie, bearer], true, true), ["-authorization", "Cookie=a=b; ory_kratos_session=s"]);
        assert_eq!(edited(&[cookie, bearer, token], true, true), ["-authorization", "Cookie=a=b"]);
        assert_eq!(edited(&[bearer], true, true), Vec::<String>::new());
        // Nobody decided by it, so nobody gets it.
        assert_eq!(edited(&[token], false, true), ["-x-session-token"]);
    }

    #[test]
    fn an_old_token_beside_a_cookie_does_not_reach_the_service() {
        let old = ("authorization", "Bearer 0123456789abcdef0123456789abcdef");
        let cookie = ("cookie", "ory_kratos_session=undecodable");
        assert_eq!(edited(&[cookie, old], true, false), ["-authorization", "-cookie"]);
        assert_eq!(edited(&[cookie, old], false, false), ["-cookie"], "nobody decided by it: it is the service's own");
    }

    #[test]
    fn several_cookie_headers_become_one() {
        assert_eq!(edited(&[("cookie", "a=b"), ("cookie", "c=d")], false, false), ["Cookie=a=b; c=d"]);
    }

    #[test]
    fn removals_come_before_credentials_and_what_is_set_comes_last() {
        let headers = [
            ("cookie", "a=b; ory_kratos_session=s"),
            ("x_user_id", "mallory"),
            ("x-forwarded-for", "1.2.3.4"),
            ("cookie", "c=d"),
        ];
        let stamps = [("X-User-Id", "ann"), ("X-Plan", "gold")];
        let rule = Rule::new("rule", Access::Public);
        let service = Toward::Service { decided: Decider::Session, rule: &rule };
        assert_eq!(
            edited_toward(service, &headers, &stamps),
            ["-x_user_id", "-x-forwarded-for", "Cookie=a=b; c=d", "X-User-Id=ann", "X-Plan=gold"]
        );
        // Kratos reads one Cookie header, and is the one whom the credentials are for.
        assert_eq!(
            edited_toward(Toward::Kratos, &headers, &[]),
            ["-x_user_id", "-x-forwarded-for", "Cookie=a=b; ory_kratos_session=s; c=d"]
        );
        assert_eq!(edited_toward(Toward::Kratos, &[("x-session-token", "t")], &[]), Vec::<String>::new());
    }
}
