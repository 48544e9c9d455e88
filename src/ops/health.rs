//! Health, metrics and keys: what machines ask again and again.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::response::Response;
use chrono::DateTime;
use chrono::SecondsFormat;
use chrono::Utc;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::Value;
use serde_json::json;

use crate::ops::OpsState;
use crate::ops::readiness::Reload;
use crate::ops::readiness::Stage;
use crate::sessions::KratosState;

/// The version of Prometheus' text format that is written.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(super) async fn alive() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

/// Kratos away or a reload refused is told, but does not fail: a gateway taken out of service for it would only turn
/// away the requests that it can still answer.
pub(super) async fn ready(State(state): State<OpsState>) -> Response {
    let stage = state.readiness.stage();
    let status = match stage {
        Stage::Ready => StatusCode::OK,
        Stage::Starting | Stage::Draining => StatusCode::SERVICE_UNAVAILABLE,
    };
    let kratos = match state.decisions.parties.sessions.kratos_state() {
        KratosState::Away => "away",
        KratosState::Reachable => "reachable",
    };
    let body = json!({
        "status": stage.as_str(),
        "kratos": kratos,
        "last_reload": state.readiness.last_reload().map(|reload| describe(&reload)),
    });
    (status, Json(body)).into_response()
}

fn describe(reload: &Reload) -> Value {
    json!({
        "result": if reload.error.is_none() { "success" } else { "failure" },
        "error": reload.error,
        "at": DateTime::<Utc>::from(reload.at).to_rfc3339_opts(SecondsFormat::Secs, true),
    })
}

pub(super) async fn metrics(State(state): State<OpsState>) -> Response {
    state.metrics.cached_sessions(state.decisions.parties.sessions.cached());
    ([(CONTENT_TYPE, TEXT_FORMAT)], state.metrics.render()).into_response()
}

/// What signatures of the gateway are checked with.
pub(super) async fn keys(State(state): State<OpsState>) -> Json<Value> {
    Json(state.decisions.parties.signer.published())
}
