//! One line and the metrics of a decision, the same as of a proxied request.

use std::time::Duration;

use crate::decision::rule::Rule;
use crate::decision::session::Session;
use crate::ops::decisions::Asking;
use crate::ops::decisions::Refused;
use crate::ops::decisions::Request;
use crate::telemetry::ACCESS;
use crate::telemetry::Metrics;
use crate::telemetry::Outcome;

/// Where no rule owns the request.
const NO_RULE: &str = "-";

/// What is known of a request that was asked about.
pub(super) struct Asked<'a> {
    pub(super) asking: &'a Asking,
    /// Where it has one meaning.
    pub(super) request: Option<&'a Request<'a>>,
    pub(super) rule: Option<&'a Rule>,
    pub(super) session: Option<&'a Session>,
}

/// Tells what became of it, and how long that took.
pub(super) fn write(metrics: &Metrics, asked: &Asked<'_>, refused: Option<&Refused>, took: Duration) {
    let (outcome, status) = match refused {
        None => (Outcome::Permit, 200),
        Some(refused) => (Outcome::Refuse, refused.response.status.as_u16()),
    };
    let refusal = refused.map(|refused| refused.refusal.id());
    let rule = asked.rule.map_or(NO_RULE, |rule| &rule.id);
    metrics.request(rule, outcome, status, took);
    if let Some(id) = refusal {
        metrics.refusal(id);
    }
    tracing::info!(
        target: ACCESS,
        method = asked.request.map(|request| request.view.method().as_str()),
        host = asked.request.map(|request| &*request.authority),
        path = asked.request.map(Request::path),
        status,
        outcome = outcome.as_str(),
        rule,
        refusal,
        identity = asked.session.map(|session| tracing::field::display(session.identity)),
        client = %asked.asking.client,
        asked_by = %asked.asking.peer,
        took_ms = took.as_secs_f64() * 1000.0,
        request_id = asked.asking.id.as_str(),
        "Decision"
    );
}
