//! Where permitted requests go: the endpoints of a service and how long to wait for them.

use std::time::Duration;

/// A service behind the gateway.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Upstream {
    pub name: Box<str>,
    /// Never empty.
    pub endpoints: Vec<Endpoint>,
    pub balance: Balance,
    pub timeouts: Timeouts,
    pub health_check: Option<HealthCheck>,
    /// PEM certificates of a private authority that vouches for https endpoints, instead of the system's.
    pub authority: Option<Box<[u8]>>,
}

/// One address of a service.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Endpoint {
    /// A DNS name or an IP address, without brackets.
    pub host: Box<str>,
    pub port: u16,
    pub scheme: EndpointScheme,
}

impl Endpoint {
    /// What a Host header says: the host, an IPv6 address in brackets, and the port where it is not the scheme's own.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.to_string() };
        if self.port == self.scheme.default_port() { host } else { format!("{host}:{}", self.port) }
    }
}

/// How an endpoint is spoken to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EndpointScheme {
    /// HTTP/2 with prior knowledge, for gRPC.
    H2c,
    Http,
    Https,
}

impl EndpointScheme {
    fn default_port(self) -> u16 {
        match self {
            Self::H2c | Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// Which endpoint gets the next request.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Balance {
    /// The same identity goes to the same endpoint for as long as that one is healthy.
    ConsistentIdentity,
    LeastRequests,
    #[default]
    RoundRobin,
}

/// How long to wait for a service. The engine itself would wait for ever.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Timeouts {
    /// For the connection, TLS included.
    pub connect: Duration,
    /// For the first byte of the answer and between any two reads of it.
    pub read: Duration,
    /// For each write of the request.
    pub write: Duration,
    /// How long an unused connection is kept.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            read: Duration::from_secs(60),
            write: Duration::from_secs(60),
            // Below the 60 s after which many servers close: a connection closed on reuse fails a POST.
            idle: Duration::from_secs(45),
        }
    }
}

/// How an endpoint's health is asked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HealthCheck {
    pub path: Box<str>,
    pub interval: Duration,
}
