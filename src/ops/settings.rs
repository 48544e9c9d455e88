//! What operators decide about their own listener.

use std::fmt;
use std::net::SocketAddr;

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
