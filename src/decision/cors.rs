//! Which pages of other origins may read what a rule's requests are answered, and what they may ask beforehand.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD,
    ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use smallvec::SmallVec;

use crate::decision::host::Host;
use crate::decision::pattern::Methods;
use crate::decision::request::{Scheme, is_forbidden_method};

#[cfg(test)]
mod tests;

const TRUE: HeaderValue = HeaderValue::from_static("true");
const ANYONE: HeaderValue = HeaderValue::from_static("*");
/// What the answer to a preflight depends on, beside the origin.
const PREFLIGHT_VARIES: HeaderValue =
    HeaderValue::from_static("Access-Control-Request-Method, Access-Control-Request-Headers");

/// What a rule says to browsers about pages of other origins.
#[derive(Clone, Debug)]
pub struct Cors {
    pub origins: Vec<OriginPattern>,
    /// The methods that pages may use; any, where all of the rule's may be used.
    pub methods: Methods,
    /// The value of `Access-Control-Allow-Headers`.
    pub headers: HeaderValue,
    /// The value of `Access-Control-Expose-Headers`, where pages may read more than is always readable.
    pub expose: Option<HeaderValue>,
    /// Browsers may send cookies along. Never together with [`OriginPattern::Any`].
    pub credentials: bool,
    /// The value of `Access-Control-Max-Age`, in seconds; browsers have a default of their own, of a few seconds.
    pub max_age: Option<HeaderValue>,
}

/// Whose pages are meant. Origins are compared as browsers write them: in lower case, without a default port.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum OriginPattern {
    /// Everybody's.
    Any,
    /// `https://*.example.com`: those of every host below a name, but not of the name itself.
    Below {
        /// `https://`
        scheme: Box<str>,
        /// `.example.com`, and the port where it is not the scheme's own.
        suffix: Box<str>,
    },
    Exact(Box<str>),
}

/// Why a text names no origin.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum OriginError {
    #[error("has no host of letters, digits, `-`, `_` and `.`, or a port that is none")]
    Host,
    #[error("has no scheme: an origin is a scheme and a host, as in `https://app.example.com`")]
    NoScheme,
    #[error("has a path: an origin is a scheme and a host only")]
    Path,
    #[error("is of a scheme that is neither `http` nor `https`")]
    Scheme,
    #[error("has user information, which no origin has")]
    Userinfo,
    #[error("has a `*` that does not stand for whole labels at the start, as in `https://*.example.com`")]
    Wildcard,
}

/// Headers of an answer.
pub type AnswerHeaders = SmallVec<[(HeaderName, HeaderValue); 4]>;

/// A browser's question whether a page may ask something. It carries no credential, and never will.
#[derive(Debug)]
pub struct Preflight<'h> {
    origin: &'h HeaderValue,
    /// Of the request that is to follow.
    pub method: Method,
}

impl OriginPattern {
    /// Reads `https://app.example.com`, `http://localhost:3000`, `https://*.example.com`, or `*` for everybody.
    ///
    /// # Errors
    /// Whatever is not one of these; each cause has its own text.
    pub fn parse(text: &str) -> Result<Self, OriginError> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let (scheme, authority) = text.split_once("://").ok_or(OriginError::NoScheme)?;
        let scheme = [Scheme::Http, Scheme::Https]
            .into_iter()
            .find(|known| known.as_str().eq_ignore_ascii_case(scheme))
            .ok_or(OriginError::Scheme)?;
        if authority.contains(['/', '?', '#']) {
            return Err(OriginError::Path);
        }
        let below = authority.strip_prefix("*.");
        let authority = below.unwrap_or(authority);
        if authority.contains('*') || (below.is_some() && authority.starts_with('[')) {
            return Err(OriginError::Wildcard);
        }
        if authority.contains('@') {
            return Err(OriginError::Userinfo);
        }
        let host = Host::parse(authority.as_bytes()).map_err(|_| OriginError::Host)?;
        let default_port = match scheme {
            Scheme::Http => 80,
            Scheme::Https => 443,
        };
        let port = host.port().filter(|port| *port != default_port).map(|port| format!(":{port}")).unwrap_or_default();
        let (scheme, name) = (format!("{scheme}://"), host.name());
        Ok(match below {
            Some(_) => Self::Below { scheme: scheme.into(), suffix: format!(".{name}{port}").into() },
            None => Self::Exact(format!("{scheme}{name}{port}").into()),
        })
    }

    fn matches(&self, origin: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Below { scheme, suffix } => origin
                .strip_prefix(scheme.as_bytes())
                .and_then(|authority| authority.strip_suffix(suffix.as_bytes()))
                .is_some_and(is_labels),
            Self::Exact(exact) => exact.as_bytes() == origin,
        }
    }
}

