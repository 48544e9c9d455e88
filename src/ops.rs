//! The operators' listener: health, metrics, rules, explain, decisions and forgetting sessions.

use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::Request;
use axum::extract::State;
use axum::middleware;
use axum::middleware::Next;
use axum::response::Response;
use axum::routing::get;
use axum::routing::post;
use http::header::AUTHORIZATION;

use crate::decision::credentials::bearer_token;
use crate::decision::policy::Policy;
use crate::ops::complaint::Complaint;
use crate::ops::decisions::Decisions;
use crate::ops::readiness::Readiness;
use crate::ops::settings::Token;
use crate::sessions::Sessions;
use crate::signing::Signer;
use crate::telemetry::Metrics;

mod complaint;
pub(crate) mod decisions;
pub mod explain;
mod forget;
mod health;
pub mod readiness;
mod rules;
pub mod settings;
#[cfg(test)]
mod tests;

/// What operators look at and touch.
#[derive(Clone)]
pub(crate) struct OpsState {
    pub(crate) policy: Arc<ArcSwap<Policy>>,
    pub(crate) sessions: Sessions,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) readiness: Arc<Readiness>,
    /// Decides for other proxies.
    pub(crate) decisions: Decisions,
    /// Guards everything but health and metrics. Absent: nothing is guarded.
    pub(crate) token: Option<Token>,
    pub(crate) signer: Signer,
}

/// All that operators can ask.
pub(crate) fn router(state: OpsState) -> Router {
    let guarded = Router::new()
        .route("/explain", get(explain::answer))
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

async fn demand_token(State(state): State<OpsState>, mut request: Request, next: Next) -> Result<Response, Complaint> {
    let Some(token) = &state.token else { return Ok(next.run(request).await) };
    let presented = request.headers().get(AUTHORIZATION).and_then(|value| bearer_token(value.as_bytes()));
    if presented.is_some_and(|presented| token.matches(presented)) {
        // It is spent here: no decision must take it for a credential of the client.
        request.headers_mut().remove(AUTHORIZATION);
        Ok(next.run(request).await)
    } else {
        Err(Complaint::UNAUTHORIZED)
    }
}
