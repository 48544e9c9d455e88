//! Why a request does not pass. Every way in which the gateway itself refuses is a variant here.

use http::{HeaderValue, StatusCode};

use crate::decision::request::Ambiguous;

/// A refusal. What clients see of it is made in one place, in the shell.
#[derive(Clone, Debug)]
pub enum Refusal {
    /// The request could be read in two ways.
    Ambiguous(Ambiguous),
    /// The rule's `cors` does not let a page of that origin ask this.
    CrossOrigin,
    /// The rule lets nobody pass, or its condition does not hold.
    Forbidden,
    /// The gateway itself failed.
    Internal,
    /// A session is demanded and there is none.
    LogIn,
    /// The body is not what HTTP says a body is.
    Malformed,
    /// The path's rules do not list the method; the value of `Allow`.
    MethodNotListed(HeaderValue),
    /// No rule owns the request.
    NoRule,
    /// A token is demanded and there is no valid one.
    NoToken,
    /// Kratos could not be asked.
    Outage,
    /// The user must sign in again, for the session was authenticated too long ago.
    Refresh,
    /// More assurance is needed: a second factor.
    StepUp,
    /// Kratos asks for patience; its `Retry-After`.
    Throttled(Option<HeaderValue>),
    /// Somebody else who decides could not be asked.
    Undecided,
    /// The body is longer than it may be.
    TooLarge,
    /// The client took too long to send the request.
    TooSlow,
    /// The head is longer than it may be.
    HeadTooLarge,
    /// The identity has no verified address.
    Unverified,
    /// The service could not be reached or broke off.
    UpstreamFailed,
    /// The service did not answer in time.
    UpstreamTimedOut,
}

impl Refusal {
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Ambiguous(_) | Self::Malformed => StatusCode::BAD_REQUEST,
            Self::CrossOrigin | Self::Forbidden | Self::Refresh | Self::StepUp | Self::Unverified => {
                StatusCode::FORBIDDEN
            }
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::LogIn | Self::NoToken => StatusCode::UNAUTHORIZED,
            Self::MethodNotListed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::NoRule => StatusCode::NOT_FOUND,
            Self::Outage | Self::Undecided => StatusCode::SERVICE_UNAVAILABLE,
            Self::Throttled(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::UpstreamFailed => StatusCode::BAD_GATEWAY,
            Self::UpstreamTimedOut => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// The id by which clients, metrics and `explain` know the refusal. Kratos' own ids where it has one.
    pub fn id(&self) -> &'static str {
        match self {
            Self::Ambiguous(_) => "ambiguous_request",
            Self::CrossOrigin => "cross_origin_not_allowed",
            Self::Forbidden => "forbidden",
            Self::Internal => "internal_error",
            Self::LogIn => "session_inactive",
            Self::Malformed => "malformed_request",
            Self::MethodNotListed(_) => "method_not_allowed",
            Self::NoRule => "no_rule",
            Self::NoToken => "token_invalid",
            Self::Outage => "kratos_unavailable",
            Self::Refresh => "session_refresh_required",
            Self::StepUp => "session_aal2_required",
            Self::Throttled(_) => "too_many_requests",
            Self::TooLarge => "body_too_large",
            Self::TooSlow => "request_timeout",
            Self::HeadTooLarge => "header_too_large",
            Self::Undecided => "decision_unavailable",
            Self::Unverified => "session_verified_address_required",
            Self::UpstreamFailed => "upstream_unavailable",
            Self::UpstreamTimedOut => "upstream_timeout",
        }
    }

    /// Every id, for metrics that want to be there before the first refusal.
    pub const IDS: [&str; 20] = [
        "ambiguous_request",
        "body_too_large",
        "cross_origin_not_allowed",
        "decision_unavailable",
        "forbidden",
        "header_too_large",
        "internal_error",
        "kratos_unavailable",
        "malformed_request",
        "method_not_allowed",
        "no_rule",
        "request_timeout",
        "session_aal2_required",
        "session_inactive",
        "session_refresh_required",
        "session_verified_address_required",
        "token_invalid",
        "too_many_requests",
        "upstream_timeout",
        "upstream_unavailable",
    ];

    /// The ids of those that are about who asks: their status is 401 or 403.
    pub const ABOUT_CALLERS: [&str; 7] = [
        "cross_origin_not_allowed",
        "forbidden",
        "session_aal2_required",
        "session_inactive",
        "session_refresh_required",
        "session_verified_address_required",
        "token_invalid",
    ];
}