/// Whether these are labels of a host name and nothing else.
fn is_labels(text: &[u8]) -> bool {
    let is_label = |label: &[u8]| {
        !label.is_empty() && label.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    text.split(|byte| *byte == b'.').all(is_label)
}

impl<'h> Preflight<'h> {
    /// The question that a request is, where it is one.
    pub fn of(method: &Method, headers: &'h HeaderMap) -> Option<Self> {
        if *method != Method::OPTIONS {
            return None;
        }
        let method = headers.get(ACCESS_CONTROL_REQUEST_METHOD)?;
        Some(Self { origin: headers.get(ORIGIN)?, method: Method::from_bytes(method.as_bytes()).ok()? })
    }
}

impl Cors {
    /// What a page of `origin` is told with every answer, our refusals included.
    pub fn answer(&self, origin: Option<&HeaderValue>) -> AnswerHeaders {
        let mut headers = AnswerHeaders::new();
        let Some(allowed) = self.allowed(origin) else { return headers };
        headers.push((ACCESS_CONTROL_ALLOW_ORIGIN, allowed));
        if self.credentials {
            headers.push((ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE));
        }
        if let Some(expose) = &self.expose {
            headers.push((ACCESS_CONTROL_EXPOSE_HEADERS, expose.clone()));
        }
        headers
    }

    /// What a preflight is answered, beside [`Self::answer`]; nothing where the page may not ask this.
    ///
    /// Headers that may not be sent are left to the browser to find out, which tells developers which ones.
    pub fn preflight(&self, preflight: &Preflight<'_>) -> Option<AnswerHeaders> {
        self.allowed(Some(preflight.origin))?;
        if !self.methods.contains(&preflight.method) || is_forbidden_method(&preflight.method) {
            return None;
        }
        let mut headers = AnswerHeaders::new();
        let methods = if self.methods.is_any() { preflight.method.to_string() } else { self.methods.to_string() };
        headers.push((ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::try_from(methods).ok()?));
        headers.push((ACCESS_CONTROL_ALLOW_HEADERS, self.headers.clone()));
        headers.extend(self.max_age.clone().map(|age| (ACCESS_CONTROL_MAX_AGE, age)));
        headers.push((VARY, PREFLIGHT_VARIES));
        Some(headers)
    }

    /// Whether caches must keep the answers to different origins apart.
    pub fn varies(&self) -> bool {
        !self.is_for_anyone()
    }

    fn is_for_anyone(&self) -> bool {
        !self.credentials && self.origins.contains(&OriginPattern::Any)
    }

    /// The value of `Access-Control-Allow-Origin`.
    fn allowed(&self, origin: Option<&HeaderValue>) -> Option<HeaderValue> {
        let origin = origin?;
        if self.is_for_anyone() {
            return Some(ANYONE);
        }
        self.origins.iter().any(|pattern| pattern.matches(origin.as_bytes())).then(|| origin.clone())
    }
}

/// Whether a header is one of those by which an answer speaks of other origins.
pub fn is_about_origins(name: &HeaderName) -> bool {
    name.as_str().starts_with("access-control-")
}

/// Whether an answer says already that it depends on the origin.
pub fn varies_by_origin(headers: &HeaderMap) -> bool {
    let names = headers.get_all(VARY).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    names.map(<[u8]>::trim_ascii).any(|name| name == b"*" || name.eq_ignore_ascii_case(b"origin"))
}
