//! The request that a proxy asks about, read from the request that it asks with: every fact from exactly one source.
//!
//! There are two ways to ask. `/decisions` alone says nothing by itself, so headers must say everything: whatever a
//! proxy left out, its client could add. `/decisions/…` is the request itself, under that prefix; headers may only agree.

use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::header::CONNECTION;
use http::header::CONTENT_LENGTH;
use http::header::HOST;
use http::request::Parts;

use crate::decision::request::Head;
use crate::decision::request::Scheme;

#[cfg(test)]
mod tests;

/// Where decisions are asked for.
pub(super) const PREFIX: &str = "/decisions";

/// The headers by which a proxy tells of a request. They are its own words, so rules do not see them.
const REPORTS: [&str; 8] = [
    X_FORWARDED_HOST,
    X_FORWARDED_METHOD,
    X_FORWARDED_PROTO,
    X_FORWARDED_URI,
    X_ORIGINAL_HOST,
    X_ORIGINAL_METHOD,
    X_ORIGINAL_URI,
    X_ORIGINAL_URL,
];

const X_FORWARDED_HOST: &str = "x-forwarded-host";
const X_FORWARDED_METHOD: &str = "x-forwarded-method";
const X_FORWARDED_PROTO: &str = "x-forwarded-proto";
const X_FORWARDED_URI: &str = "x-forwarded-uri";
const X_ORIGINAL_HOST: &str = "x-original-host";
const X_ORIGINAL_METHOD: &str = "x-original-method";
const X_ORIGINAL_URI: &str = "x-original-uri";
/// A whole URL as nginx' ingress sends it; a path is taken for `X-Original-URI`.
const X_ORIGINAL_URL: &str = "x-original-url";

/// The request that is asked about.
#[derive(Debug)]
pub(super) struct Original {
    pub(super) method: Method,
    /// In origin form, exactly as the proxy says.
    pub(super) target: Vec<u8>,
    pub(super) scheme: Scheme,
    /// The client's, with the host that it asked.
    pub(super) headers: HeaderMap,
}

/// Why it is not clear which request is asked about.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum Unclear {
    #[error("`{first}` and `{second}` disagree")]
    Disagree { first: &'static str, second: &'static str },
    #[error("`{0}` makes no sense")]
    Malformed(&'static str),
    #[error("`/decisions` was asked without {0}, which the client could add then")]
    Missing(&'static str),
    #[error("more than one `{0}`")]
    Repeated(&'static str),
}

/// One thing that must be known of a request, and who said it.
#[derive(Clone, Copy, Default)]
struct Fact<'a>(Option<(&'static str, &'a [u8])>);

/// What headers say of the request that is asked about.
#[derive(Default)]
struct Told<'a> {
    method: Fact<'a>,
    scheme: Fact<'a>,
    host: Fact<'a>,
    target: Fact<'a>,
}

impl Original {
    /// Reads the request that `asked` is about.
    pub(super) fn of(asked: Parts) -> Result<Self, Unclear> {
        let target = asked.uri.path_and_query().map_or("", |target| target.as_str());
        let inner = target.strip_prefix(PREFIX).unwrap_or(target);
        let mut told = Told::by(&asked.headers)?;
        let is_itself = inner.starts_with('/');
        if is_itself {
            told.target.hear("the path after /decisions", inner.as_bytes(), <[u8]>::eq)?;
            told.method.hear("the request's own method", asked.method.as_str().as_bytes(), <[u8]>::eq)?;
            if let Some(host) = one(&asked.headers, "Host")? {
                told.host.hear("Host", host, <[u8]>::eq_ignore_ascii_case)?;
            }
            if let Some(authority) = asked.uri.authority() {
                told.host.hear(":authority", authority.as_str().as_bytes(), <[u8]>::eq_ignore_ascii_case)?;
            }
        }
        let scheme = match told.scheme.0 {
            Some((by, scheme)) => scheme_of(scheme).ok_or(Unclear::Malformed(by))?,
            None if is_itself => Scheme::Http,
            None => return Err(Unclear::Missing("X-Forwarded-Proto or X-Original-URL")),
        };
        let (by, method) = told.method.or_missing("X-Forwarded-Method or X-Original-Method")?;
        let method = Method::from_bytes(method).map_err(|_| Unclear::Malformed(by))?;
        let (_, target) = told.target.or_missing("X-Forwarded-Uri, X-Original-URI or X-Original-URL")?;
        let (by, host) = told.host.or_missing("X-Forwarded-Host, X-Original-Host or X-Original-URL")?;
        let host = HeaderValue::from_bytes(host).map_err(|_| Unclear::Malformed(by))?;
        let target = target.to_vec();
        let mut headers = asked.headers;
        for name in REPORTS {
            headers.remove(name);
        }
        // They are about the proxy's connection to us, and about a body that it does not send.
        headers.remove(CONNECTION);
        headers.remove(CONTENT_LENGTH);
        headers.insert(HOST, host);
        Ok(Self { method, target, scheme, headers })
    }

    pub(super) fn head(&self) -> Head<'_> {
        Head {
            method: &self.method,
            target: &self.target,
            authority: None,
            headers: &self.headers,
            scheme: self.scheme,
        }
    }
}

