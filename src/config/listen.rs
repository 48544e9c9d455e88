//! The listeners: `listen` for clients, `ops` for operators, `decisions` for other proxies.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;
use url::Url;

use crate::config::decode::{Decoder, Fields, items};
use crate::config::keys;
use crate::config::node::{Kind, Mark, Node};
use crate::config::units::Misread;
use crate::decision::policy::PublicUrl;
use crate::ops;
use crate::proxy;

/// The heads of requests may measure at most this.
const MAX_HEADER_SIZE: u64 = 16 * 1024 * 1024;

/// What `listen` says.
#[derive(Default)]
pub(crate) struct Listen {
    pub(crate) settings: proxy::settings::Settings,
    pub(crate) trusted_proxies: Vec<IpNet>,
    pub(crate) public_url: Option<PublicUrl>,
}

pub(crate) fn listen(decoder: &mut Decoder<'_>, node: &Node) -> Listen {
    let mut listen = Listen::default();
    let settings = &mut listen.settings;
    if let Kind::Scalar(_) = node.kind {
        settings.address = address(decoder, node).unwrap_or(settings.address);
        return listen;
    }
    let Some(fields) = decoder.fields(node, keys::LISTEN) else { return listen };
    if let Some(address) = fields.get("address").and_then(|node| address(decoder, node)) {
        settings.address = address;
    }
    settings.tls = fields.get("tls").and_then(|node| tls(decoder, node));
    if let Some(h2c) = fields.get("h2c").and_then(|node| decoder.boolean(node)) {
        settings.h2c = h2c;
        if h2c && fields.mentions("tls") {
            decoder.report.fault(
                fields.key_mark("h2c"),
                "`h2c` is for a plain listener; with `tls` clients agree on HTTP/2 themselves",
            );
        }
    }
    for (key, setting) in [
        ("header_timeout", &mut settings.header_timeout),
        ("idle_timeout", &mut settings.idle_timeout),
        ("read_timeout", &mut settings.read_timeout),
        ("write_timeout", &mut settings.write_timeout),
        ("upgrade_timeout", &mut settings.upgrade_timeout),
        ("shutdown_timeout", &mut settings.shutdown_timeout),
    ] {
        *setting = fields.get(key).and_then(|node| decoder.positive(node)).unwrap_or(*setting);
    }
    if let Some(delay) = fields.get("shutdown_delay").and_then(|node| decoder.duration(node)) {
        settings.shutdown_delay = delay;
    }
    if let Some(size) = fields.get("max_header_size").and_then(|node| decoder.size(node, 1024..=MAX_HEADER_SIZE)) {
        settings.max_header_size = usize::try_from(size).unwrap_or(usize::MAX);
    }
    settings.max_body_size = fields.get("max_body_size").and_then(|node| decoder.size(node, 0..=u64::MAX));
    if let Some(threads) = fields.get("threads").and_then(|node| decoder.count(node, 1..=1024)) {
        settings.threads = usize::try_from(threads).unwrap_or(1);
    }
    if let Some(node) = fields.get("trusted_proxies") {
        listen.trusted_proxies = items(node).iter().filter_map(|node| decoder.parsed(node, network)).collect();
    }
    listen.public_url = fields.get("public_url").and_then(|node| decoder.parsed(node, public_url));
    listen
}

pub(crate) fn ops(decoder: &mut Decoder<'_>, node: &Node) -> ops::settings::Settings {
    let mut settings = ops::settings::Settings::default();
    let address = if let Kind::Scalar(_) = node.kind {
        address(decoder, node)
    } else {
        let Some(fields) = decoder.fields(node, keys::OPS) else { return settings };
        if let Some(text) = fields.get("token").and_then(|node| token(decoder, node, fields.key_mark("token"))) {
            settings.token = ops::settings::Token::new(&text);
        }
        fields.get("address").and_then(|node| address(decoder, node))
    };
    settings.address = address.unwrap_or(settings.address);
    if !settings.address.ip().is_loopback() && settings.token.is_none() {
        decoder.report.warn(
            node.mark,
            "the operators' listener is reachable from other machines and no token guards it",
            Some("set `ops.token`, or listen on 127.0.0.1".to_owned()),
        );
    }
    settings
}

/// Without proxies of their own, decisions trust those that the listener trusts.
pub(crate) fn decisions(decoder: &mut Decoder<'_>, node: &Node, trusted: &[IpNet]) -> ops::settings::Decisions {
    let mut settings = ops::settings::Decisions::trusting(trusted);
    let heard = !trusted.is_empty();
    if let Kind::Scalar(_) = node.kind {
        settings.address = address(decoder, node);
        warn_of_deafness(decoder, node, settings.address, heard);
        return settings;
    }
    let Some(fields) = decoder.fields(node, keys::DECISIONS) else { return settings };
    settings.address = fields.get("address").and_then(|node| address(decoder, node));
    settings.grpc = fields.get("grpc").and_then(|node| address(decoder, node));
    if let Some(node) = fields.get("trusted_proxies") {
        settings.trusted_proxies = items(node).iter().filter_map(|node| decoder.parsed(node, network)).collect();
    }
    if let Some(statuses) = fields.get("statuses").and_then(|node| decoder.choice(node, keys::STATUSES)) {
        settings.statuses = statuses;
    }
    for address in [settings.address, settings.grpc] {
        warn_of_deafness(decoder, node, address, heard || fields.mentions("trusted_proxies"));
    }
    settings
}

