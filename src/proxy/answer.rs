//! Answers that the gateway gives itself: refusals and pages.

use std::time::Duration;

use http::header::{CONTENT_LENGTH, EXPECT, ORIGIN};
use http::{Method, StatusCode};
use pingora::Result;
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use tokio::time::timeout;

use crate::decision::refusal::Refusal;
use crate::proxy::backward;
use crate::proxy::exchange::Exchange;
use crate::proxy::respond::Response;
use crate::proxy::wire;

/// How much of a refused request's body is read so that the connection can live on.
const WORTH_DRAINING: usize = 64 * 1024;

/// How long that may take.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(500);

/// Answers with a refusal, where the client is still there to be answered.
pub(super) async fn refuse(refusal: &Refusal, session: &mut Session, exchange: &mut Exchange) -> Result<()> {
    exchange.refusal = Some(refusal.id());
    if let Refusal::Ambiguous(why) = refusal {
        tracing::debug!(%why, request_id = exchange.id.as_str(), "Ambiguous request");
    }
    let head = session.req_header();
    let response = exchange.answer(refusal, &head.method, &head.headers);
    write(response, session, exchange).await
}

/// Writes a whole response of our own.
pub(super) async fn write(response: Response, session: &mut Session, exchange: &Exchange) -> Result<()> {
    settle_body(session).await;
    let mut head = ResponseHeader::build(response.status, Some(response.headers.len() + 3))?;
    for (name, value) in response.headers {
        head.append_header(name, value)?;
    }
    let is_head = session.req_header().method == Method::HEAD;
    if !is_head && response.status != StatusCode::NO_CONTENT {
        head.insert_header(CONTENT_LENGTH, response.body.len())?;
    }
    backward::edit(&mut head, &exchange.id, &exchange.set_cookies)?;
    if let Some(cors) = exchange.cors() {
        backward::tell_origin(&mut head, cors, session.get_header(ORIGIN))?;
    }
    let is_empty = response.body.is_empty();
    session.write_response_header(Box::new(head), is_empty).await?;
    if !is_empty {
        session.write_response_body(Some(response.body), true).await?;
    }
    Ok(())
}

/// Reads away what is left of a small body, so that it is never taken for the next request and the client, still
/// sending, is not cut off before it reads the answer. A large one closes the connection: the engine sees to that.
async fn settle_body(session: &mut Session) {
    let is_worth_it = session.get_keepalive().is_some()
        && session.get_header(EXPECT).is_none()
        && wire::content_length(session).is_none_or(|length| length <= WORTH_DRAINING as u64);
    if !is_worth_it || session.is_body_done() {
        return;
    }
    let drain = async {
        let mut read = 0;
        while let Ok(Some(chunk)) = session.read_request_body().await {
            read += chunk.len();
            if read > WORTH_DRAINING {
                return;
            }
        }
    };
    // Whether it came to its end or not, the engine knows.
    let _ = timeout(DRAIN_TIMEOUT, drain).await;
}
