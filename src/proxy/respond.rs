//! The one place where refusals become responses: refusal, kind of client and rule in; status, headers and body out.
//!
//! Knows nothing of the engine: the decision API and `explain` answer with it too.

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY};
use http::header::{RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use percent_encoding::utf8_percent_encode;
use serde::Serialize;

use crate::decision::dress::{Dress, Sending};
use crate::decision::policy::{Login, PublicUrl};
use crate::decision::refusal::Refusal;
use crate::decision::request::Scheme;
use crate::decision::rule::OnRefusal;
use crate::decision::url_template::COMPONENT;
use crate::proxy::client_kind::{ClientKind, is_safe};
use crate::proxy::page::{self, Page};

#[cfg(test)]
mod tests;

/// After a refusal for an outage, when to come again: about when the next look at Kratos is due.
const SOON: HeaderValue = HeaderValue::from_static("1");

/// What a refusal is dressed with.
#[derive(Clone, Debug)]
pub struct RefusalContext<'a> {
    pub login: &'a Login,
    pub public_url: Option<&'a PublicUrl>,
    pub method: &'a Method,
    pub client: ClientKind,
    /// What the rule says of this refusal and this client; the default where no rule owns the request.
    pub dress: &'a Dress,
    /// Where the request went; absent where that could not be read.
    pub place: Option<Place<'a>>,
    pub request_id: &'a str,
}

/// Where a request went, as a browser would call it.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    pub scheme: Scheme,
    /// The host in lower case, without the port.
    pub host: &'a str,
    /// The host as above, with the port where the client named one.
    pub authority: &'a str,
    /// Path and query as sent.
    pub origin_form: &'a str,
}

/// A whole response.
#[derive(Clone, Debug)]
pub struct Response {
    pub status: StatusCode,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Empty for HEAD.
    pub body: Bytes,
}

