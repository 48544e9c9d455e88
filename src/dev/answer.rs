//! What goes back to a client: an answer, or Kratos' error for the fault that prevented one.

use std::borrow::Cow;

use axum::body::Body as ResponseBody;
use axum::response::Response;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::StatusCode;
use http::header;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

/// A complete response, before cookies and cache headers are added. No `Debug`: it may hold tokens.
#[derive(Clone)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn empty(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), body: Vec::new() }
    }

    pub(super) fn bytes(status: StatusCode, content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        let mut answer = Self { body: body.into(), ..Self::empty(status) };
        answer.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        answer
    }

    pub(super) fn json(status: StatusCode, value: &Value) -> Self {
        Self::bytes(status, "application/json; charset=utf-8", value.to_string())
    }

    pub(super) fn ok(value: &Value) -> Self {
        Self::json(StatusCode::OK, value)
    }

    /// 303, what Kratos sends browsers on almost every path.
    pub(super) fn see_other(location: &str) -> Self {
        Self::empty(StatusCode::SEE_OTHER).with(header::LOCATION, location)
    }

    /// 302, what Kratos sends on the few paths that never moved to 303.
    pub(super) fn found(location: &str) -> Self {
        Self::empty(StatusCode::FOUND).with(header::LOCATION, location)
    }

    /// Appends a header. A value that HTTP cannot carry is left out: it can only come from odd client input.
    pub(super) fn with(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.append(name, value);
        }
        self
    }

    pub(super) fn into_response(self) -> Response {
        let mut response = Response::new(ResponseBody::from(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

/// An error in Kratos' envelope. Boxed, since results that hold it are passed around a lot.
#[derive(Debug, Clone)]
pub(super) struct Fault(Box<Parts>);

#[derive(Debug, Clone)]
struct Parts {
    status: StatusCode,
    id: &'static str,
    reason: Cow<'static, str>,
    message: &'static str,
    details: Option<Value>,
    /// Keys next to `error`. Errors that have them carry no `request`, as in Kratos.
    beside: Map<String, Value>,
}

impl Fault {
    fn new(status: StatusCode, message: &'static str, reason: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Parts { status, id: "", reason: reason.into(), message, details: None, beside: Map::new() }))
    }

    pub(super) fn bad_request(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "The request was malformed or contained invalid parameters", reason)
    }

    pub(super) fn unauthorized(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "The request could not be authorized", reason)
    }

    pub(super) fn forbidden(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "The requested action was forbidden", reason)
    }

    pub(super) fn unknown_resource() -> Self {
        Self::new(StatusCode::NOT_FOUND, "Unable to locate the resource", "")
    }

    pub(super) fn not_found(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "The requested resource could not be found", reason)
    }

    pub(super) fn internal(reason: impl Into<Cow<'static, str>>) -> Self {
        let message = "An internal server error occurred, please contact the system administrator";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, message, reason)
    }

    pub(super) fn current_session() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "cannot revoke current session", "")
    }

    pub(super) fn session_inactive() -> Self {
        let message = "request does not have a valid authentication session";
        Self::new(StatusCode::UNAUTHORIZED, message, "No active session was found in this request.")
            .named("session_inactive")
    }

    pub(super) fn already_signed_in() -> Self {
        let reason =
            "A valid session was detected and thus login is not possible. Did you forget to set `?refresh=true`?";
        Self::new(StatusCode::BAD_REQUEST, "you are already logged in", reason).named("session_already_available")
    }

    pub(super) fn aal1_required() -> Self {
        let reason = "You can not requested a higher AAL (AAL2/AAL3) without an active session.";
        Self::new(StatusCode::UNAUTHORIZED, "aal2 and aal3 can only be requested if a session exists already", reason)
            .named("session_aal1_required")
    }

    pub(super) fn aal2_required(redirect_to: &str) -> Self {
        let reason = "An active session was found but it does not fulfill the requested Authenticator Assurance Level. \
                      Please verify yourself with a second factor to resolve this issue.";
        let message = "Session does not fulfill the requested Authenticator Assurance Level";
        let mut fault = Self::new(StatusCode::FORBIDDEN, message, reason).named("session_aal2_required");
        fault.0.details = Some(json!({ "redirect_browser_to": redirect_to }));
        fault.beside("redirect_browser_to", json!(redirect_to))
    }

    pub(super) fn refresh_required(redirect_to: &str) -> Self {
        let reason = "The login session is too old and thus not allowed to update these fields. \
                      Please re-authenticate.";
        Self::forbidden(reason).named("session_refresh_required").beside("redirect_browser_to", json!(redirect_to))
    }

    pub(super) fn location_change(redirect_to: &str) -> Self {
        let reason = format!("In order to complete this flow please redirect the browser to: {redirect_to}");
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "browser location change required", reason)
            .named("browser_location_change_required")
            .beside("redirect_browser_to", json!(redirect_to))
    }

    pub(super) fn return_to_forbidden(return_to: &str) -> Self {
        Self::bad_request(format!("Requested return_to URL \"{return_to}\" is not allowed."))
            .named("self_service_flow_return_to_forbidden")
    }

    pub(super) fn identity_mismatch() -> Self {
        let reason = "The request was made for another identity and has been blocked for security reasons.";
        Self::forbidden(reason).named("security_identity_mismatch")
    }

    pub(super) fn flow_gone(reason: String, details: Value) -> Self {
        let message = "The requested resource is no longer available because it has expired or is otherwise invalid.";
        Self::new(StatusCode::GONE, message, reason).detailed(details).named("self_service_flow_expired")
    }

    pub(super) fn flow_expired(reason: String) -> Self {
        Self::new(StatusCode::GONE, "self-service flow expired", reason).named("self_service_flow_expired")
    }

    pub(super) fn csrf(hint: &'static str, reject_reason: &'static str) -> Self {
        let reason = "Please retry the flow and optionally clear your cookies. The request was rejected to protect you \
                      from Cross-Site-Request-Forgery (CSRF) which could cause account takeover, leaking personal \
                      information, and other serious security issues.";
        let message = "the request was rejected to protect you from Cross-Site-Request-Forgery";
        let details = json!({
            "docs": "https://www.ory.com/docs/troubleshooting/csrf",
            "hint": hint,
            "reject_reason": reject_reason,
        });
        Self::new(StatusCode::FORBIDDEN, message, reason).detailed(details).named("security_csrf_violation")
    }

    fn detailed(mut self, details: Value) -> Self {
        self.0.details = Some(details);
        self
    }

    pub(super) fn named(mut self, id: &'static str) -> Self {
        self.0.id = id;
        self
    }

    pub(super) fn beside(mut self, key: &str, value: Value) -> Self {
        self.0.beside.insert(key.to_owned(), value);
        self
    }

    /// The inner `error` object; `request_id` is the visitor's `X-Request-ID`.
    pub(super) fn error(&self, request_id: Option<&str>) -> Value {
        let mut error = Map::new();
        if !self.0.id.is_empty() {
            error.insert("id".to_owned(), json!(self.0.id));
        }
        error.insert("code".to_owned(), json!(self.0.status.as_u16()));
        error.insert("status".to_owned(), json!(self.0.status.canonical_reason().unwrap_or_default()));
        if let Some(request_id) = request_id.filter(|_| self.0.beside.is_empty()) {
            error.insert("request".to_owned(), json!(request_id));
        }
        if !self.0.reason.is_empty() {
            error.insert("reason".to_owned(), json!(self.0.reason));
        }
        if let Some(details) = &self.0.details {
            error.insert("details".to_owned(), details.clone());
        }
        error.insert("message".to_owned(), json!(self.0.message));
        Value::Object(error)
    }

    /// The error as a JSON response, with Kratos' `Ory-Error-Id` header (empty for errors without an id).
    pub(super) fn answer(&self, request_id: Option<&str>) -> Answer {
        let mut body = self.0.beside.clone();
        body.insert("error".to_owned(), self.error(request_id));
        Answer::bytes(self.0.status, "application/json", Value::Object(body).to_string())
            .with(HeaderName::from_static("ory-error-id"), self.0.id)
    }
}

/// Why an operation stopped before its end: with an answer of its own, or with a fault whose form
/// (JSON or the error page) depends on who asks.
pub(super) enum Halt {
    Answer(Box<Answer>),
    Fault(Fault),
}

impl From<Answer> for Halt {
    fn from(answer: Answer) -> Self {
        Self::Answer(Box::new(answer))
    }
}

impl From<Fault> for Halt {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

pub(super) type Outcome = Result<Answer, Halt>;
