//! Issuers of tokens, by name, and which of them a rule believes.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use url::Url;

use crate::config::decode::{Decoder, Fields, items, list_of};
use crate::config::headers::{check_name, is_framing};
use crate::config::keys;
use crate::config::kratos::cookie_name;
use crate::config::listen::{authority, web_url};
use crate::config::node::{Kind, Mark, Node};
use crate::config::services::{authorization, unknown, use_of};
use crate::config::units;
use crate::config::units::Misread;
use crate::config::upstreams::{NAME, is_name};
use crate::decision::authenticate::{
    Algorithm, Authenticator, Carried, Introspection, Issuer, Jwt, KeySource, OnInvalid, ScopeStrategy, Scopes,
    Verification,
};
use crate::decision::credentials::SESSION_TOKEN;
use crate::decision::names::is_read_as;
use crate::decision::rule::{Access, Rule};
use crate::tokens::jwks::{Contents, MAX_KEYS};

/// By how much clocks may differ unless something else is said.
const LEEWAY: Duration = Duration::from_secs(10);
/// Clocks that differ by more are not set.
const MOST_LEEWAY: Duration = Duration::from_secs(600);
const REFRESH_AFTER: Duration = Duration::from_secs(300);
const TIMEOUT: Duration = Duration::from_secs(2);
/// What tokens are signed with unless something else is said.
const ALGORITHMS: [Algorithm; 3] = [Algorithm::EdDsa, Algorithm::Es256, Algorithm::Rs256];
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

fn jwt(decoder: &mut Decoder<'_>, node: &Node) -> Option<Jwt> {
    let fields = decoder.fields(node, keys::JWT)?;
    let sources = decoder.required(&fields, "jwks")?;
    let jwks = items(sources).iter().map(|node| source(decoder, node)).collect::<Vec<_>>();
    let jwks = jwks.into_iter().collect::<Option<Vec<_>>>();
    let algorithms = match fields.get("algorithms") {
        Some(node) => items(node).iter().map(|node| algorithm(decoder, node)).collect::<Vec<_>>(),
        None => ALGORITHMS.into_iter().map(Some).collect(),
    };
    let jwt = Jwt {
        jwks: jwks?,
        algorithms: algorithms.into_iter().collect::<Option<_>>()?,
        issuers: fields.get("issuers").map(|node| decoder.name_list(node)).unwrap_or_default(),
        audience: fields.get("audience").map(|node| decoder.name_list(node)).unwrap_or_default(),
        leeway: leeway(decoder, &fields),
        refresh_after: fields.get("refresh_after").and_then(|node| decoder.positive(node)).unwrap_or(REFRESH_AFTER),
        timeout: fields.get("timeout").and_then(|node| decoder.positive(node)).unwrap_or(TIMEOUT),
        authority: authority(decoder, &fields),
    };
    if jwt.jwks.is_empty() || jwt.algorithms.is_empty() {
        decoder.report.fault(fields.mark, "`jwks` and `algorithms` list at least one each");
        return None;
    }
    if jwt.issuers.is_empty() && jwt.audience.is_empty() {
        let why = "whatever its keys sign is believed, for whomever it was meant: say `issuers` or `audience`";
        decoder.report.warn(node.mark, why, None);
    }
    Some(jwt)
}

fn source(decoder: &mut Decoder<'_>, node: &Node) -> Option<KeySource> {
    let text = decoder.text(node)?;
    if text.contains("://") {
        return decoder.parsed(node, web_url).map(KeySource::Url);
    }
    let path = decoder.folder.join(&text);
    match decoder.read(&path) {
        Ok(document) => match Contents::of(&document) {
            None | Some(Contents { usable: 0, .. }) => {
                decoder.report.fault(node.mark, format!("`{}` is no JWKS with a key that can be used", path.display()));
                None
            }
            Some(Contents { all, .. }) if all > MAX_KEYS => {
                let why = format!("`{}` holds {all} keys; {MAX_KEYS} are the most", path.display());
                decoder.report.fault(node.mark, why);
                None
            }
            Some(Contents { secret, .. }) => {
                if secret > 0 {
                    let why =
                        format!("`{}` holds private keys, with which anyone who reads it can sign", path.display());
                    let cure = "leave only the public parts in it";
                    decoder.report.warn(node.mark, why, Some(cure.to_owned()));
                }
                Some(KeySource::File(document.into()))
            }
        },
        Err(error) => {
            decoder.report.fault(node.mark, format!("`{}` cannot be read: {error}", path.display()));
            None
        }
    }
}

fn algorithm(decoder: &mut Decoder<'_>, node: &Node) -> Option<Algorithm> {
    decoder.parsed(node, |text| match Algorithm::parse(text) {
        Some(algorithm) => Ok(algorithm),
        None if text.eq_ignore_ascii_case("none") => Err(Misread::new("is no signature at all")),
        None if text.starts_with("HS") => Err(Misread::new("needs a shared secret: whoever checks could sign as well")),
        None => Err(Misread::new(format!("is none of {}", list_of(&Algorithm::ALL.map(Algorithm::as_str))))),
    })
}

fn leeway(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> Duration {
    let read = fields.get("leeway").and_then(|node| {
        decoder.parsed(node, |text| {
            let leeway = units::duration(text)?;
            if leeway <= MOST_LEEWAY {
                Ok(leeway)
            } else {
                Err(Misread::new("is more than 10m: set the clocks instead"))
            }
        })
    });
    read.unwrap_or(LEEWAY)
}

fn introspection(decoder: &mut Decoder<'_>, node: &Node) -> Option<Introspection> {
    let fields = decoder.fields(node, keys::INTROSPECTION)?;
    let url: Option<Url> = decoder.required(&fields, "url").and_then(|node| decoder.parsed(node, web_url));
    let basic = fields.get("basic").map(|node| basic(decoder, node));
    let own = fields.get("authorization").map(|node| authorization(decoder, node));
    if basic.is_some() && own.is_some() {
        decoder.report.fault(fields.key_mark("basic"), "`authorization` says who the gateway is already");
    }
    let authorization = match basic.or(own) {
        Some(authorization) => Some(authorization?),
        None => None,
    };
    Some(Introspection {
        url: url?,
        authorization,
        issuers: fields.get("issuers").map(|node| decoder.name_list(node)).unwrap_or_default(),
        audience: fields.get("audience").map(|node| decoder.name_list(node)).unwrap_or_default(),
        leeway: leeway(decoder, &fields),
        timeout: fields.get("timeout").and_then(|node| decoder.positive(node)).unwrap_or(TIMEOUT),
        ttl: fields.get("ttl").and_then(|node| decoder.duration(node)).unwrap_or_default(),
        authority: authority(decoder, &fields),
    })
}

/// The name and password of a client, as RFC 6749 has them encoded.
fn basic(decoder: &mut Decoder<'_>, node: &Node) -> Option<HeaderValue> {
    let fields = decoder.fields(node, keys::BASIC)?;
    let username = decoder.required(&fields, "username").and_then(|node| decoder.text(node));
    let password = decoder.required(&fields, "password").and_then(|node| decoder.text(node));
    let encode = |text: String| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = STANDARD.encode(format!("{}:{}", encode(username?), encode(password?)));
    let mut value = HeaderValue::try_from(format!("Basic {pair}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}