/// Turns a refusal into what the client sees of it.
pub fn respond(refusal: &Refusal, context: &RefusalContext<'_>) -> Response {
    let mut headers = vec![(CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    let login = login_query(refusal).map(|extra| login_url(context, extra));
    let word = match context.dress {
        Dress::Challenge(_) | Dress::Send(_) => OnRefusal::Auto,
        Dress::Usual(word) => *word,
    };
    let redirects = match word {
        OnRefusal::Auto => context.client == ClientKind::Navigation,
        OnRefusal::Json => false,
        OnRefusal::Redirect => is_safe(context.method),
    };
    let sent = match context.dress {
        Dress::Send(sending) if is_safe(context.method) => Some((sending.status, sent_to(sending, context))),
        Dress::Usual(_) if redirects => login.clone().map(|login| (StatusCode::SEE_OTHER, login)),
        Dress::Challenge(_) | Dress::Send(_) | Dress::Usual(_) => None,
    };
    if let Some((status, location)) = sent
        && let Ok(location) = HeaderValue::try_from(location)
    {
        headers.push((LOCATION, location));
        return Response { status, headers, body: Bytes::new() };
    }
    let mut status = refusal.status();
    if let Dress::Challenge(challenge) = context.dress {
        headers.push((WWW_AUTHENTICATE, challenge.clone()));
        status = StatusCode::UNAUTHORIZED;
    }
    match refusal {
        Refusal::MethodNotListed(allow) => headers.push((ALLOW, allow.clone())),
        Refusal::Outage | Refusal::Undecided => headers.push((RETRY_AFTER, SOON)),
        Refusal::NoToken if !matches!(context.dress, Dress::Challenge(_)) => {
            headers.push((WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")));
        }
        Refusal::Throttled(Some(retry_after)) => headers.push((RETRY_AFTER, retry_after.clone())),
        Refusal::Throttled(None)
        | Refusal::Ambiguous(_)
        | Refusal::CrossOrigin
        | Refusal::Forbidden
        | Refusal::HeadTooLarge
        | Refusal::Internal
        | Refusal::LogIn
        | Refusal::Malformed
        | Refusal::NoRule
        | Refusal::NoToken
        | Refusal::Refresh
        | Refusal::StepUp
        | Refusal::TooLarge
        | Refusal::TooSlow
        | Refusal::Unverified
        | Refusal::UpstreamFailed
        | Refusal::UpstreamTimedOut => {}
    }
    let shows_pages = context.client != ClientKind::Json && word != OnRefusal::Json;
    let body = if shows_pages {
        headers.push((CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")));
        headers.push((CONTENT_SECURITY_POLICY, page::content_policy()));
        headers.push((X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")));
        headers.push((REFERRER_POLICY, HeaderValue::from_static("no-referrer")));
        let (title, advice) = words(refusal);
        page::render(&Page { status, title, advice, login: login.as_deref(), request_id: context.request_id })
    } else {
        headers.push((CONTENT_TYPE, HeaderValue::from_static("application/json")));
        envelope(refusal, context, status, login)
    };
    let body = if *context.method == Method::HEAD { Bytes::new() } else { body };
    Response { status, headers, body }
}

/// Kratos' own error envelope, so that an app with an Ory SDK handles both alike.
#[derive(Serialize)]
struct Envelope<'a> {
    error: Error<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    redirect_browser_to: Option<String>,
}

#[derive(Serialize)]
struct Error<'a> {
    id: &'static str,
    code: u16,
    status: &'static str,
    reason: &'static str,
    message: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    request: &'a str,
}

fn envelope(refusal: &Refusal, context: &RefusalContext<'_>, status: StatusCode, login: Option<String>) -> Bytes {
    let (message, reason) = words(refusal);
    // Kratos sends browsers somewhere with a 403 only: a 401 tells the app to show its own sign-in.
    let redirect_browser_to = login.filter(|_| status == StatusCode::FORBIDDEN).map(|login| {
        let origin = context.place.map(|place| browser_origin(place, context.public_url)).unwrap_or_default();
        if login.starts_with('/') { origin + &login } else { login }
    });
    let error = Error {
        id: refusal.id(),
        code: status.as_u16(),
        status: status.canonical_reason().unwrap_or_default(),
        reason,
        message,
        request: context.request_id,
    };
    // Strings and a number cannot fail to serialise; were it otherwise, the status still says what matters.
    serde_json::to_vec(&Envelope { error, redirect_browser_to }).unwrap_or_default().into()
}

/// What a refusal is called, and what may be done about it. Neither tells more than the client may know.
fn words(refusal: &Refusal) -> (&'static str, &'static str) {
    match refusal {
        Refusal::Ambiguous(_) => {
            ("The request is ambiguous", "The address of this request could be read in more than one way.")
        }
        Refusal::CrossOrigin => ("The origin is not allowed", "Pages of this origin may not ask this of what is here."),
        Refusal::Forbidden => ("Access is not allowed", "You are not allowed to see what is here."),
        Refusal::HeadTooLarge => {
            ("The request header is too large", "The header of this request is longer than it may be.")
        }
        Refusal::Internal => ("Something went wrong", "The gateway could not handle this request."),
        Refusal::LogIn => ("The request could not be authorized", "No valid session credentials found in the request."),
        Refusal::Malformed => ("The request is malformed", "The body of this request is not well-formed."),
        Refusal::MethodNotListed(_) => ("The method is not allowed", "What is here cannot be asked for in this way."),
        Refusal::NoRule => ("Nothing was found", "There is nothing at this address."),
        Refusal::NoToken => ("A valid token is needed", "No valid token was found in the request."),
        Refusal::Outage => (
            "Signing in is not possible right now",
            "Your session cannot be checked at the moment. Please try again soon.",
        ),
        Refusal::Refresh => ("Please sign in again", "The session was authenticated too long ago for this request."),
        Refusal::StepUp => (
            "Session does not fulfill the requested Authenticator Assurance Level",
            "An active session was found, but a second factor is needed for this request.",
        ),
        Refusal::Throttled(_) => ("Too many requests", "There were too many requests. Please try again later."),
        Refusal::TooLarge => ("The request is too large", "The body of this request is longer than it may be."),
        Refusal::TooSlow => ("The request took too long", "The request did not arrive in time."),
        Refusal::Undecided => (
            "This cannot be decided right now",
            "Whether you may see what is here cannot be found out at the moment. Please try again soon.",
        ),
        Refusal::Unverified => {
            ("A verified address is needed", "Please verify your e-mail address or phone number first.")
        }
        Refusal::UpstreamFailed => {
            ("The service cannot be reached", "The service behind this address is not available.")
        }
        Refusal::UpstreamTimedOut => {
            ("The service did not answer in time", "The service behind this address took too long to answer.")
        }
    }
}

/// What the login is asked for, where signing in would help.
fn login_query(refusal: &Refusal) -> Option<&'static str> {
    match refusal {
        Refusal::LogIn => Some(""),
        Refusal::Refresh => Some("refresh=true"),
        Refusal::StepUp => Some("aal=aal2"),
        Refusal::Ambiguous(_)
        | Refusal::CrossOrigin
        | Refusal::Forbidden
        | Refusal::HeadTooLarge
        | Refusal::Internal
        | Refusal::Malformed
        | Refusal::MethodNotListed(_)
        | Refusal::NoRule
        | Refusal::NoToken
        | Refusal::Outage
        | Refusal::Throttled(_)
        | Refusal::TooLarge
        | Refusal::TooSlow
        | Refusal::Undecided
        | Refusal::Unverified
        | Refusal::UpstreamFailed
        | Refusal::UpstreamTimedOut => None,
    }
}

/// The login with what it is asked for and the way back; its own query is kept.
fn login_url(context: &RefusalContext<'_>, asked: &str) -> String {
    let parameters = [asked.to_owned(), way_back(context, "return_to")];
    extended(&context.login.url, &parameters)
}

/// Where the rule sends whom it refuses, with the way back.
fn sent_to(sending: &Sending, context: &RefusalContext<'_>) -> String {
    let parameter = &*sending.return_to;
    let back = if parameter.is_empty() { String::new() } else { way_back(context, parameter) };
    extended(&sending.to, &[back])
}

/// The parameter that says where the request went; empty where that could not be read.
fn way_back(context: &RefusalContext<'_>, parameter: &str) -> String {
    let back = context.place.map(|place| browser_origin(place, context.public_url) + place.origin_form);
    back.map(|back| format!("{parameter}={}", utf8_percent_encode(&back, COMPONENT))).unwrap_or_default()
}

/// A URL with more parameters than it has; empty ones are none.
fn extended(url: &str, parameters: &[String]) -> String {
    let (rest, fragment) = match url.split_once('#') {
        Some((rest, fragment)) => (rest, Some(fragment)),
        None => (url, None),
    };
    let mut url = rest.to_owned();
    for parameter in parameters.iter().filter(|parameter| !parameter.is_empty()) {
        let separator = match url.find('?') {
            None => "?",
            Some(_) if url.ends_with(['?', '&']) => "",
            Some(_) => "&",
        };
        url.push_str(separator);
        url.push_str(parameter);
    }
    if let Some(fragment) = fragment {
        url.push('#');
        url.push_str(fragment);
    }
    url
}

/// Scheme and authority as browsers call us: `public_url` where it is about this host, else what the request says.
pub(crate) fn browser_origin(place: Place<'_>, public_url: Option<&PublicUrl>) -> String {
    match public_url {
        Some(public_url) if *public_url.host == *place.host => public_url.origin.to_string(),
        Some(_) | None => format!("{}://{}", place.scheme, place.authority),
    }
}
