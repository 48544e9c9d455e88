//! How tokens are checked: by the keys of whoever signed them, or by asking whoever issued them.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use url::Url;

use crate::config::decode::{Decoder, Fields, items, list_of};
use crate::config::keys;
use crate::config::listen::{authority, web_url};
use crate::config::node::Node;
use crate::config::services::authorization;
use crate::config::units;
use crate::config::units::Misread;
use crate::decision::authenticate::{Algorithm, Introspection, Jwt, KeySource};
use crate::tokens::jwks::{Contents, MAX_KEYS};

/// By how much clocks may differ unless something else is said.
const LEEWAY: Duration = Duration::from_secs(10);
/// Clocks that differ by more are not set.
const MOST_LEEWAY: Duration = Duration::from_secs(600);
const REFRESH_AFTER: Duration = Duration::from_secs(300);
const TIMEOUT: Duration = Duration::from_secs(2);
/// What tokens are signed with unless something else is said.
const ALGORITHMS: [Algorithm; 3] = [Algorithm::EdDsa, Algorithm::Es256, Algorithm::Rs256];
pub(crate) fn jwt(decoder: &mut Decoder<'_>, node: &Node) -> Option<Jwt> {
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
    let (path, document) = decoder.file(node)?;
    let path = path.display();
    let Some(Contents { all, secret, .. }) = Contents::of(&document).filter(|contents| contents.usable > 0) else {
        decoder.report.fault(node.mark, format!("`{path}` is no JWKS with a key that can be used"));
        return None;
    };
    if all > MAX_KEYS {
        decoder.report.fault(node.mark, format!("`{path}` holds {all} keys; {MAX_KEYS} are the most"));
        return None;
    }
    if secret > 0 {
        let why = format!("`{path}` holds private keys, with which anyone who reads it can sign");
        decoder.report.warn(node.mark, why, Some("leave only the public parts in it".to_owned()));
    }
    Some(KeySource::File(document.into()))
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

pub(crate) fn introspection(decoder: &mut Decoder<'_>, node: &Node) -> Option<Introspection> {
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
