//! A rule: which requests it owns is the index's affair, what it demands of them is said here.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;

use crate::decision::authenticate::{Authenticator, OnInvalid};
use crate::decision::call::{Check, Enrichment, Service};
use crate::decision::cors::Cors;
use crate::decision::dress::Dresses;
use crate::decision::expression::{Expression, Reads};
use crate::decision::id_token::{Carrier, IdToken};
use crate::decision::names::FoldedNames;
use crate::decision::policy::Policy;
use crate::decision::redirect::Redirect;
use crate::decision::rewrite::Rewrite;
use crate::decision::session::Aal;
use crate::decision::template::{CookieTemplate, HeaderTemplate};
use crate::decision::upstream::Upstream;

/// What a request of this rule must bring, and what becomes of it.
#[derive(Debug)]
pub struct Rule {
    pub id: Box<str>,
    /// Who can vouch for a caller, in the order in which they are looked at.
    pub authenticate: Vec<Authenticator>,
    pub access: Access,
    /// What is asked about the caller before anything reads `context`.
    pub enrich: Vec<Enrichment>,
    /// A condition that must hold besides; it sees a null session where there is none.
    pub when: Option<Expression>,
    /// Those who must agree too, in the order in which they are asked.
    pub authorize: Vec<Check>,
    pub headers: Vec<HeaderTemplate>,
    /// A signed token that says who asks.
    pub id_token: Option<IdToken>,
    /// Cookies for the service.
    pub cookies: Vec<CookieTemplate>,
    /// What the service does not get of the request's head.
    pub remove_headers: FoldedNames,
    /// Set on the service's answers.
    pub response_headers: Vec<HeaderTemplate>,
    pub remove_response_headers: Vec<HeaderName>,
    pub rewrite: Rewrite,
    pub on_refusal: Dresses,
    /// The service also gets the one credential that decided.
    pub forward_credentials: bool,
    /// What pages of other origins may do; absent: that is left to whoever answers.
    pub cors: Option<Cors>,
    /// Absent: the rule answers decisions only.
    pub target: Option<Target>,
}

/// Who may pass.
#[derive(Clone, Debug)]
pub enum Access {
    Deny,
    /// Anyone; who has a session is named.
    Optional {
        on_outage: OnOutage,
    },
    /// Anyone; Kratos is not asked.
    Public,
    Session(Demands),
}

/// What a session must be to pass.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Demands {
    /// At least this much assurance; the default asks for nothing beyond a session.
    pub aal: Aal,
    /// The user signed in no longer ago than this.
    pub authenticated_within: Option<Duration>,
    /// Kratos vouched for it no longer ago than this; zero: for this very request.
    pub checked_within: Option<Duration>,
    /// The identity has a verified address.
    pub verified: bool,
}

impl Demands {
    /// Whether they ask for what only a session can have.
    pub fn exceed_a_session(&self) -> bool {
        *self != Self { checked_within: self.checked_within, ..Self::default() }
    }
}

/// What happens on an optional rule when a credential could not be judged.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum OnOutage {
    /// The request passes unnamed.
    Anonymous,
    /// The request is refused with 503.
    #[default]
    Refuse,
}

/// How a refusal is dressed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum OnRefusal {
    /// Redirects for navigations, JSON for everyone else.
    #[default]
    Auto,
    /// JSON for everyone.
    Json,
    /// Redirects for navigations and for whatever else is safe to repeat.
    Redirect,
}

/// Where a permitted request goes.
#[derive(Clone, Debug)]
pub enum Target {
    /// Kratos' public API.
    Kratos(Arc<Upstream>),
    /// The public halves of the keys that the gateway signs with.
    Keys,
    /// The gateway's own sign-in pages.
    Pages,
    /// Nowhere: the client is sent elsewhere.
    Redirect(Arc<Redirect>),
    Service(Arc<Upstream>),
}

