//! The host a request names, in the one form in which hosts are compared.

use std::borrow::Cow;
use std::fmt;
use std::net::Ipv6Addr;

use crate::decision::request::Ambiguous;

/// DNS allows no longer name and no longer label.
const LONGEST_NAME: usize = 253;
const LONGEST_LABEL: usize = 63;

/// A host name in lower case without a trailing dot, or a bracketed IPv6 address in its canonical form, and the port
/// where one was written. A scheme's default port is a port like any other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Host<'a> {
    name: Cow<'a, str>,
    port: Option<u16>,
}

impl<'a> Host<'a> {
    /// Reads the value of a `Host` header or an authority.
    ///
    /// # Errors
    /// [`Ambiguous::HostEmpty`], [`Ambiguous::Userinfo`], or [`Ambiguous::HostMalformed`] for all but letters, digits,
    /// `-`, `_` and `.`, or a bracketed IPv6 address, with at most a port from 1 to 65535.
    pub fn parse(text: &'a [u8]) -> Result<Self, Ambiguous> {
        if text.is_empty() {
            return Err(Ambiguous::HostEmpty);
        }
        if text.contains(&b'@') {
            return Err(Ambiguous::Userinfo);
        }
        let text = std::str::from_utf8(text).map_err(|_| Ambiguous::HostMalformed)?;
        let (name, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, port) = rest.split_once(']').ok_or(Ambiguous::HostMalformed)?;
                (read_address(&text[..address.len() + 2], address)?, port)
            }
            None => {
                let (name, port) = text.split_at(text.find(':').unwrap_or(text.len()));
                (read_name(name)?, port)
            }
        };
        Ok(Self { name, port: read_port(port)? })
    }

    /// The name without the port; an IPv6 address is in brackets.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }
}

impl fmt::Display for Host<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

fn read_name(text: &str) -> Result<Cow<'_, str>, Ambiguous> {
    let name = text.strip_suffix('.').unwrap_or(text);
    let is_label = |label: &str| {
        (1..=LONGEST_LABEL).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    if name.len() > LONGEST_NAME || !name.split('.').all(is_label) {
        return Err(Ambiguous::HostMalformed);
    }
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Ok(Cow::Owned(name.to_ascii_lowercase()));
    }
    Ok(Cow::Borrowed(name))
}

fn read_address<'a>(bracketed: &'a str, address: &str) -> Result<Cow<'a, str>, Ambiguous> {
    let address: Ipv6Addr = address.parse().map_err(|_| Ambiguous::HostMalformed)?;
    let canonical = format!("[{address}]");
    Ok(if canonical == bracketed { Cow::Borrowed(bracketed) } else { Cow::Owned(canonical) })
}

/// Reads what follows the name: nothing, or a colon and a port in its only spelling.
fn read_port(text: &str) -> Result<Option<u16>, Ambiguous> {
    let Some(digits) = text.strip_prefix(':') else {
        return if text.is_empty() { Ok(None) } else { Err(Ambiguous::HostMalformed) };
    };
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
    match digits.parse() {
        Ok(port) if is_plain => Ok(Some(port)),
        _ => Err(Ambiguous::HostMalformed),
    }
}
