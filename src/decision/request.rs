//! A request with one meaning: what the rules see of it, or the exact reason why it could be read in two ways.

use std::borrow::Cow;
use std::fmt;

use http::HeaderMap;
use http::Method;
use http::header;

use crate::decision::host::Host;
use crate::decision::path::Allow;
use crate::decision::path::Odd;
use crate::decision::path::Path;

#[cfg(test)]
mod tests;

/// The only names that `Connection` may hold. Any other would have a peer drop a header that we set or judged by.
const CONNECTION_OPTIONS: [&str; 5] = ["close", "keep-alive", "upgrade", "te", "http2-settings"];

/// What the shell knows of a request before anyone has interpreted it.
#[derive(Clone, Copy)]
pub struct Head<'a> {
    pub method: &'a Method,
    /// The request target exactly as on the wire, in origin form (`/p?q`) or absolute form (`http://host/p?q`).
    pub target: &'a [u8],
    /// `:authority`, which only HTTP/2 has.
    pub authority: Option<&'a [u8]>,
    pub headers: &'a HeaderMap,
    /// As the client spoke, or as a trusted proxy says it did.
    pub scheme: Scheme,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    Http,
    Https,
}

impl Scheme {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a request has no single meaning. The client is told only that; the text is for the operator's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Ambiguous {
    #[error("a backslash in the path")]
    Backslash,
    #[error("a `%` that is not followed by two hexadecimal digits")]
    BadPercent,
    #[error("`Connection` names a header or an unknown option")]
    ConnectionNomination,
    #[error("a control character in the target")]
    ControlCharacter,
    #[error("a `.` or `..` segment in the path")]
    DotSegment,
    #[error("an empty segment in the path")]
    EmptySegment,
    #[error("an encoded slash in the path")]
    EncodedSlash,
    #[error("`Host` disagrees with the request target or `:authority`")]
    HostDisagrees,
    #[error("an empty host")]
    HostEmpty,
    #[error("a malformed host")]
    HostMalformed,
    #[error("no host")]
    HostMissing,
    #[error("more than one `Host` header")]
    HostRepeated,
    #[error("a path that is not UTF-8 once decoded")]
    NotUtf8,
    #[error("path parameters (`;`)")]
    Parameters,
    #[error("a byte in the target that must be percent-encoded: `#`, a space, one of `<>\"`, or one above 0x7E")]
    RawByte,
    #[error("more than one `Content-Length`")]
    RepeatedContentLength,
    #[error("what a proxy says of the request that it asks about is incomplete or contradicts itself")]
    ReportUnclear,
    #[error("`X-Forwarded-Proto` of a trusted proxy is not one of `http` and `https`")]
    SchemeUnclear,
    #[error("a request target that is neither a path nor an http URL")]
    TargetNotOriginForm,
    #[error("user information in the host")]
    Userinfo,
}

/// What the rules see of a request. It borrows the head and copies only what had to be decoded.
#[derive(Clone)]
pub struct RequestView<'a> {
    method: &'a Method,
    scheme: Scheme,
    headers: &'a HeaderMap,
    host: Host<'a>,
    path: Path<'a>,
    odd: Option<Box<Odd>>,
    query: Option<&'a str>,
    origin_form: Cow<'a, str>,
}

impl<'a> RequestView<'a> {
    /// Reads a head, or refuses it.
    ///
    /// # Errors
    /// The first fault found. Spellings that a rule may allow are not among them: see [`Self::oddities`].
    pub fn parse(head: Head<'a>) -> Result<Self, Ambiguous> {
        refuse_nominations(head.headers)?;
        refuse_repeated_length(head.headers)?;
        let target = Target::parse(head.target)?;
        let host = read_host(head.headers, [head.authority, target.authority])?;
        let reading = Path::read(target.path)?;
        Ok(Self {
            method: head.method,
            scheme: head.scheme,
            headers: head.headers,
            host,
            path: reading.path,
            odd: reading.odd,
            query: target.query,
            origin_form: target.origin_form,
        })
    }

    #[must_use]
    pub fn method(&self) -> &'a Method {
        self.method
    }

    /// The same request, were it of another method.
    #[must_use]
    pub fn with_method<'m>(&self, method: &'m Method) -> RequestView<'m>
    where
        'a: 'm,
    {
        RequestView { method, ..self.clone() }
    }

    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    #[must_use]
    pub fn headers(&self) -> &'a HeaderMap {
        self.headers
    }

    #[must_use]
    pub fn host(&self) -> &Host<'a> {
        &self.host
    }

    /// The path as it came, decoded once.
    #[must_use]
    pub fn path(&self) -> &Path<'a> {
        &self.path
    }

    /// The decoded segments joined by `/`: what expressions, regexes and metrics see.
    #[must_use]
    pub fn decoded_path(&self) -> &str {
        self.path.as_str()
    }

    /// The query as sent, without its `?`.
    #[must_use]
    pub fn query(&self) -> Option<&'a str> {
        self.query
    }

    /// Path and query as sent: what is forwarded, and what a browser is sent back to.
    #[must_use]
    pub fn origin_form(&self) -> &str {
        &self.origin_form
    }

    /// What is odd about the path's spelling; only a rule that allows all of it may own the request.
    #[must_use]
    pub fn oddities(&self) -> Allow {
        self.odd.as_ref().map_or_else(Allow::default, |odd| odd.oddities)
    }

    pub(super) fn odd(&self) -> Option<&Odd> {
        self.odd.as_deref()
    }
}

