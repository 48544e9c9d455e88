//! Issuers of tokens, by name, and which of them a rule believes.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::config::decode::{Decoder, Fields, items};
use crate::config::headers::{check_name, is_framing};
use crate::config::keys;
use crate::config::kratos::cookie_name;
use crate::config::node::{Kind, Mark, Node};
use crate::config::services::{unknown, use_of};
use crate::config::upstreams::{NAME, is_name};
use crate::config::verification::{introspection, jwt};
use crate::decision::authenticate::{Authenticator, Carried, Issuer, OnInvalid, ScopeStrategy, Scopes, Verification};
use crate::decision::credentials::SESSION_TOKEN;
use crate::decision::names::is_read_as;
use crate::decision::rule::{Access, Rule};

/// What callers without a credential are called.
const ANONYMOUS: &str = "anonymous";
const SESSION: &str = "session";

/// The named issuers, and which of them any rule believes.
#[derive(Default)]
pub(crate) struct Authenticators {
    /// Without a value where it has a fault of its own.
    named: HashMap<Box<str>, (Mark, Option<Named>)>,
    used: HashSet<Box<str>>,
}

struct Named {
    issuer: Arc<Issuer>,
    scopes: Scopes,
}

impl Authenticators {
    pub(crate) fn decode(decoder: &mut Decoder<'_>, node: &Node, session_cookies: &[Box<str>]) -> Self {
        let mut authenticators = Self::default();
        for entry in decoder.entries(node).unwrap_or_default() {
            if matches!(&*entry.key, ANONYMOUS | SESSION) {
                decoder.report.fault(entry.mark, format!("`{}` is there anyway; choose another name", entry.key));
            } else if !is_name(&entry.key) {
                decoder.report.fault(entry.mark, format!("`{}` is no name: {NAME}", entry.key));
            }
            let named = authenticator(decoder, &entry.key, &entry.value, session_cookies);
            authenticators.named.insert(entry.key.clone(), (entry.mark, named));
        }
        authenticators
    }

    /// Who can vouch for callers of a rule, in the order in which they are looked at.
    pub(crate) fn of_rule(&mut self, decoder: &mut Decoder<'_>, node: &Node) -> Vec<Authenticator> {
        let nodes = items(node);
        if nodes.is_empty() {
            decoder.report.fault(node.mark, "`authenticate` lists nobody; `access: public` asks nobody");
        }
        let mut seen = HashSet::new();
        let mut found = Vec::new();
        for (number, node) in nodes.iter().enumerate() {
            let Some((name, own)) = use_of(decoder, node) else { continue };
            if !seen.insert(name.clone()) {
                decoder.report.fault(node.mark, format!("`{name}` is listed twice"));
            }
            if name == ANONYMOUS && number + 1 < nodes.len() {
                decoder.report.fault(node.mark, "`anonymous` is the last one: nobody comes after nobody");
            }
            found.extend(self.one(decoder, node, &name, own));
        }
        found
    }

    fn one(&mut self, decoder: &mut Decoder<'_>, node: &Node, name: &str, own: Option<&Node>) -> Option<Authenticator> {
        match name {
            ANONYMOUS => {
                let fields = own.and_then(|node| decoder.fields(node, keys::RULE_ANONYMOUS));
                let subject = fields.and_then(|fields| fields.get("subject").and_then(|node| decoder.text(node)));
                Some(Authenticator::Anonymous { subject: subject.as_deref().unwrap_or(ANONYMOUS).into() })
            }
            SESSION => {
                let fields = own.and_then(|node| decoder.fields(node, keys::RULE_SESSION));
                let on_invalid = fields.and_then(|fields| on_invalid(decoder, &fields));
                Some(Authenticator::Session { on_invalid: on_invalid.unwrap_or_default() })
            }
            name => {
                let Some((_, named)) = self.named.get(name) else {
                    unknown(decoder, node.mark, "authenticator", name, self.named.keys());
                    return None;
                };
                self.used.insert(name.into());
                let Named { issuer, scopes } = named.as_ref()?;
                let (issuer, mut scopes) = (Arc::clone(issuer), scopes.clone());
                let fields = own.and_then(|node| decoder.fields(node, keys::RULE_TOKEN));
                let on_invalid = fields.as_ref().and_then(|fields| on_invalid(decoder, fields));
                if let Some(node) = fields.and_then(|fields| fields.get("scopes")) {
                    scopes.required = decoder.name_list(node);
                }
                Some(Authenticator::Token { issuer, scopes, on_invalid: on_invalid.unwrap_or_default() })
            }
        }
    }

