//! Responses: pages with their headers, redirects, and the two static files.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION, SET_COOKIE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderName, HeaderValue, StatusCode};
use sha2::{Digest, Sha256};

use crate::ui::policy::ContentPolicy;

/// A whole response; `headers` may hold one name several times.
pub struct PageResponse {
    pub status: StatusCode,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub body: Bytes,
}

/// A static file that lives in the binary, with a hash of its content for the URL.
#[derive(Debug)]
pub(super) struct Asset {
    body: Bytes,
    media_type: &'static str,
    pub(super) hash: String,
}

impl Asset {
    pub(super) fn new(body: String, media_type: &'static str) -> Self {
        let digest = Sha256::digest(body.as_bytes());
        let hash = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Self { body: body.into(), media_type, hash }
    }
}

impl PageResponse {
    pub(super) fn new(status: StatusCode) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new() }
    }

    /// Adds a header; a value that no header can hold is left out.
    pub(super) fn with(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }

    pub(super) fn with_cookies(mut self, cookies: Vec<HeaderValue>) -> Self {
        self.headers.extend(cookies.into_iter().map(|cookie| (SET_COOKIE, cookie)));
        self
    }
}

pub(super) fn html(status: StatusCode, body: maud::Markup, policy: &ContentPolicy) -> PageResponse {
    let mut response = PageResponse::new(status).with(CONTENT_TYPE, "text/html; charset=utf-8");
    response.headers.extend(policy.headers());
    response.body = body.into_string().into();
    response
}

pub(super) fn redirect(target: &str) -> PageResponse {
    PageResponse::new(StatusCode::SEE_OTHER).with(LOCATION, target).with(CACHE_CONTROL, "no-store")
}

pub(super) fn asset(asset: &Asset, query: Option<&str>) -> PageResponse {
    // Only the URL that names this very content may be kept: an old page must not pin a new file, nor the reverse.
    let named = query.and_then(|query| query.strip_prefix("v=")) == Some(asset.hash.as_str());
    let keep = if named { "public, max-age=31536000, immutable" } else { "no-cache" };
    let mut response = PageResponse::new(StatusCode::OK)
        .with(CONTENT_TYPE, asset.media_type)
        .with(CACHE_CONTROL, keep)
        .with(X_CONTENT_TYPE_OPTIONS, "nosniff");
    response.body = asset.body.clone();
    response
}