/// Without headers and query, which hold secrets.
impl fmt::Debug for RequestView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestView")
            .field("method", self.method)
            .field("scheme", &self.scheme)
            .field("host", &self.host)
            .field("path", &self.path.as_str())
            .finish_non_exhaustive()
    }
}

/// Whether a method is 405 whatever the rules say: TRACE echoes credentials, CONNECT is for forward proxies. Services
/// that ignore case are thought of.
#[must_use]
pub fn is_forbidden_method(method: &Method) -> bool {
    ["TRACE", "CONNECT"].iter().any(|forbidden| method.as_str().eq_ignore_ascii_case(forbidden))
}

/// The parts of a request target.
struct Target<'a> {
    authority: Option<&'a [u8]>,
    path: &'a str,
    query: Option<&'a str>,
    origin_form: Cow<'a, str>,
}

impl<'a> Target<'a> {
    fn parse(target: &'a [u8]) -> Result<Self, Ambiguous> {
        refuse_raw(target)?;
        let target = std::str::from_utf8(target).map_err(|_| Ambiguous::RawByte)?;
        if target.starts_with('/') {
            return Ok(Self::origin(None, target));
        }
        let rest = ["http://", "https://"]
            .iter()
            .find_map(|scheme| {
                let (start, rest) = target.split_at_checked(scheme.len())?;
                start.eq_ignore_ascii_case(scheme).then_some(rest)
            })
            .ok_or(Ambiguous::TargetNotOriginForm)?;
        let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let authority = Some(authority.as_bytes());
        // The empty path of a URL is `/`.
        match rest.strip_prefix('?') {
            Some(query) => {
                Ok(Self { authority, path: "/", query: Some(query), origin_form: Cow::Owned(format!("/{rest}")) })
            }
            None => Ok(Self::origin(authority, if rest.is_empty() { "/" } else { rest })),
        }
    }

    fn origin(authority: Option<&'a [u8]>, origin_form: &'a str) -> Self {
        let (path, query) =
            origin_form.split_once('?').map_or((origin_form, None), |(path, query)| (path, Some(query)));
        Self { authority, path, query, origin_form: Cow::Borrowed(origin_form) }
    }
}

/// Refuses bytes that no request target may hold, and escapes that are not ones.
fn refuse_raw(target: &[u8]) -> Result<(), Ambiguous> {
    for (position, byte) in target.iter().enumerate() {
        match byte {
            0x00..=0x1F | 0x7F => return Err(Ambiguous::ControlCharacter),
            b'#' | b' ' | 0x80.. => return Err(Ambiguous::RawByte),
            b'%' => {
                let digits = target.get(position + 1..position + 3).ok_or(Ambiguous::BadPercent)?;
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return Err(Ambiguous::BadPercent);
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Every host that the request names must be the same one. `Host` may be absent only beside `:authority`.
fn read_host<'a>(headers: &'a HeaderMap, authorities: [Option<&'a [u8]>; 2]) -> Result<Host<'a>, Ambiguous> {
    let mut named = headers.get_all(header::HOST).iter();
    let header = named.next().map(|value| value.as_bytes());
    if named.next().is_some() {
        return Err(Ambiguous::HostRepeated);
    }
    let [authority, _] = authorities;
    let host = Host::parse(header.or(authority).ok_or(Ambiguous::HostMissing)?)?;
    for other in authorities.into_iter().flatten() {
        if Host::parse(other)? != host {
            return Err(Ambiguous::HostDisagrees);
        }
    }
    Ok(host)
}

fn refuse_nominations(headers: &HeaderMap) -> Result<(), Ambiguous> {
    let is_known = |option: &[u8]| {
        let option = option.trim_ascii();
        option.is_empty() || CONNECTION_OPTIONS.iter().any(|known| option.eq_ignore_ascii_case(known.as_bytes()))
    };
    let mut options =
        headers.get_all(header::CONNECTION).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    if options.all(is_known) { Ok(()) } else { Err(Ambiguous::ConnectionNomination) }
}

fn refuse_repeated_length(headers: &HeaderMap) -> Result<(), Ambiguous> {
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let is_list = lengths.next().is_some_and(|value| value.as_bytes().contains(&b','));
    if is_list || lengths.next().is_some() { Err(Ambiguous::RepeatedContentLength) } else { Ok(()) }
}
