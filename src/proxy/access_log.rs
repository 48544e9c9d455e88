//! One line per request, and its metrics: who asked for what, what became of it, and how long it took.
//!
//! Never a query and never a header: both carry secrets.

use pingora::proxy::Session;
use pingora::{Error, ErrorType};

use crate::proxy::exchange::{Asked, Exchange};
use crate::proxy::wire;
use crate::telemetry::{ACCESS, Metrics, Outcome};

/// Where no rule owns the request.
const NO_RULE: &str = "-";

/// Tells what became of a request.
pub(super) fn write(metrics: &Metrics, session: &Session, exchange: &Exchange, error: Option<&Error>) {
    let took = exchange.started.elapsed();
    // Zero where the client was gone before it could be answered.
    let status = session.response_written().map_or(0, |head| head.status.as_u16());
    let outcome = outcome(exchange, error);
    let rule = exchange.rule.as_ref().map_or(NO_RULE, |rule| &rule.id);
    metrics.request(rule, outcome, status, took);
    if let Some(id) = exchange.refusal {
        metrics.refusal(id);
    }
    let head = session.req_header();
    let raw;
    let path = match &exchange.asked {
        Some(asked) => asked.path(),
        None => {
            raw = String::from_utf8_lossy(head.raw_path()).into_owned();
            raw.split(['?', '#']).next().unwrap_or_default()
        }
    };
    tracing::info!(
        target: ACCESS,
        method = head.method.as_str(),
        host = exchange.asked.as_ref().map(Asked::authority),
        path,
        status,
        outcome = outcome.as_str(),
        rule,
        refusal = exchange.refusal,
        identity = exchange.session.as_ref().map(|session| tracing::field::display(session.identity)),
        client = %exchange.origin.as_ref().map_or_else(|| wire::peer(session), |origin| origin.client),
        upstream = exchange.upstream(),
        bytes = session.body_bytes_sent(),
        took_ms = took.as_secs_f64() * 1000.0,
        request_id = exchange.id.as_str(),
        "Request"
    );
}

fn outcome(exchange: &Exchange, error: Option<&Error>) -> Outcome {
    match error.map(Error::etype) {
        // A status is how our own filters say no.
        Some(ErrorType::HTTPStatus(_)) => Outcome::Refuse,
        Some(_) => Outcome::Error,
        None if exchange.refusal.is_some() => Outcome::Refuse,
        None => Outcome::Permit,
    }
}
