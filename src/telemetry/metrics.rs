//! The metrics of one gateway, in a registry of its own, so that several can run in one process.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus::core::Collector;
use prometheus::{
    Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

use crate::decision::refusal::Refusal;
use crate::telemetry::labels::Asked;
use crate::telemetry::labels::Class;
use crate::telemetry::labels::ConnectionError;
use crate::telemetry::labels::Lookup;
use crate::telemetry::labels::Outcome;
use crate::telemetry::labels::ReloadOutcome;
use crate::telemetry::labels::RevocationCause;
use crate::telemetry::labels::TokenCheck;
use crate::telemetry::labels::UpstreamError;
use crate::telemetry::labels::Whoami;
use crate::telemetry::log;
use crate::telemetry::series::ByName;
use crate::telemetry::series::ByRule;
use crate::telemetry::series::Counters;

#[cfg(test)]
mod tests;

/// In seconds. The gateway itself takes well under a millisecond, services take the rest.
const REQUEST_BUCKETS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// In seconds. Whoami is a few queries of a database; above the default timeout of 2 s nothing is left to tell apart.
const WHOAMI_BUCKETS: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.0];

/// Everything that is counted. All methods are cheap and none fails.
pub struct Metrics {
    registry: Registry,
    requests: ByRule,
    refusals: Vec<(&'static str, IntCounter)>,
    in_flight: IntGauge,
    lookups: Counters<Lookup>,
    whoami: Counters<Whoami>,
    whoami_duration: Histogram,
    cached_sessions: IntGauge,
    circuit_open: IntGauge,
    revocations: Counters<RevocationCause>,
    reloads: Counters<ReloadOutcome>,
    last_reload_success: Gauge,
    last_reload_successful: IntGauge,
    upstream_errors: ByName,
    questions: ByName,
    tokens: ByName,
    question_durations: HistogramVec,
    connection_errors: Counters<ConnectionError>,
    log_lines_lost: IntGauge,
}

impl Metrics {
    pub fn new() -> Self {
        let registry = Registry::new();
        let requests = ByRule::new(
            counters(
                &registry,
                "requests_total",
                "Requests by rule, outcome and class of the status.",
                &["rule", "outcome", "status"],
            ),
            register(
                &registry,
                HistogramVec::new(
                    HistogramOpts::new(
                        name("request_duration_seconds"),
                        "Time from a request's head to the end of its answer, by rule.",
                    )
                    .buckets(REQUEST_BUCKETS.into()),
                    &["rule"],
                ),
            ),
        );
        let refusals =
            counters(&registry, "refusals_total", "Requests that the gateway itself refused, by reason.", &["reason"]);
        let whoami_duration = HistogramOpts::new(name("whoami_duration_seconds"), "Time that whoami calls took.")
            .buckets(WHOAMI_BUCKETS.into());
        let build = register(
            &registry,
            IntGaugeVec::new(Opts::new(name("build_info"), "Always 1; the version is the label."), &["version"]),
        );
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Self {
            requests,
            refusals: Refusal::IDS.iter().map(|id| (*id, refusals.with_label_values(&[*id]))).collect(),
            in_flight: gauge(&registry, "requests_in_flight", "Requests that are being answered."),
            lookups: Counters::new(&counters(
                &registry,
                "session_lookups_total",
                "Session look-ups of requests, by where the answer came from.",
                &["result"],
            )),
            whoami: Counters::new(&counters(
                &registry,
                "whoami_total",
                "Whoami calls to Kratos, by result.",
                &["result"],
            )),
            whoami_duration: register(&registry, Histogram::with_opts(whoami_duration)),
            cached_sessions: gauge(&registry, "cached_sessions", "Sessions in the cache."),
            circuit_open: gauge(
                &registry,
                "kratos_circuit_open",
                "1 while Kratos is taken to be away and is asked only now and then.",
            ),
            revocations: Counters::new(&counters(
                &registry,
                "revocations_total",
                "Times that sessions were forgotten, by cause.",
                &["cause"],
            )),
            reloads: Counters::new(&counters(
                &registry,
                "reloads_total",
                "Reloads of the configuration, by result.",
                &["result"],
            )),
            last_reload_success: register(
                &registry,
                Gauge::new(
                    name("last_reload_success_timestamp_seconds"),
                    "When a configuration was last taken, in seconds since 1970; the start counts.",
                ),
            ),
            last_reload_successful: gauge(
                &registry,
                "last_reload_successful",
                "1 where the last reload was taken, 0 where the old configuration had to stay.",
            ),
            upstream_errors: ByName::new(counters(
                &registry,
                "upstream_errors_total",
                "Failures of services, by upstream and kind.",
                &["upstream", "kind"],
            )),
            questions: ByName::new(counters(
                &registry,
                "service_questions_total",
                "Questions to services that decide, by service and result.",
                &["service", "result"],
            )),
            tokens: ByName::new(counters(
                &registry,
                "token_checks_total",
                "Tokens that were checked, by issuer and result.",
                &["issuer", "result"],
            )),
            question_durations: register(
                &registry,
                HistogramVec::new(
                    HistogramOpts::new(
                        name("service_question_duration_seconds"),
                        "Time that questions to services took which decide, retries included.",
                    )
                    .buckets(WHOAMI_BUCKETS.into()),
                    &["service"],
                ),
            ),
            connection_errors: Counters::new(&counters(
                &registry,
                "connection_errors_total",
                "Connections that failed before there was a request, by kind.",
                &["kind"],
            )),
            log_lines_lost: gauge(
                &registry,
                "log_lines_lost",
                "Log lines dropped since the start because nobody read them fast enough.",
            ),
            registry,
        }
    }

