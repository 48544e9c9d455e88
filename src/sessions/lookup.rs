//! One look-up: waits for its turn, asks Kratos, and keeps the answer unless a revocation overtook it.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::{HeaderMap, HeaderValue};
use smallvec::SmallVec;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::decision::credentials::Credential;
use crate::decision::session::{Caller, Outage};
use crate::sessions::Shared;
use crate::sessions::cache::{Entry, Found, Negative, Revoked};
use crate::sessions::fingerprint::{Fingerprints, Key, Print};
use crate::sessions::journal::Sequence;
use crate::sessions::whoami::{Failure, Reply, credential_headers};
use crate::telemetry::{Lookup, Whoami};

/// So many look-ups may ask Kratos at once for sessions that are not known yet.
const MAX_FIRST: usize = 192;
/// So many more may refresh known sessions: a flood of unknown credentials must not let them grow old.
const MAX_REFRESHES: usize = 64;
/// How often an answer may be overtaken by a revocation before the look-up gives up.
const MAX_ATTEMPTS: usize = 3;

/// What is asked.
#[derive(Clone)]
pub(crate) struct Question {
    pub(crate) key: Key,
    pub(crate) prints: SmallVec<[Print; 2]>,
    headers: HeaderMap,
    session_cookies: Vec<Vec<u8>>,
    with_facts: bool,
}

/// Why it is asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Purpose {
    /// A request waits for the answer.
    First,
    /// A known session grows old.
    Refresh,
}

/// What a look-up came to, for all who waited for it.
#[derive(Clone)]
pub(crate) enum Outcome {
    Known { entry: Arc<Entry>, cookies: Vec<HeaderValue> },
    Refused(Caller),
    Unknown(Outage),
}

/// How many may ask at once.
pub(crate) struct Slots {
    first: Semaphore,
    refresh: Semaphore,
}

impl Default for Slots {
    fn default() -> Self {
        Self { first: Semaphore::new(MAX_FIRST), refresh: Semaphore::new(MAX_REFRESHES) }
    }
}

impl Slots {
    /// A first look-up waits for its turn for as long as whoami may take; a refresh does not wait.
    async fn take(&self, purpose: Purpose, patience: Duration) -> Option<SemaphorePermit<'_>> {
        match purpose {
            Purpose::First => tokio::time::timeout(patience, self.first.acquire()).await.ok()?.ok(),
            Purpose::Refresh => self.refresh.try_acquire().ok(),
        }
    }
}

impl Question {
    pub(crate) fn new(prints: &Fingerprints, key: Key, asked: &[Credential<'_>], with_facts: bool) -> Self {
        Self {
            key,
            prints: asked.iter().map(|credential| prints.print(credential.secret())).collect(),
            headers: credential_headers(asked),
            session_cookies: asked
                .iter()
                .filter_map(|credential| match credential {
                    Credential::Cookie { name, .. } => Some(name.to_vec()),
                    Credential::Bearer(_) | Credential::Token(_) => None,
                })
                .collect(),
            with_facts,
        }
    }
}

impl Question {
    /// Whether `entry` lacks what expressions must read.
    pub(crate) fn misses_facts(&self, entry: &Entry) -> bool {
        self.with_facts && entry.session.facts.is_none()
    }
}

impl Shared {
    /// Runs a look-up to its end.
    pub(crate) async fn look_up(&self, question: &Question, purpose: Purpose) -> Outcome {
        for _ in 0..MAX_ATTEMPTS {
            let settings = self.settings();
            if !self.circuit.admits(Instant::now()) {
                return Outcome::Unknown(Outage::Away);
            }
            let Some(slot) = self.slots.take(purpose, settings.timeout).await else {
                return Outcome::Unknown(Outage::Away);
            };
            // From here on the answer may be overtaken.
            let began = self.cache.sequence();
            let asked_at = Instant::now();
            let reply = self.whoami.ask(&question.headers, &question.session_cookies, question.with_facts).await;
            // Others may ask while we find out whether a refusal is to be believed.
            drop(slot);
            let reply = self.whoami.doubt(reply).await;
            self.note(&reply, asked_at.elapsed());
            let kept = match reply {
                Reply::Active { session, keep_for, cookies } => {
                    let token_ends_at = session.tokenized.as_ref().map(|token| token.ends_at);
                    let ends_at = token_ends_at.map_or(session.expires_at, |end| end.min(session.expires_at));
                    let lives_for = ends_at.duration_since(SystemTime::now()).unwrap_or_default();
                    let good_for = settings.ttl.min(lives_for).min(keep_for.unwrap_or(Duration::MAX));
                    let kept_for = (good_for + settings.stale_if_error).min(lives_for);
                    // Nobody waits for a refresh: its cookies wait for the next request.
                    let (now, later) = match purpose {
                        Purpose::First => (cookies, Vec::new()),
                        Purpose::Refresh => (Vec::new(), cookies),
                    };
                    let found = Found { session: Arc::new(session), asked_at, good_for, kept_for, cookies: later };
                    self.cache
                        .insert(question.key, &question.prints, began, found)
                        .map(|entry| Outcome::Known { entry, cookies: now })
                }
                Reply::Failed(..) => Ok(Outcome::Unknown(Outage::Away)),
                Reply::Rejected => self.refuse(question, began, asked_at, Caller::Rejected),
                Reply::StepUpNeeded => self.refuse(question, began, asked_at, Caller::StepUpNeeded),
                Reply::Throttled(retry_after) => Ok(Outcome::Unknown(Outage::Throttled(retry_after))),
            };
            if let Ok(outcome) = kept {
                return outcome;
            }
        }
        tracing::warn!("a session look-up was overtaken by revocations time and again; given up");
        Outcome::Unknown(Outage::Away)
    }

    fn refuse(
        &self,
        question: &Question,
        began: Sequence,
        asked_at: Instant,
        caller: Caller,
    ) -> Result<Outcome, Revoked> {
        let negative = Negative { caller: caller.clone(), asked_at };
        self.cache.refuse(question.key, &question.prints, began, negative).map(|()| Outcome::Refused(caller))
    }

    /// Tells the circuit, the metrics and the operator how a call went.
    fn note(&self, reply: &Reply, took: Duration) {
        let result = match reply {
            Reply::Active { .. } => Whoami::Session,
            Reply::Failed(failure, cause) => {
                tracing::warn!(%cause, "Kratos could not be asked about a session");
                match failure {
                    Failure::ServerError => Whoami::ServerError,
                    Failure::TimedOut => Whoami::TimedOut,
                    Failure::Unexpected => Whoami::Unexpected,
                    Failure::Unreachable => Whoami::Unreachable,
                }
            }
            Reply::Rejected => Whoami::Rejected,
            Reply::StepUpNeeded => Whoami::StepUp,
            Reply::Throttled(_) => Whoami::Throttled,
        };
        match result {
            Whoami::ServerError | Whoami::TimedOut | Whoami::Unreachable => self.circuit.failed(Instant::now()),
            // An answer that makes no sense came at once: waiting for the next one costs nobody anything.
            Whoami::Rejected | Whoami::Session | Whoami::StepUp | Whoami::Throttled | Whoami::Unexpected => {
                self.circuit.succeeded();
            }
        }
        self.metrics.whoami(result, took);
        self.metrics.circuit_open(self.circuit.is_open());
    }

    pub(crate) fn count(&self, lookup: Lookup) {
        self.metrics.session_lookup(lookup);
    }
}