/// Warns of a listener that others can reach, but nobody is heard on.
fn warn_of_deafness(decoder: &mut Decoder<'_>, node: &Node, address: Option<SocketAddr>, says_whom: bool) {
    if !says_whom && address.is_some_and(|address| !address.ip().is_loopback()) {
        decoder.report.warn(
            node.mark,
            "decisions are made for other machines, but only proxies on this one are trusted",
            Some("set `decisions.trusted_proxies`, or listen on 127.0.0.1".to_owned()),
        );
    }
}

/// A token travels in a header, so it must fit into one. Its faults stand at the key: no snippet shows what it is.
fn token(decoder: &mut Decoder<'_>, node: &Node, key: Mark) -> Option<String> {
    let text = decoder.text(node)?;
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Some(text);
    }
    decoder.report.fault(key, "a token is made of visible ASCII characters without blanks");
    None
}

fn address(decoder: &mut Decoder<'_>, node: &Node) -> Option<SocketAddr> {
    decoder.parsed(node, |text| {
        text.parse().map_err(|_| {
            let why = "is not an address and a port like `127.0.0.1:4455` or `[::]:4455`";
            match text
                .strip_prefix("localhost:")
                .map(|port| ("127.0.0.1", port))
                .or_else(|| text.strip_prefix(':').or(Some(text)).map(|port| ("0.0.0.0", port)))
            {
                Some((host, port)) if port.parse::<u16>().is_ok() => Misread::meant(why, format!("{host}:{port}")),
                Some(_) | None => Misread::new(why),
            }
        })
    })
}

fn tls(decoder: &mut Decoder<'_>, node: &Node) -> Option<proxy::settings::Tls> {
    let fields = decoder.fields(node, keys::TLS)?;
    let certificate = decoder.required(&fields, "certificate").and_then(|node| pem(decoder, node, "CERTIFICATE"));
    let key = decoder.required(&fields, "key").and_then(|node| pem(decoder, node, "PRIVATE KEY"));
    Some(proxy::settings::Tls { certificate: certificate?.0, key: key?.0 })
}

/// A PEM file that holds a section of this kind: its path and what it says.
pub(crate) fn pem(decoder: &mut Decoder<'_>, node: &Node, kind: &str) -> Option<(PathBuf, Vec<u8>)> {
    let (path, bytes) = decoder.file(node)?;
    if !holds_section(&bytes, kind) {
        decoder.report.fault(node.mark, format!("`{}` holds no PEM section `{kind}`", path.display()));
        return None;
    }
    Some((path, bytes))
}

/// What `ca` says: the certificates of an authority that vouches for https.
pub(crate) fn authority(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> Option<Box<[u8]>> {
    fields.get("ca").and_then(|node| pem(decoder, node, "CERTIFICATE")).map(|(_, bytes)| bytes.into())
}

/// Whether there is such a section, and every certificate can be read.
fn holds_section(bytes: &[u8], kind: &str) -> bool {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::PrivateKeyDer;
    use rustls::pki_types::pem::PemObject as _;
    if kind == "CERTIFICATE" {
        let certificates = CertificateDer::pem_slice_iter(bytes).collect::<Result<Vec<_>, _>>();
        certificates.is_ok_and(|certificates| !certificates.is_empty())
    } else {
        PrivateKeyDer::from_pem_slice(bytes).is_ok()
    }
}

pub(crate) fn network(text: &str) -> Result<IpNet, Misread> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(address.to_canonical()));
    }
    let network =
        text.parse::<IpNet>().map_err(|_| Misread::new("is neither an address nor a network like `10.0.0.0/8`"))?;
    if network.trunc() != network {
        return Err(Misread::meant("has bits set beyond its prefix", network.trunc().to_string()));
    }
    Ok(network)
}

fn public_url(text: &str) -> Result<PublicUrl, Misread> {
    let url = web_url(text)?;
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err(Misread::meant(
            "is a scheme and a host only, without path or query",
            url.origin().ascii_serialization(),
        ));
    }
    let host = url.host_str().unwrap_or_default().into();
    Ok(PublicUrl { origin: url.origin().ascii_serialization().into(), host })
}

/// An http or https URL with a host and without user information.
pub(crate) fn web_url(text: &str) -> Result<Url, Misread> {
    let Some((scheme, _)) = text.split_once("://") else {
        return Err(Misread::meant("has no scheme", format!("http://{text}")));
    };
    if !matches!(scheme, "http" | "https") {
        return Err(Misread::new("is neither an http nor an https URL"));
    }
    let url = Url::parse(text).map_err(|error| Misread::new(format!("is not a URL: {error}")))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Misread::new("has user information, which is not sent"));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(Misread::new("has no host"));
    }
    if url.port() == Some(0) {
        return Err(Misread::new("has port 0, where nobody listens"));
    }
    Ok(url)
}