impl<'a> Told<'a> {
    fn by(headers: &'a HeaderMap) -> Result<Self, Unclear> {
        let mut told = Self::default();
        for name in REPORTS {
            let Some(value) = one(headers, name)? else { continue };
            match name {
                X_FORWARDED_METHOD | X_ORIGINAL_METHOD => told.method.hear(name, value, <[u8]>::eq)?,
                X_FORWARDED_PROTO => told.scheme.hear(name, value, is_same_scheme)?,
                X_FORWARDED_HOST | X_ORIGINAL_HOST => told.host.hear(name, value, <[u8]>::eq_ignore_ascii_case)?,
                X_FORWARDED_URI | X_ORIGINAL_URI => told.hear_target(name, value)?,
                _ => told.hear_url(name, value)?,
            }
        }
        Ok(told)
    }

    fn hear_target(&mut self, by: &'static str, target: &'a [u8]) -> Result<(), Unclear> {
        // A whole URL here would name a host that nobody compares.
        if !target.starts_with(b"/") {
            return Err(Unclear::Malformed(by));
        }
        self.target.hear(by, target, <[u8]>::eq)
    }

    fn hear_url(&mut self, by: &'static str, url: &'a [u8]) -> Result<(), Unclear> {
        if url.starts_with(b"/") {
            return self.hear_target(by, url);
        }
        let malformed = Unclear::Malformed(by);
        let Some(colon) = url.windows(3).position(|window| window == b"://") else { return Err(malformed) };
        let (scheme, rest) = (&url[..colon], &url[colon + 3..]);
        let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
        let (host, target) = rest.split_at(end);
        self.scheme.hear(by, scheme, is_same_scheme)?;
        self.host.hear(by, host, <[u8]>::eq_ignore_ascii_case)?;
        self.hear_target(by, if target.is_empty() { b"/" } else { target })
    }
}

impl<'a> Fact<'a> {
    /// Takes note of what `by` says; all who say something must agree.
    fn hear(&mut self, by: &'static str, value: &'a [u8], agree: impl Fn(&[u8], &[u8]) -> bool) -> Result<(), Unclear> {
        match self.0 {
            Some((first, known)) if !agree(known, value) => Err(Unclear::Disagree { first, second: by }),
            Some(_) => Ok(()),
            None => {
                self.0 = Some((by, value));
                Ok(())
            }
        }
    }

    fn or_missing(self, sources: &'static str) -> Result<(&'static str, &'a [u8]), Unclear> {
        self.0.ok_or(Unclear::Missing(sources))
    }
}

/// The value of a header that may be there once.
fn one<'h>(headers: &'h HeaderMap, name: &'static str) -> Result<Option<&'h [u8]>, Unclear> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(Unclear::Repeated(name)),
        (value, None) => Ok(value.map(HeaderValue::as_bytes)),
    }
}

/// Some proxies call the scheme of a WebSocket by its own name.
pub(super) fn scheme_of(text: &[u8]) -> Option<Scheme> {
    match text.to_ascii_lowercase().as_slice() {
        b"http" | b"ws" => Some(Scheme::Http),
        b"https" | b"wss" => Some(Scheme::Https),
        _ => None,
    }
}

fn is_same_scheme(one: &[u8], other: &[u8]) -> bool {
    match (scheme_of(one), scheme_of(other)) {
        (Some(one), Some(other)) => one == other,
        _ => false,
    }
}
