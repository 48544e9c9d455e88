//! Tokens that the gateway signs: its keys and its name, and what a rule would have said.

use std::time::Duration;

use http::header::AUTHORIZATION;

use crate::config::decode::{Decoder, Fields, items};
use crate::config::headers::own_header;
use crate::config::keys;
use crate::config::kratos;
use crate::config::node::{Kind, Mark, Node};
use crate::config::payload;
use crate::config::rules::Draft;
use crate::config::units::Misread;
use crate::decision::id_token::{Carrier, IdToken};
use crate::decision::pattern::HostPattern;
use crate::decision::payload::Payload;
use crate::decision::rule::Target;
use crate::signing::Settings;
use crate::signing::keys::SigningKey;

/// How long a token is good unless a rule says otherwise.
const TTL: Duration = Duration::from_secs(300);
/// The claims that are the gateway's own.
pub(crate) const OWN_CLAIMS: [&str; 7] = ["iss", "sub", "aud", "iat", "nbf", "exp", "jti"];
/// The id of the built-in rule for the keys.
pub(crate) const KEYS: &str = "keys";

/// What `id_token` says at the top.
#[derive(Default)]
pub(crate) struct Signing {
    pub(crate) settings: Settings,
    /// The public halves are on the clients' listener too.
    publish: bool,
    ttl: Option<Duration>,
    /// Where it stands, if it is written.
    mark: Option<Mark>,
}

impl Signing {
    pub(crate) fn decode(decoder: &mut Decoder<'_>, node: &Node) -> Self {
        let mut signing = Self { mark: Some(node.mark), ..Self::default() };
        let Some(fields) = decoder.fields(node, keys::ID_TOKEN) else { return signing };
        if let Some(node) = decoder.required(&fields, "issuer") {
            let issuer = decoder.parsed(node, |text| {
                if text.trim().is_empty() { Err(Misread::new("is no name")) } else { Ok(text.to_owned()) }
            });
            signing.settings.issuer = issuer.unwrap_or_default();
        }
        if let Some(node) = decoder.required(&fields, "keys") {
            for node in items(node) {
                signing.key(decoder, node);
            }
            if items(node).is_empty() {
                decoder.report.fault_with(
                    node.mark,
                    "no key is named",
                    Some("`portcullis keys generate FILE` makes one".to_owned()),
                );
            }
        }
        signing.publish = fields.get("publish").and_then(|node| decoder.boolean(node)).unwrap_or_default();
        signing.ttl = fields.get("ttl").and_then(|node| lifetime(decoder, node));
        signing
    }

    fn key(&mut self, decoder: &mut Decoder<'_>, node: &Node) {
        let Some((path, pem)) = decoder.file(node) else { return };
        match SigningKey::parse(&pem) {
            Err(error) => decoder.report.fault(node.mark, format!("`{}` {error}", path.display())),
            Ok(key) if self.settings.keys.iter().any(|known| known.id() == key.id()) => {
                decoder.report.fault(node.mark, format!("`{}` holds a key that is listed already", path.display()));
            }
            Ok(key) => self.settings.keys.push(key),
        }
    }

    /// What a rule would have signed; `true` stands for a token that says who asks and no more.
    pub(crate) fn of_rule(&self, decoder: &mut Decoder<'_>, node: &Node) -> Option<IdToken> {
        if self.mark.is_none() {
            let cure = "id_token: { issuer: https://gateway.example, keys: signing.pem }, at the top".to_owned();
            decoder.report.fault_with(node.mark, "there is nothing to sign it with", Some(cure));
        }
        let mut token = IdToken {
            carrier: Carrier::Bearer,
            audience: [].into(),
            ttl: self.ttl.unwrap_or(TTL),
            claims: Payload::Map(Vec::new()),
        };
        if let Kind::Scalar(_) = node.kind {
            return decoder.boolean(node)?.then_some(token);
        }
        let fields = decoder.fields(node, keys::RULE_ID_TOKEN)?;
        if let Some(node) = fields.get("audience") {
            token.audience = decoder.name_list(node).into();
        }
        if let Some(ttl) = fields.get("ttl").and_then(|node| lifetime(decoder, node)) {
            token.ttl = ttl;
        }
        if let Some(node) = fields.get("header") {
            token.carrier = carrier(decoder, node)?;
        }
        if let Some(claims) = claims(decoder, &fields) {
            token.claims = claims;
        }
        Some(token)
    }

    /// The built-in rule for the keys, where they are published.
    pub(crate) fn reserved(&self, hosts: &[HostPattern]) -> Option<Draft> {
        let path = "/.well-known/jwks.json".to_owned();
        self.publish.then(|| kratos::built_in(KEYS, hosts, &[path], Target::Keys)).flatten()
    }

    pub(crate) fn warn_if_unused(&self, decoder: &mut Decoder<'_>, drafts: &[Draft]) {
        if let Some(mark) = self.mark.filter(|_| drafts.iter().all(|draft| draft.rule.id_token.is_none())) {
            decoder.report.warn(mark, "no rule has an `id_token`", None);
        }
    }
}

fn claims(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> Option<Payload> {
    let node = fields.get("claims")?;
    for entry in decoder.entries(node)? {
        if OWN_CLAIMS.contains(&&*entry.key) {
            let cure = match &*entry.key {
                "aud" => Some("`audience` beside `claims` says it".to_owned()),
                "exp" => Some("`ttl` beside `claims` says it".to_owned()),
                _ => None,
            };
            decoder.report.fault_with(entry.mark, format!("`{}` is a claim of the gateway's own", entry.key), cure);
        }
    }
    payload::map(decoder, node).map(Payload::Map)
}

fn carrier(decoder: &mut Decoder<'_>, node: &Node) -> Option<Carrier> {
    if decoder.header_name(node)? == AUTHORIZATION {
        return Some(Carrier::Bearer);
    }
    own_header(decoder, node).map(|(name, spelling)| Carrier::Header { name, spelling })
}

/// Whole seconds, for that is how tokens count.
fn lifetime(decoder: &mut Decoder<'_>, node: &Node) -> Option<Duration> {
    let ttl = decoder.positive(node)?;
    if ttl < Duration::from_secs(1) || ttl > Duration::from_secs(24 * 3600) {
        decoder.report.fault(node.mark, "a token is good for 1s to 24h");
        return None;
    }
    Some(ttl)
}