impl Rule {
    /// A rule that says nothing beyond who may pass.
    pub fn new(id: &str, access: Access) -> Self {
        Self {
            id: id.into(),
            authenticate: vec![Authenticator::Session { on_invalid: OnInvalid::default() }],
            access,
            enrich: Vec::new(),
            when: None,
            authorize: Vec::new(),
            headers: Vec::new(),
            id_token: None,
            cookies: Vec::new(),
            remove_headers: FoldedNames::default(),
            response_headers: Vec::new(),
            remove_response_headers: Vec::new(),
            rewrite: Rewrite::default(),
            on_refusal: Dresses::default(),
            forward_credentials: false,
            cors: None,
            target: None,
        }
    }

    /// Whether deciding or rendering this rule needs the session's facts, beyond the fields every session has.
    pub fn reads_facts(&self) -> bool {
        self.reads().any(|(_, reads)| reads.session)
    }

    /// What its expressions read, with the key of the configuration that holds them.
    pub fn reads(&self) -> impl Iterator<Item = (&'static str, Reads)> {
        let enrich = self.enrich.iter().map(|enrichment| ("enrich", enrichment.call.reads()));
        let when = self.when.iter().map(|when| ("require", when.reads()));
        let authorize = self.authorize.iter().map(|check| ("authorize", check.reads()));
        let headers = self.headers.iter().map(|header| ("headers", header.reads()));
        let token = self.id_token.iter().map(|token| ("id_token", token.reads()));
        let cookies = self.cookies.iter().map(|cookie| ("cookies", cookie.reads()));
        let response = self.response_headers.iter().map(|header| ("response_headers", header.reads()));
        let redirect = match &self.target {
            Some(Target::Redirect(redirect)) => Some(("redirect", redirect.reads())),
            Some(Target::Keys | Target::Kratos(_) | Target::Pages | Target::Service(_)) | None => None,
        };
        let first = enrich.chain(when).chain(authorize).chain(headers).chain(token);
        first.chain(cookies).chain(response).chain(redirect)
    }

    /// The headers that the gateway sets on this rule and owns on every one, with their names as configured.
    pub fn sets(&self) -> impl Iterator<Item = (HeaderName, &str)> {
        let headers = self.headers.iter().map(|header| (header.name().clone(), &**header.spelling()));
        let token = self.id_token.as_ref().and_then(|token| match &token.carrier {
            Carrier::Bearer => None,
            Carrier::Header { name, spelling } => Some((name.clone(), &**spelling)),
        });
        let picked = self.authorize.iter().flat_map(|check| &check.pick);
        headers.chain(token).chain(picked.map(|(name, spelling)| (name.clone(), &**spelling)))
    }

    /// Everyone who is asked about a request beyond who asks.
    pub fn services(&self) -> impl Iterator<Item = &Arc<Service>> {
        let enriching = self.enrich.iter().map(|enrichment| &enrichment.call.service);
        enriching.chain(self.authorize.iter().map(|check| &check.call.service))
    }

    /// Whether anybody is asked who asks.
    pub fn asks_who(&self) -> bool {
        match &self.access {
            Access::Optional { .. } | Access::Session(_) => true,
            Access::Deny | Access::Public => false,
        }
    }

    /// Whether a session of Kratos' can vouch for a caller.
    pub fn takes_sessions(&self) -> bool {
        self.authenticate.iter().any(|authenticator| matches!(authenticator, Authenticator::Session { .. }))
    }

    /// Whether services get the session as a token of Kratos', where it has one: in `Authorization`, unless something
    /// else goes there.
    pub fn hands_on_tokens(&self, policy: &Policy) -> bool {
        let is_free = self.id_token.as_ref().is_none_or(|token| !token.carrier.is_bearer());
        policy.tokenizes && self.asks_who() && is_free && !self.forward_credentials
    }

    /// Whether the gateway says in `Authorization` who asks, so that nobody else does.
    pub fn takes_authorization(&self, policy: &Policy) -> bool {
        self.id_token.as_ref().is_some_and(|token| token.carrier.is_bearer()) || self.hands_on_tokens(policy)
    }

    /// How old an answer of Kratos may be for this rule.
    pub fn checked_within(&self) -> Option<Duration> {
        match &self.access {
            Access::Session(demands) => demands.checked_within,
            Access::Deny | Access::Optional { .. } | Access::Public => None,
        }
    }
}
