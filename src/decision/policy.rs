//! All that a reload replaces: the rules, their index, and what holds for every request.

use std::sync::Arc;

use http::HeaderName;
use ipnet::IpNet;

use crate::decision::credentials::Sources;
use crate::decision::edits::Owned;
use crate::decision::index::Index;
use crate::decision::index::Owner;
use crate::decision::names::FoldedNames;
use crate::decision::rule::Rule;

/// A whole policy, valid by construction.
pub struct Policy {
    /// Tells policies apart; a later one has a greater number.
    pub generation: u64,
    pub rules: Vec<Arc<Rule>>,
    /// The gateway's own rules: Kratos' public API and the sign-in pages.
    pub reserved: Vec<Arc<Rule>>,
    pub index: Index,
    pub owned: Owned,
    pub forwarding: FoldedNames,
    pub identity_header: IdentityHeader,
    pub sources: Sources,
    pub trusted_proxies: Vec<IpNet>,
    pub login: Login,
    /// What browsers call the gateway: scheme and authority, where they differ from what it sees.
    pub public_url: Option<PublicUrl>,
    /// Where Kratos' public API is mounted here; stripped on the way to it. Empty or `/…` without a trailing slash.
    pub kratos_prefix: Box<str>,
    /// Kratos is asked for sessions as signed tokens, which services get in `Authorization`.
    pub tokenizes: bool,
}

impl Policy {
    pub fn rule(&self, owner: Owner) -> &Arc<Rule> {
        match owner {
            Owner::Reserved(number) => &self.reserved[number as usize],
            Owner::Rule(number) => &self.rules[number as usize],
        }
    }

    /// Whether any rule reads facts of the session beyond the fields that every session has.
    pub fn reads_facts(&self) -> bool {
        self.rules.iter().any(|rule| rule.reads_facts())
    }
}

/// The header that tells services who asks.
#[derive(Clone, Debug)]
pub struct IdentityHeader {
    pub name: HeaderName,
    /// As configured.
    pub spelling: Arc<str>,
}

/// Where browsers without a session are sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Login {
    /// An absolute URL, or a path on the same host.
    pub url: Box<str>,
}

/// The scheme and authority of `listen.public_url`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PublicUrl {
    /// `https://app.example.com`, without a trailing slash.
    pub origin: Box<str>,
    /// Its host in lower case, without the port.
    pub host: Box<str>,
}
