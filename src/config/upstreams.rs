//! The services behind the gateway, named or written within a rule.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::config::decode::{Decoder, items};
use crate::config::keys;
use crate::config::listen::{authority, web_url};
use crate::config::node::{Kind, Mark, Node};
use crate::config::units::{Misread, nearest};
use crate::decision::upstream::{Balance, Endpoint, EndpointScheme, HealthCheck, Timeouts, Upstream};

/// How often an endpoint is asked for its health where only a path is given.
const HEALTH_INTERVAL: std::time::Duration = std::time::Duration::from_secs(5);

/// The named upstreams, and which of them any rule uses.
#[derive(Default)]
pub(crate) struct Upstreams {
    /// Without a value where it has a fault of its own.
    named: HashMap<Box<str>, (Mark, Option<Arc<Upstream>>)>,
    used: HashSet<Box<str>>,
}

impl Upstreams {
    pub(crate) fn decode(decoder: &mut Decoder<'_>, node: &Node) -> Self {
        let mut upstreams = Self::default();
        for entry in decoder.entries(node).unwrap_or_default() {
            if !is_name(&entry.key) {
                decoder.report.fault(entry.mark, format!("`{}` is no name: {NAME}", entry.key));
            }
            let upstream = upstream(decoder, &entry.key, &entry.value).map(Arc::new);
            upstreams.named.insert(entry.key.clone(), (entry.mark, upstream));
        }
        upstreams
    }

    /// What the `upstream` of a rule stands for: a name, a URL, or a whole upstream of its own.
    pub(crate) fn of_rule(&mut self, decoder: &mut Decoder<'_>, rule: &str, node: &Node) -> Option<Arc<Upstream>> {
        if !matches!(node.kind, Kind::Scalar(_)) {
            return upstream(decoder, rule, node).map(Arc::new);
        }
        let text = decoder.text(node)?;
        if text.contains("://") {
            return upstream(decoder, rule, node).map(Arc::new);
        }
        if let Some((_, upstream)) = self.named.get(text.as_str()) {
            self.used.insert(text.into());
            return upstream.clone();
        }
        let meant = nearest(&text, self.named.keys().map(AsRef::as_ref)).map(|name| format!("did you mean `{name}`?"));
        let suggestion = meant.or_else(|| text.contains([':', '.']).then(|| format!("did you mean `http://{text}`?")));
        decoder.report.fault_with(node.mark, format!("there is no upstream `{text}`"), suggestion);
        None
    }

    /// Warns of those that no rule uses.
    pub(crate) fn warn_of_unused(&self, decoder: &mut Decoder<'_>) {
        for (name, (mark, _)) in &self.named {
            if !self.used.contains(name) {
                decoder.report.warn(*mark, format!("no rule uses the upstream `{name}`"), None);
            }
        }
    }
}

/// What names of upstreams and ids of rules look like: they appear in metrics, logs and URLs.
pub(crate) const NAME: &str = "1 to 128 of letters, digits, `.`, `_` and `-`";

pub(crate) fn is_name(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    !text.is_empty() && text.len() <= 128 && text.bytes().all(is_plain)
}

/// Reads one upstream; a URL stands for one with that endpoint.
fn upstream(decoder: &mut Decoder<'_>, name: &str, node: &Node) -> Option<Upstream> {
    let mut upstream = Upstream {
        name: name.into(),
        endpoints: Vec::new(),
        balance: Balance::default(),
        timeouts: Timeouts::default(),
        health_check: None,
        authority: None,
    };
    if let Kind::Scalar(_) = node.kind {
        upstream.endpoints.push(decoder.parsed(node, endpoint)?);
        return Some(upstream);
    }
    let fields = decoder.fields(node, keys::UPSTREAM)?;
    let listed = decoder.required(&fields, "endpoints");
    if let Some(node) = listed {
        let nodes = items(node);
        if nodes.is_empty() {
            decoder.report.fault(node.mark, "an upstream needs at least one endpoint");
        }
        for node in nodes {
            let Some(endpoint) = decoder.parsed(node, endpoint) else { continue };
            if upstream.endpoints.contains(&endpoint) {
                decoder.report.fault(node.mark, format!("`{}` is listed twice", endpoint.authority()));
            }
            upstream.endpoints.push(endpoint);
        }
    }
    if let Some(balance) = fields.get("balance").and_then(|node| decoder.choice(node, keys::BALANCE)) {
        upstream.balance = balance;
    }
    for (key, setting) in [
        ("connect_timeout", &mut upstream.timeouts.connect),
        ("read_timeout", &mut upstream.timeouts.read),
        ("write_timeout", &mut upstream.timeouts.write),
        ("idle_timeout", &mut upstream.timeouts.idle),
    ] {
        *setting = fields.get(key).and_then(|node| decoder.positive(node)).unwrap_or(*setting);
    }
    upstream.health_check = fields.get("health_check").and_then(|node| health_check(decoder, node));
    if fields.mentions("ca") {
        upstream.authority = authority(decoder, &fields);
        if !upstream.endpoints.is_empty()
            && !upstream.endpoints.iter().any(|endpoint| endpoint.scheme == EndpointScheme::Https)
        {
            decoder.report.fault(fields.key_mark("ca"), "`ca` is for https, and no endpoint is");
        }
    }
    (!upstream.endpoints.is_empty()).then_some(upstream)
}

fn health_check(decoder: &mut Decoder<'_>, node: &Node) -> Option<HealthCheck> {
    if let Kind::Scalar(_) = node.kind {
        return Some(HealthCheck { path: decoder.path(node)?.into(), interval: HEALTH_INTERVAL });
    }
    let fields = decoder.fields(node, keys::HEALTH_CHECK)?;
    let interval = fields.get("interval").and_then(|node| decoder.positive(node));
    let path = decoder.required(&fields, "path").and_then(|node| decoder.path(node))?;
    Some(HealthCheck { path: path.into(), interval: interval.unwrap_or(HEALTH_INTERVAL) })
}

/// Reads `http://host:port`, `https://host` or `h2c://host:port`.
fn endpoint(text: &str) -> Result<Endpoint, Misread> {
    let (scheme, url) = match text.strip_prefix("h2c://") {
        // The URL standard knows no h2c; all but its name is as in http.
        Some(rest) => (EndpointScheme::H2c, web_url(&format!("http://{rest}"))?),
        None => {
            let url = web_url(text).map_err(|misread| match misread.message.as_str() {
                "is neither an http nor an https URL" => Misread::new("is not an http, https or h2c URL"),
                _ => misread,
            })?;
            (if url.scheme() == "https" { EndpointScheme::Https } else { EndpointScheme::Http }, url)
        }
    };
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err(Misread::new(
            "has a path or a query; an endpoint is a host and a port, the request's own path travels",
        ));
    }
    endpoint_of(&url, scheme).ok_or_else(|| Misread::new("has no host"))
}

/// Where a URL leads.
pub(crate) fn endpoint_of(url: &url::Url, scheme: EndpointScheme) -> Option<Endpoint> {
    let host = url.host_str()?.trim_start_matches('[').trim_end_matches(']');
    Some(Endpoint { host: host.into(), port: url.port_or_known_default()?, scheme })
}
