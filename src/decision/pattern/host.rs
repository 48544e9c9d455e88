//! Patterns of hosts: any, one by name, or everything below a name; each with or without a port.

use std::fmt;

use crate::decision::host::Host;
use crate::decision::request::Ambiguous;

/// Which hosts a rule names.
///
/// Names are in lower case and without a trailing dot. Without a port every port is meant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    Any,
    Exact {
        host: Box<str>,
        port: Option<u16>,
    },
    /// `*.suffix`: one or more labels before the suffix, so never the suffix itself.
    Wildcard {
        suffix: Box<str>,
        port: Option<u16>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostPatternError {
    #[error("a host cannot be empty")]
    Empty,
    #[error(
        "`{0}` is not a host: write a name, a bracketed IPv6 address or `*.name`, with a port if only that is meant"
    )]
    Malformed(String),
    #[error("`{0}` is not ASCII: write the name in its `xn--` form")]
    NotAscii(String),
    #[error("`{0}` has a path: hosts are matched by `hosts`, paths by `paths`")]
    Path(String),
    #[error("`{0}` has a scheme: write the host alone, and the scheme in `schemes`")]
    Scheme(String),
    #[error("`{0}` has user information, which no host has")]
    Userinfo(String),
    #[error("`{0}`: `*` stands for whole labels at the start only, as in `*.example.com`")]
    Wildcard(String),
}

impl HostPattern {
    /// Reads `example.com`, `example.com:8443`, `[::1]`, `*.example.com`, or `*` for any host.
    ///
    /// # Errors
    /// Whatever is not one of these; each cause has its own text.
    pub fn parse(text: &str) -> Result<Self, HostPatternError> {
        if text == "*" {
            return Ok(Self::Any);
        }
        if text.contains("://") {
            return Err(HostPatternError::Scheme(text.to_owned()));
        }
        if text.contains('/') {
            return Err(HostPatternError::Path(text.to_owned()));
        }
        if !text.is_ascii() {
            return Err(HostPatternError::NotAscii(text.to_owned()));
        }
        let suffix = text.strip_prefix("*.");
        if suffix.unwrap_or(text).contains('*') || suffix.is_some_and(|suffix| suffix.starts_with('[')) {
            return Err(HostPatternError::Wildcard(text.to_owned()));
        }
        let host = Host::parse(suffix.unwrap_or(text).as_bytes()).map_err(|fault| match fault {
            Ambiguous::HostEmpty if suffix.is_none() => HostPatternError::Empty,
            Ambiguous::Userinfo => HostPatternError::Userinfo(text.to_owned()),
            _ => HostPatternError::Malformed(text.to_owned()),
        })?;
        let (name, port) = (host.name().into(), host.port());
        Ok(match suffix {
            Some(_) => Self::Wildcard { suffix: name, port },
            None => Self::Exact { host: name, port },
        })
    }

    #[must_use]
    pub fn matches(&self, host: &Host<'_>) -> bool {
        self.port().is_none_or(|port| host.port() == Some(port))
            && match self {
                Self::Any => true,
                Self::Exact { host: name, .. } => **name == *host.name(),
                Self::Wildcard { suffix, .. } => is_below(host.name(), suffix),
            }
    }

    /// Whether every host that `other` names is named here too.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.names_cover(other) && (self.port().is_none() || self.port() == other.port())
    }

    /// The hosts that both name, if there can be one.
    #[must_use]
    pub fn meet(&self, other: &Self) -> Option<Self> {
        let narrower = if self.names_cover(other) {
            other
        } else if other.names_cover(self) {
            self
        } else {
            return None;
        };
        let port = match (self.port(), other.port()) {
            (Some(one), Some(two)) if one != two => return None,
            (one, two) => one.or(two),
        };
        Some(match narrower.clone() {
            Self::Any => Self::Any,
            Self::Exact { host, .. } => Self::Exact { host, port },
            Self::Wildcard { suffix, .. } => Self::Wildcard { suffix, port },
        })
    }

    /// Orders patterns that name the same host: the greater is the more specific and owns the request.
    pub(crate) fn specificity(&self) -> (u8, usize, bool) {
        match self {
            Self::Any => (0, 0, false),
            Self::Wildcard { suffix, port } => (1, suffix.len(), port.is_some()),
            Self::Exact { port, .. } => (2, 0, port.is_some()),
        }
    }

    fn port(&self) -> Option<u16> {
        match self {
            Self::Any => None,
            Self::Exact { port, .. } | Self::Wildcard { port, .. } => *port,
        }
    }

    fn names_cover(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (Self::Exact { host, .. }, Self::Exact { host: other, .. }) => host == other,
            (Self::Wildcard { suffix, .. }, Self::Exact { host, .. }) => is_below(host, suffix),
            (Self::Wildcard { suffix, .. }, Self::Wildcard { suffix: other, .. }) => {
                suffix == other || is_below(other, suffix)
            }
            (Self::Exact { .. } | Self::Wildcard { .. }, Self::Any) | (Self::Exact { .. }, Self::Wildcard { .. }) => {
                false
            }
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*")?,
            Self::Exact { host, .. } => f.write_str(host)?,
            Self::Wildcard { suffix, .. } => write!(f, "*.{suffix}")?,
        }
        self.port().map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

fn is_below(name: &str, suffix: &str) -> bool {
    name.strip_suffix(suffix).is_some_and(|labels| labels.len() > 1 && labels.ends_with('.'))
}