    /// Says which rules there are, at the start and after each reload. Requests of any other count as `-`.
    pub fn rules(&self, ids: &[&str]) {
        self.requests.replace(ids);
    }

    /// Says which upstreams there are, as [`Self::rules`] does for rules.
    pub fn upstreams(&self, names: &[&str]) {
        self.upstream_errors.replace::<UpstreamError>(names);
    }

    /// Counts an answered request. `rule` is an id, or `-` where no rule owns it; a `status` of 0 says that the client
    /// got none.
    pub fn request(&self, rule: &str, outcome: Outcome, status: u16, took: Duration) {
        self.requests.count(rule, outcome, Class::of(status), took);
    }

    /// How many requests of a rule ended so.
    pub fn requests_of(&self, rule: &str, outcome: Outcome) -> u64 {
        self.requests.counted(rule, outcome)
    }

    /// Counts a refusal by its [`Refusal::id`].
    pub fn refusal(&self, id: &'static str) {
        if let Some((_, counter)) = self.refusals.iter().find(|(known, _)| *known == id) {
            counter.inc();
        }
    }

    /// Counts a request as being answered for as long as the guard lives.
    pub fn in_flight(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    /// How many requests are being answered.
    pub fn requests_in_flight(&self) -> u64 {
        self.in_flight.get().unsigned_abs()
    }

    pub fn session_lookup(&self, lookup: Lookup) {
        self.lookups.inc(lookup);
    }

    /// Counts one whoami call and the time until its answer, or its failure, was known.
    pub fn whoami(&self, result: Whoami, took: Duration) {
        self.whoami.inc(result);
        self.whoami_duration.observe(took.as_secs_f64());
    }

    /// Says how many sessions are cached; asked for when metrics are read.
    pub fn cached_sessions(&self, count: u64) {
        self.cached_sessions.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Says whether Kratos is taken to be away.
    pub fn circuit_open(&self, open: bool) {
        self.circuit_open.set(open.into());
    }

    pub fn revocation(&self, cause: RevocationCause) {
        self.revocations.inc(cause);
    }

    /// Counts a reload. The configuration of the start is not one: see [`Self::started`].
    pub fn reload(&self, success: bool) {
        self.reloads.inc(if success { ReloadOutcome::Done } else { ReloadOutcome::Failed });
        self.last_reload_successful.set(success.into());
        if success {
            self.configuration_taken();
        }
    }

    /// Says that the first configuration is in force, so that alerts on its age have something to look at.
    pub fn started(&self) {
        self.last_reload_successful.set(1);
        self.configuration_taken();
    }

    fn configuration_taken(&self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.last_reload_success.set(now.as_secs_f64());
    }

    pub fn upstream_error(&self, upstream: &str, kind: UpstreamError) {
        self.upstream_errors.count(upstream, kind);
    }

    /// Says which services are asked, as [`Self::rules`] does for rules.
    pub fn services(&self, names: &[&str]) {
        self.questions.replace::<Asked>(names);
    }

    /// Counts a question to a service of the policy, and how long its answer took where there was none in the cache.
    pub fn service_asked(&self, service: &str, result: Asked, took: Duration) {
        self.questions.count(service, result);
        if result != Asked::Cached {
            self.question_durations.with_label_values(&[service]).observe(took.as_secs_f64());
        }
    }

    /// Says which issuers there are, as [`Self::rules`] does for rules.
    pub fn issuers(&self, names: &[&str]) {
        self.tokens.replace::<TokenCheck>(names);
    }

    pub fn token_checked(&self, issuer: &str, result: TokenCheck) {
        self.tokens.count(issuer, result);
    }

    pub fn connection_error(&self, kind: ConnectionError) {
        self.connection_errors.inc(kind);
    }

    /// All of it in Prometheus' text format.
    pub fn render(&self) -> String {
        self.log_lines_lost.set(i64::try_from(log::lines_lost()).unwrap_or(i64::MAX));
        let mut text = String::new();
        if let Err(error) = TextEncoder::new().encode_utf8(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "Metrics cannot be rendered");
        }
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// A request that is being answered.
#[must_use]
pub struct InFlight(IntGauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn name(rest: &str) -> String {
    format!("portcullis_{rest}")
}

fn counters(registry: &Registry, rest: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    register(registry, IntCounterVec::new(Opts::new(name(rest), help), labels))
}

fn gauge(registry: &Registry, rest: &str, help: &str) -> IntGauge {
    register(registry, IntGauge::new(name(rest), help))
}

fn register<C: Collector + Clone + 'static>(registry: &Registry, collector: prometheus::Result<C>) -> C {
    let collector = collector.expect("names and labels are literals that are valid");
    registry.register(Box::new(collector.clone())).expect("each name is registered once");
    collector
}