    /// Warns of those that no rule believes.
    pub(crate) fn warn_of_unused(&self, decoder: &mut Decoder<'_>) {
        for (name, (mark, _)) in &self.named {
            if !self.used.contains(name) {
                decoder.report.warn(*mark, format!("no rule uses the authenticator `{name}`"), None);
            }
        }
    }
}

/// Who is asked must fit to who may pass.
pub(crate) fn check(decoder: &mut Decoder<'_>, fields: &Fields<'_>, rule: &Rule) {
    let Some(node) = fields.get("authenticate") else { return };
    let is_named = |authenticator: &Authenticator| authenticator.anonymous().is_some();
    match &rule.access {
        Access::Public | Access::Deny => {
            decoder.report.fault(fields.key_mark("authenticate"), "with this `access` nobody is asked who asks");
        }
        Access::Session(_) if rule.authenticate.iter().any(is_named) => {
            decoder.report.fault(node.mark, "`anonymous` is for rules with `access: optional`");
        }
        Access::Session(demands)
            if demands.exceed_a_session() && rule.authenticate.iter().any(|one| one.issuer().is_some()) =>
        {
            let why = "no token is what `require` demands of a session: requests with one are refused";
            decoder.report.warn(fields.key_mark("authenticate"), why, None);
        }
        Access::Optional { .. } | Access::Session(_) => {}
    }
}

fn on_invalid(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> Option<OnInvalid> {
    fields.get("on_invalid").and_then(|node| decoder.choice(node, keys::ON_INVALID))
}

fn authenticator(decoder: &mut Decoder<'_>, name: &str, node: &Node, session_cookies: &[Box<str>]) -> Option<Named> {
    let fields = decoder.fields(node, keys::AUTHENTICATOR)?;
    let verification = match (fields.get("jwt"), fields.get("introspection")) {
        (Some(node), None) => jwt(decoder, node).map(Verification::Jwt),
        (None, Some(node)) => introspection(decoder, node).map(Verification::Introspection),
        (Some(_), Some(_)) | (None, None) => {
            decoder.report.fault(node.mark, "an authenticator is exactly one of `jwt` and `introspection`");
            None
        }
    };
    let carried = match fields.get("from") {
        Some(node) => carried(decoder, node, session_cookies),
        None => Some(Carried::Bearer),
    };
    let subject = fields.get("subject").and_then(|node| decoder.text(node)).unwrap_or_else(|| "sub".to_owned());
    let is_identity = fields.get("subject_is_identity").and_then(|node| decoder.boolean(node)).unwrap_or_default();
    let strategy = fields.get("scope_strategy").and_then(|node| decoder.choice(node, keys::SCOPE_STRATEGIES));
    let required = fields.get("scopes").map(|node| decoder.name_list(node)).unwrap_or_default();
    let issuer = Issuer {
        name: name.into(),
        carried: carried?,
        subject: subject.into(),
        subject_is_identity: is_identity,
        verification: verification?,
    };
    let scopes = Scopes { required, strategy: strategy.unwrap_or(ScopeStrategy::Exact) };
    Some(Named { issuer: Arc::new(issuer), scopes })
}

/// `bearer`, `{ header: … }` or `{ cookie: … }`.
fn carried(decoder: &mut Decoder<'_>, node: &Node, session_cookies: &[Box<str>]) -> Option<Carried> {
    if let Kind::Scalar(_) = node.kind {
        return decoder.choice(node, &[("bearer", ())]).map(|()| Carried::Bearer);
    }
    let entries = decoder.entries(node)?;
    let [entry] = entries else {
        decoder.report.fault(node.mark, "a token stands in one place: `bearer`, a `header` or a `cookie`");
        return None;
    };
    match &*entry.key {
        "header" => {
            let name = decoder.header_name(&entry.value)?;
            if name == http::header::AUTHORIZATION {
                return Some(Carried::Bearer);
            }
            if is_framing(&name) || name == http::header::COOKIE || is_read_as(&name, &SESSION_TOKEN) {
                check_name(decoder, entry.value.mark, name.as_str(), &name);
                return None;
            }
            Some(Carried::Header(name))
        }
        "cookie" => {
            let name = cookie_name(decoder, &entry.value)?;
            if session_cookies.contains(&name) {
                decoder.report.fault(entry.value.mark, format!("`{name}` is Kratos' session cookie"));
            }
            Some(Carried::Cookie(name))
        }
        "query" | "query_parameter" => {
            let why = "tokens in URLs end up in logs, histories and `Referer`: they are not taken from there";
            decoder.report.fault(entry.mark, why);
            None
        }
        key => {
            decoder.report.fault_with(
                entry.mark,
                format!("unknown key `{key}`"),
                Some("known here: `header`, `cookie`".to_owned()),
            );
            None
        }
    }
}
