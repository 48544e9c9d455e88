//! How the operators' listener says no: in the error envelope that Kratos and the gateway itself use.

use std::borrow::Cow;

use axum::Json;
use axum::response::IntoResponse;
use axum::response::Response;
use http::HeaderValue;
use http::StatusCode;
use http::header::CACHE_CONTROL;
use http::header::WWW_AUTHENTICATE;
use serde_json::json;

/// A request of an operator that cannot be served, and what is wrong with it.
#[derive(Debug)]
pub(super) struct Complaint {
    status: StatusCode,
    id: &'static str,
    reason: Cow<'static, str>,
}

impl Complaint {
    pub(super) const BODY_TOO_LARGE: Self =
        Self::fixed(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "The body is longer than 4 KiB.");
    pub(super) const METHOD_NOT_ALLOWED: Self =
        Self::fixed(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "This path does not take that method.");
    pub(super) const NOT_FOUND: Self =
        Self::fixed(StatusCode::NOT_FOUND, "not_found", "There is nothing at this path.");
    pub(super) const UNAUTHORIZED: Self = Self::fixed(
        StatusCode::UNAUTHORIZED,
        "unauthorized",
        "This needs `Authorization: Bearer` and the token of the configuration's `ops.token`.",
    );
    pub(super) const UNTRUSTED: Self = Self::fixed(
        StatusCode::FORBIDDEN,
        "untrusted_proxy",
        "Decisions are for the proxies in the configuration's `decisions.trusted_proxies`.",
    );
    pub(super) const UNKNOWN_RULE: Self =
        Self::fixed(StatusCode::NOT_FOUND, "unknown_rule", "The policy has no rule of this id.");
    pub(super) const UNSUPPORTED_MEDIA_TYPE: Self = Self::fixed(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported_media_type",
        "The body must be sent as `application/json`.",
    );

    pub(super) const FORM_TOO_LARGE: Self =
        Self::fixed(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "The form is longer than 64 KiB.");
    pub(super) const UNSUPPORTED_FORM: Self = Self::fixed(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported_media_type",
        "The form must be sent as `application/x-www-form-urlencoded`.",
    );

    const fn fixed(status: StatusCode, id: &'static str, reason: &'static str) -> Self {
        Self { status, id, reason: Cow::Borrowed(reason) }
    }

    /// The request says what makes no sense.
    pub(super) fn bad_request(reason: impl Into<Cow<'static, str>>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, id: "bad_request", reason: reason.into() }
    }
}

impl IntoResponse for Complaint {
    fn into_response(self) -> Response {
        let title = self.status.canonical_reason().unwrap_or_default();
        let body = json!({"error": {
            "id": self.id,
            "code": self.status.as_u16(),
            "status": title,
            "reason": self.reason,
            "message": title,
        }});
        let mut response = (self.status, Json(body)).into_response();
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl Complaint {
    /// The same for a browser, which asks its user for a password where it is told how.
    pub(super) fn for_people(self) -> Response {
        let mut response = self.into_response();
        let basic = HeaderValue::from_static("Basic realm=\"portcullis\", charset=\"UTF-8\"");
        response.headers_mut().insert(WWW_AUTHENTICATE, basic);
        response
    }
}
