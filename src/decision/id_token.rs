//! What a rule would have signed about a caller.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::HeaderName;
use http::header::AUTHORIZATION;

use crate::decision::decide::{Passing, Permit};
use crate::decision::expression::{Reads, Scope};
use crate::decision::payload::{Absent, Payload};

/// The token that the service of a rule gets.
#[derive(Debug)]
pub struct IdToken {
    pub carrier: Carrier,
    /// Whom it is meant for; may be empty.
    pub audience: Arc<[Box<str>]>,
    /// How long it is good, at most.
    pub ttl: Duration,
    /// What it says beyond who asks; a map.
    pub claims: Payload,
}

/// The header that carries the token.
#[derive(Clone, Debug)]
pub enum Carrier {
    /// `Authorization: Bearer`. The client's own is removed on this rule.
    Bearer,
    /// The token alone, in a header that the gateway owns.
    Header { name: HeaderName, spelling: Arc<str> },
}

/// What is to be signed.
#[derive(Clone, Debug)]
pub struct Assertion {
    pub subject: String,
    pub audience: Arc<[Box<str>]>,
    /// A JSON object.
    pub claims: String,
    pub ttl: Duration,
    /// When what it speaks of ends, whatever its `ttl`.
    pub ends_at: Option<SystemTime>,
    /// What stands before the token in its header.
    pub prefix: &'static str,
}

impl IdToken {
    pub fn reads(&self) -> Reads {
        self.claims.reads()
    }

    /// What to sign for a permitted request; nothing where nobody is named.
    pub fn assertion(&self, permit: &Permit, scope: &Scope<'_>) -> Option<Assertion> {
        let ends_at = match permit.caller() {
            Passing::Session(session) => Some(session.expires_at),
            Passing::Token(token, _) => token.expires_at,
            Passing::Unnamed => None,
        };
        Some(Assertion {
            subject: scope.subject?.to_owned(),
            audience: Arc::clone(&self.audience),
            claims: self.claims.render(scope, Absent::Null)?,
            ttl: self.ttl,
            ends_at,
            prefix: self.carrier.prefix(),
        })
    }
}

impl Carrier {
    pub fn name(&self) -> HeaderName {
        match self {
            Self::Bearer => AUTHORIZATION,
            Self::Header { name, .. } => name.clone(),
        }
    }

    pub fn spelling(&self) -> Arc<str> {
        match self {
            Self::Bearer => "Authorization".into(),
            Self::Header { spelling, .. } => Arc::clone(spelling),
        }
    }

    pub fn is_bearer(&self) -> bool {
        match self {
            Self::Bearer => true,
            Self::Header { .. } => false,
        }
    }

    fn prefix(&self) -> &'static str {
        match self {
            Self::Bearer => "Bearer ",
            Self::Header { .. } => "",
        }
    }
}
