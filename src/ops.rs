//! The operators' listener: health, metrics, rules, explain, decisions and forgetting sessions.

use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::Request;
use axum::extract::State;
use axum::middleware;
use axum::middleware::Next;
use axum::response::IntoResponse;
use axum::response::Response;
use axum::routing::get;
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use http::Method;
use http::header::AUTHORIZATION;

use crate::decision::credentials::bearer_token;
use crate::decision::policy::Policy;
use crate::ops::complaint::Complaint;
use crate::ops::decisions::Decisions;
use crate::ops::readiness::Readiness;
use crate::ops::settings::Token;
use crate::telemetry::Metrics;

mod complaint;
pub(crate) mod decisions;
pub mod explain;
mod forget;
mod health;
mod page;
pub mod readiness;
mod rules;
pub mod settings;
#[cfg(test)]
mod tests;

/// What operators look at and touch.
#[derive(Clone)]
pub(crate) struct OpsState {
    pub(crate) policy: Arc<ArcSwap<Policy>>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) readiness: Arc<Readiness>,
    /// Decides for other proxies; and holds whoever can be asked, for all the others here.
    pub(crate) decisions: Decisions,
    /// Guards everything but health and metrics. Absent: nothing is guarded.
    pub(crate) token: Option<Token>,
}

/// All that operators can ask.
pub(crate) fn router(state: OpsState) -> Router {
    let guarded = Router::new()
        .route("/explain", get(explain::answer).post(explain::page::by_form))
        .route("/rules", get(rules::list))
        .route("/rules/{id}", get(rules::one))
        .route("/sessions/forget", post(forget::forget))
        .merge(decisions::forward_auth_routes().with_state(state.decisions.clone()))
        .route_layer(middleware::from_fn_with_state(state.clone(), demand_token));
    let open = Router::new()
        .route("/health/alive", get(health::alive))
        .route("/health/ready", get(health::ready))
        .route("/metrics", get(health::metrics))
        // Public halves of keys are public.
        .route("/.well-known/jwks.json", get(health::keys));
    // What is no route is 404 whoever asks: there is nothing to guard, and the list of routes is no secret.
    guarded
        .merge(open)
        .fallback(async || Complaint::NOT_FOUND)
        .method_not_allowed_fallback(async || Complaint::METHOD_NOT_ALLOWED)
        .with_state(state)
}

async fn demand_token(State(state): State<OpsState>, mut request: Request, next: Next) -> Response {
    let Some(token) = &state.token else { return next.run(request).await };
    let looks = looks(&request);
    let presented = request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes);
    let is_bearer = presented.and_then(bearer_token).is_some_and(|presented| token.matches(presented));
    let is_password = looks && presented.and_then(password).is_some_and(|presented| token.matches(&presented));
    if is_bearer || is_password {
        // It is spent here: no decision must take it for a credential of the client.
        request.headers_mut().remove(AUTHORIZATION);
        next.run(request).await
    } else if looks && page::is_for_people(request.headers()) {
        Complaint::UNAUTHORIZED.for_people()
    } else {
        Complaint::UNAUTHORIZED.into_response()
    }
}

/// Whether a request only looks. Browsers send a password by themselves, whoever makes them ask, so it is good for
/// looking alone; and in a decision it would be the client's own.
fn looks(request: &Request) -> bool {
    let path = request.uri().path();
    let is_page = path == "/explain" || path == "/rules" || path.starts_with("/rules/");
    is_page && (matches!(*request.method(), Method::GET | Method::HEAD) || path == "/explain")
}

/// The password of `Basic …`, whatever the user is called.
fn password(value: &[u8]) -> Option<Vec<u8>> {
    let (scheme, encoded) = value.split_at_checked(6)?;
    let pair = scheme.eq_ignore_ascii_case(b"basic ").then(|| STANDARD.decode(encoded.trim_ascii()).ok())??;
    let colon = pair.iter().position(|byte| *byte == b':')?;
    Some(pair[colon + 1..].to_vec())
}
