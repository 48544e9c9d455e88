//! What operators decide about their own listener.

use std::fmt;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;

use ipnet::IpNet;
use ipnet::Ipv4Net;

/// Settings of the operators' listener. They hold from start to stop: a reload does not change them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// Default 127.0.0.1:4456.
    pub address: SocketAddr,
    /// Guards everything but health and metrics. Default: nothing does.
    pub token: Option<Token>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { address: SocketAddr::from(([127, 0, 0, 1], 4456)), token: None }
    }
}

/// Settings of the decision API. They hold from start to stop: a reload does not change them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Decisions {
    /// A listener for nothing but decisions, without a token. Default: only the operators' listener makes them.
    pub address: Option<SocketAddr>,
    /// A listener for Envoy's `ext_authz` over gRPC. Default: none.
    pub grpc: Option<SocketAddr>,
    /// The proxies that may ask, and are believed. Default: those of `listen`, else those on this machine.
    pub trusted_proxies: Vec<IpNet>,
    /// Default: the refusals' own.
    pub statuses: Statuses,
}

/// With what statuses the decision API refuses.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Statuses {
    /// 401 and 403 only, for nginx' `auth_request` takes anything else for a fault of its own.
    Nginx,
    /// As the gateway itself would refuse.
    #[default]
    Own,
}

impl Decisions {
    /// Those who trust `proxies`; where there are none, the proxies of this machine.
    pub fn trusting(proxies: &[IpNet]) -> Self {
        let this_machine = Self::default();
        if proxies.is_empty() { this_machine } else { Self { trusted_proxies: proxies.to_vec(), ..this_machine } }
    }
}

impl Default for Decisions {
    fn default() -> Self {
        let loopback = [
            IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8)),
            IpNet::from(IpAddr::V6(Ipv6Addr::LOCALHOST)),
        ];
        Self { address: None, grpc: None, trusted_proxies: loopback.to_vec(), statuses: Statuses::default() }
    }
}

/// A secret that operators send as `Authorization: Bearer`.
#[derive(Clone, Eq, PartialEq)]
pub struct Token(Box<str>);

impl Token {
    /// Nothing where `text` is empty: an unset variable is no token.
    pub fn new(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self(text.into()))
    }

    /// Whether `presented` is the token, in a time that does not tell how much of it is right.
    pub fn matches(&self, presented: &[u8]) -> bool {
        let expected = self.0.as_bytes();
        expected.len() == presented.len()
            && expected.iter().zip(presented).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}
