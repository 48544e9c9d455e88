//! What pages of other origins may do: `cors` of a rule, and of Kratos' public API.

use http::{HeaderName, HeaderValue};

use crate::config::decode::{Decoder, Fields, items};
use crate::config::keys;
use crate::config::node::{Kind, Node};
use crate::config::rules::method;
use crate::config::units::Misread;
use crate::decision::cors::{Cors, OriginError, OriginPattern};
use crate::decision::pattern::Methods;

/// What apps of Kratos send beyond what every page may send.
const HEADERS: HeaderValue = HeaderValue::from_static("content-type, authorization, x-session-token");

/// Reads the section; origins alone may stand for it. `methods` are those of the rule.
pub(crate) fn decode(decoder: &mut Decoder<'_>, node: &Node, methods: &Methods) -> Option<Cors> {
    let mut cors = Cors {
        origins: Vec::new(),
        methods: methods.clone(),
        headers: HEADERS,
        expose: None,
        credentials: false,
        max_age: None,
    };
    if !matches!(node.kind, Kind::Map(_)) {
        cors.origins = origins(decoder, node);
        return Some(cors);
    }
    let fields = decoder.fields(node, keys::CORS)?;
    if let Some(node) = decoder.required(&fields, "origins") {
        cors.origins = origins(decoder, node);
    }
    if let Some(node) = fields.get("methods") {
        cors.methods = narrowed(decoder, node, methods);
    }
    if let Some(headers) = names(decoder, &fields, "headers") {
        cors.headers = headers;
    }
    cors.expose = names(decoder, &fields, "expose");
    cors.credentials = fields.get("credentials").and_then(|node| decoder.boolean(node)).unwrap_or_default();
    let max_age = fields.get("max_age").and_then(|node| decoder.duration(node));
    cors.max_age = max_age.map(|age| HeaderValue::from(age.as_secs()));
    if cors.credentials {
        refuse_anything(decoder, &fields, &cors);
    }
    Some(cors)
}

/// With credentials a `*` would hand every signed-in user to every page there is; browsers do not even take it.
fn refuse_anything(decoder: &mut Decoder<'_>, fields: &Fields<'_>, cors: &Cors) {
    let is_any =
        |value: &HeaderValue| value.as_bytes().split(|byte| *byte == b',').any(|name| name.trim_ascii() == b"*");
    for (key, is_any) in [
        ("origins", cors.origins.contains(&OriginPattern::Any)),
        ("headers", is_any(&cors.headers)),
        ("expose", cors.expose.as_ref().is_some_and(is_any)),
    ] {
        if is_any {
            decoder.report.fault_with(
                fields.key_mark(key),
                format!("`*` in `{key}` cannot go together with `credentials: true`"),
                Some(format!("list the {}", if key == "origins" { "origins that are yours" } else { "headers" })),
            );
        }
    }
}

fn origins(decoder: &mut Decoder<'_>, node: &Node) -> Vec<OriginPattern> {
    if items(node).is_empty() {
        decoder.report.fault(node.mark, "`cors` is for no origin at all; leave it out to leave that to the service");
    }
    items(node).iter().filter_map(|node| decoder.parsed(node, origin)).collect()
}

fn origin(text: &str) -> Result<OriginPattern, Misread> {
    OriginPattern::parse(text).map_err(|error| match error {
        OriginError::NoScheme if text == "null" => {
            Misread::new("is the origin of anybody's sandboxed page, and cannot be told from others")
        }
        OriginError::NoScheme => Misread::meant(error.to_string(), format!("https://{text}")),
        OriginError::Path => {
            let start = text.find("://").map_or(0, |at| at + 3);
            let end = text[start..].find(['/', '?', '#']).map_or(text.len(), |at| start + at);
            Misread::meant(error.to_string(), &text[..end])
        }
        OriginError::Host | OriginError::Scheme | OriginError::Userinfo | OriginError::Wildcard => {
            Misread::new(error.to_string())
        }
    })
}

/// The methods that are listed, all of which the rule must have.
fn narrowed(decoder: &mut Decoder<'_>, node: &Node, methods: &Methods) -> Methods {
    if items(node).is_empty() {
        decoder.report.fault(node.mark, "`methods` lists nothing; leave it out for all methods of the rule");
    }
    let mut listed = Vec::new();
    for node in items(node) {
        let Some(method) = method(decoder, node) else { continue };
        if !methods.contains(&method) {
            decoder.report.fault(node.mark, format!("the rule does not list `{method}`"));
        }
        listed.push(method);
    }
    Methods::of(listed)
}

/// Names of headers as the value of one.
fn names(decoder: &mut Decoder<'_>, fields: &Fields<'_>, key: &str) -> Option<HeaderValue> {
    let node = fields.get(key)?;
    let names = items(node).iter().filter_map(|node| {
        decoder.parsed(node, |text| match HeaderName::try_from(text) {
            Ok(_) => Ok(text.to_owned()),
            Err(_) => Err(Misread::new("is not a header name")),
        })
    });
    HeaderValue::try_from(names.collect::<Vec<_>>().join(", ")).ok()
}
