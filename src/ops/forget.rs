//! `POST /sessions/forget`: for web hooks of Kratos and for scripts that ended sessions behind the gateway's back.

use axum::body;
use axum::extract::Request;
use axum::extract::State;
use http::HeaderMap;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde::Deserialize;
use uuid::Uuid;

use crate::ops::OpsState;
use crate::ops::complaint::Complaint;
use crate::sessions::Forget;

/// The longest body read, in bytes. The longest that means anything has some fifty.
const LONGEST_BODY: usize = 4096;

/// What the body may say: one of these keys and nothing else.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Order {
    All(bool),
    Identity(Uuid),
    Session(Uuid),
}

pub(super) async fn forget(State(state): State<OpsState>, request: Request) -> Result<StatusCode, Complaint> {
    // Browsers send JSON elsewhere only after asking, so this also keeps pages of others from doing it.
    if !is_json(request.headers()) {
        return Err(Complaint::UNSUPPORTED_MEDIA_TYPE);
    }
    let body = body::to_bytes(request.into_body(), LONGEST_BODY).await.map_err(|_| Complaint::BODY_TOO_LARGE)?;
    state.decisions.parties.forget(read(&body)?);
    Ok(StatusCode::NO_CONTENT)
}

fn read(body: &[u8]) -> Result<Forget, Complaint> {
    match serde_json::from_slice(body) {
        Ok(Order::All(true)) => Ok(Forget::All),
        Ok(Order::Identity(id)) => Ok(Forget::Identity(id)),
        Ok(Order::Session(id)) => Ok(Forget::Session(id)),
        Ok(Order::All(false)) | Err(_) => Err(Complaint::bad_request(
            r#"The body must be one of {"identity": "<uuid>"}, {"session": "<uuid>"} and {"all": true}."#,
        )),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let essence = values.next().and_then(|value| value.as_bytes().split(|byte| *byte == b';').next());
    values.next().is_none()
        && essence.is_some_and(|essence| essence.trim_ascii().eq_ignore_ascii_case(b"application/json"))
}
