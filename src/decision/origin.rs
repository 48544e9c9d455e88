//! Where a request comes from: the client's address and scheme, as far as anyone may be believed.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use ipnet::IpNet;

use crate::decision::request::Scheme;

/// Where a request comes from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Origin {
    /// The rightmost address that is not a trusted proxy's.
    pub client: IpAddr,
    /// As the client spoke.
    pub scheme: Scheme,
    /// The `X-Forwarded-For` for services: what a trusted proxy said, and who spoke to us.
    pub forwarded_for: String,
}

/// A trusted proxy named a scheme that is none, or more than one.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("X-Forwarded-Proto of a trusted proxy is not one of `http` and `https`")]
pub struct UnclearScheme;

/// Reads where a request of `headers` comes from, `peer` being who connected to us and `scheme` how.
///
/// # Errors
/// Where a trusted proxy's `X-Forwarded-Proto` is not one valid value.
pub fn origin(peer: IpAddr, scheme: Scheme, headers: &HeaderMap, trusted: &[IpNet]) -> Result<Origin, UnclearScheme> {
    let peer = peer.to_canonical();
    if !is_trusted(&peer, trusted) {
        return Ok(Origin { client: peer, scheme, forwarded_for: peer.to_string() });
    }
    let scheme = match forwarded_proto(headers)? {
        Some(forwarded) => forwarded,
        None => scheme,
    };
    let mut chain = String::new();
    let hops = forwarded_for(headers);
    for hop in hops.iter().flatten() {
        let _ = write!(chain, "{hop}, ");
    }
    let _ = write!(chain, "{peer}");
    Ok(Origin { client: nearest_client(peer, &hops, trusted), scheme, forwarded_for: chain })
}

/// The client of a request that `peer`, a trusted proxy, tells of in `headers`.
pub fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    nearest_client(peer.to_canonical(), &forwarded_for(headers), trusted)
}

/// Whether `address` is one of the `trusted` proxies.
pub fn is_trusted(address: &IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|network| network.contains(address))
}

/// The rightmost of `hops` that is no trusted proxy, seen from `peer`, which is one.
fn nearest_client(peer: IpAddr, hops: &[Option<String>], trusted: &[IpNet]) -> IpAddr {
    let mut client = peer;
    for hop in hops.iter().rev() {
        // What is no address ends the chain: nothing further left was said by someone we trust.
        let Some(address) = hop.as_deref().and_then(parse_address) else { break };
        client = address;
        if !is_trusted(&address, trusted) {
            break;
        }
    }
    client
}

fn forwarded_proto(headers: &HeaderMap) -> Result<Option<Scheme>, UnclearScheme> {
    let mut values = headers.get_all("x-forwarded-proto").iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(UnclearScheme);
    }
    match value.as_bytes().trim_ascii().to_ascii_lowercase().as_slice() {
        b"http" => Ok(Some(Scheme::Http)),
        b"https" => Ok(Some(Scheme::Https)),
        _ => Err(UnclearScheme),
    }
}

/// The entries of all `X-Forwarded-For` headers, in order; one that is not text is nothing.
fn forwarded_for(headers: &HeaderMap) -> Vec<Option<String>> {
    headers
        .get_all("x-forwarded-for")
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(|entry| std::str::from_utf8(entry.trim_ascii()).ok().filter(|entry| !entry.is_empty()).map(str::to_owned))
        .collect()
}

/// An address, with a port or without: both are seen in the wild.
fn parse_address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse::<IpAddr>()
        .ok()
        .or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
        .map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn from(peer: &str, headers: &[(&'static str, &'static str)]) -> Result<(String, Scheme, String), UnclearScheme> {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect::<HeaderMap>();
        let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        origin(peer.parse().unwrap(), Scheme::Http, &headers, &trusted)
            .map(|origin| (origin.client.to_string(), origin.scheme, origin.forwarded_for))
    }

    #[test]
    fn an_untrusted_peer_is_the_client_whatever_it_says() {
        let lies = [("x-forwarded-for", "1.2.3.4"), ("x-forwarded-proto", "https")];
        assert_eq!(from("203.0.113.9", &lies).unwrap(), ("203.0.113.9".into(), Scheme::Http, "203.0.113.9".into()));
    }

    #[test]
    fn the_client_is_the_rightmost_untrusted_address() {
        for (chain, client) in [
            ("1.2.3.4", "1.2.3.4"),
            ("6.6.6.6, 1.2.3.4, 10.0.0.2", "1.2.3.4"),
            ("10.0.0.3, 10.0.0.2", "10.0.0.3"),
            ("1.2.3.4, nonsense, 10.0.0.2", "10.0.0.2"),
            ("1.2.3.4:5678", "1.2.3.4"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("::ffff:1.2.3.4", "1.2.3.4"),
        ] {
            assert_eq!(from("10.0.0.1", &[("x-forwarded-for", chain)]).unwrap().0, client, "{chain}");
        }
    }

    #[test]
    fn a_trusted_proxy_is_appended_to_and_names_the_scheme() {
        let headers = [("x-forwarded-for", "1.2.3.4"), ("x-forwarded-proto", "HTTPS")];
        assert_eq!(from("10.0.0.1", &headers).unwrap(), ("1.2.3.4".into(), Scheme::Https, "1.2.3.4, 10.0.0.1".into()));
    }

    #[test]
    fn an_unclear_scheme_of_a_trusted_proxy_is_refused() {
        for value in ["https,http", "wss", "", "https, https"] {
            assert!(from("10.0.0.1", &[("x-forwarded-proto", value)]).is_err(), "{value}");
        }
        assert!(from("10.0.0.1", &[("x-forwarded-proto", "https"), ("x-forwarded-proto", "https")]).is_err());
    }
}
