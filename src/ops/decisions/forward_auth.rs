//! Decisions over HTTP, as nginx, Traefik and Caddy ask for them.
//!
//! A permit is a 200 with the headers that the service is to get; `X-Portcullis-Remove` lists those that it must not.
//! A refusal is what the client is to see, unless only nginx' two statuses were asked for.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::extract::Request;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::response::Response;
use axum::routing::any;
use http::HeaderName;
use http::HeaderValue;
use http::StatusCode;
use http::header::CACHE_CONTROL;
use http::header::RETRY_AFTER;
use http::header::SET_COOKIE;

use crate::decision::edits::Edit;
use crate::decision::origin::client;
use crate::ops::complaint::Complaint;
use crate::ops::decisions::Answer;
use crate::ops::decisions::Asking;
use crate::ops::decisions::Decisions;
use crate::ops::decisions::Refused;
use crate::ops::decisions::original::Original;
use crate::ops::decisions::original::PREFIX;
use crate::ops::settings::Statuses;
use crate::proxy::RequestId;
use crate::proxy::X_REQUEST_ID;

/// The headers of a request that must not reach the service, comma-separated.
const REMOVE: HeaderName = HeaderName::from_static("x-portcullis-remove");

/// The status and the id of a refusal that is told with another status.
const REFUSAL: HeaderName = HeaderName::from_static("x-portcullis-refusal");

/// `/decisions` and all that is below it.
pub(crate) fn router(decisions: Decisions) -> Router {
    routes().with_state(decisions).fallback(async || Complaint::NOT_FOUND)
}

/// The same, to be put beside other routes.
pub(in crate::ops) fn routes() -> Router<Decisions> {
    // The wildcard does not stand for nothing.
    Router::new()
        .route("/decisions", any(answer))
        .route("/decisions/", any(answer))
        .route("/decisions/{*path}", any(answer))
}

/// What the query of `/decisions` says of the answer. Below it the query belongs to the request.
struct Wish {
    statuses: Statuses,
    /// The proxy was refused just now, and asks for what its client is to see of that.
    was_refused: bool,
}

impl Wish {
    fn of(request: &Request, default: Statuses) -> Self {
        let query = request.uri().query().filter(|_| request.uri().path() == PREFIX).unwrap_or_default();
        let mut words = query.split('&');
        let was_refused = words.clone().any(|word| word == "refused");
        let is_nginx = words.any(|word| word == "nginx") || default == Statuses::Nginx;
        let statuses = if is_nginx && !was_refused { Statuses::Nginx } else { Statuses::Own };
        Self { statuses, was_refused }
    }
}

async fn answer(State(decisions): State<Decisions>, request: Request) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| address.ip());
    let Some(peer) = decisions.hears(peer) else { return Complaint::UNTRUSTED.into_response() };
    let wish = Wish::of(&request, decisions.settings.statuses);
    let (asked, _) = request.into_parts();
    let client = client(peer, &asked.headers, &decisions.settings.trusted_proxies);
    let asking = Asking { peer, client, id: RequestId::of(&asked.headers) };
    decisions.decide(&asking, &Original::of(asked)).await.into_http(&wish)
}

impl Answer {
    fn into_http(self, wish: &Wish) -> Response {
        let mut response = match self.outcome {
            Ok(_) if wish.was_refused => no_longer_refused(),
            Ok(edits) => permitted(edits),
            Err(refused) => refused.into_http(wish.statuses),
        };
        let headers = response.headers_mut();
        headers.insert(X_REQUEST_ID, self.id.header().clone());
        for cookie in self.set_cookies {
            headers.append(SET_COOKIE, cookie);
        }
        response
    }
}

fn permitted(edits: Vec<Edit>) -> Response {
    let mut response = StatusCode::OK.into_response();
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let mut removed = Vec::new();
    for edit in edits {
        match edit {
            Edit::Remove(name) => removed.push(name),
            // A header of requests: how a proxy would take it from a response, nobody says.
            Edit::Set { name, .. } if name == http::header::COOKIE => {}
            Edit::Set { name, value, .. } => {
                headers.insert(name, value);
            }
        }
    }
    let removed = removed.iter().map(HeaderName::as_str).collect::<Vec<_>>().join(", ");
    if let Ok(removed) = HeaderValue::try_from(removed) {
        headers.insert(REMOVE, removed);
    }
    response
}

/// Between two questions of the same proxy the request was let pass. It did not reach its service, so it must not look
/// as if it had: the client is to come again.
fn no_longer_refused() -> Response {
    let headers = [(CACHE_CONTROL, "no-store"), (RETRY_AFTER, "1")];
    (StatusCode::SERVICE_UNAVAILABLE, headers).into_response()
}

impl Refused {
    fn into_http(self, statuses: Statuses) -> Response {
        let told = self.response.status;
        let mut response = Response::new(Body::from(self.response.body));
        *response.status_mut() = match statuses {
            Statuses::Own => told,
            Statuses::Nginx if told == StatusCode::UNAUTHORIZED || told.is_redirection() => StatusCode::UNAUTHORIZED,
            Statuses::Nginx => StatusCode::FORBIDDEN,
        };
        let headers = response.headers_mut();
        for (name, value) in self.response.headers {
            headers.append(name, value);
        }
        if statuses == Statuses::Nginx
            && let Ok(value) = HeaderValue::try_from(format!("{} {}", told.as_u16(), self.refusal.id()))
        {
            headers.insert(REFUSAL, value);
        }
        response
    }
}
