//! Who is asking: the session behind a credential, cached, shared, and revoked at once.

mod cache;
pub mod ending;
mod facts;
mod fingerprint;
mod flight;
mod journal;
mod lookup;
mod memo;
pub mod settings;
#[cfg(test)]
mod tests;
pub mod whoami;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use http::HeaderValue;
use uuid::Uuid;

use crate::decision::credentials::Credentials;
use crate::decision::decide::Permit;
use crate::decision::edits::Stamps;
use crate::decision::expression::Scope;
use crate::decision::policy::Policy;
use crate::decision::session::{Answer, Caller, Outage};
use crate::services::circuit::Circuit;
use crate::sessions::cache::{Cache, Entry, Refreshing};
use crate::sessions::fingerprint::{Fingerprints, Key};
use crate::sessions::flight::{Boarding, Flights};
use crate::sessions::journal::Mark;
use crate::sessions::lookup::{Outcome, Purpose, Question, Slots};
use crate::sessions::settings::Settings;
use crate::sessions::whoami::{ClientError, Whoami};
use crate::telemetry::{Lookup, Metrics, RevocationCause};

/// So many look-ups are waited for by one request: one that a revocation has overtaken is waited for in vain.
const MAX_FLIGHTS: usize = 3;

/// The sessions of this gateway. A clone is the same.
#[derive(Clone)]
pub struct Sessions {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    cache: Cache,
    circuit: Circuit,
    flights: Arc<Flights>,
    metrics: Arc<Metrics>,
    prints: Fingerprints,
    settings: ArcSwap<Settings>,
    slots: Slots,
    whoami: Whoami,
    /// Some rule reads more of a session than its fixed fields.
    keep_facts: AtomicBool,
}

/// An answer about a caller, and what comes with it.
pub struct Resolved {
    pub answer: Answer,
    /// Session cookies that Kratos gave for the client.
    pub set_cookies: Vec<HeaderValue>,
    entry: Option<Arc<Entry>>,
}

/// What operators and web hooks can have forgotten.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Forget {
    All,
    Identity(Uuid),
    Session(Uuid),
}

/// What is known of Kratos, from the look-ups.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KratosState {
    /// The circuit is open.
    Away,
    Reachable,
}

impl Sessions {
    /// Sessions of the Kratos that `settings` name.
    ///
    /// # Errors
    /// Where no client can be made: its certificates cannot be read.
    pub fn new(settings: Settings, metrics: Arc<Metrics>) -> Result<Self, ClientError> {
        let shared = Shared {
            cache: Cache::new(settings.max_entries),
            circuit: Circuit::default(),
            flights: Arc::default(),
            metrics,
            prints: Fingerprints::default(),
            slots: Slots::default(),
            whoami: Whoami::new(&settings)?,
            settings: ArcSwap::from_pointee(settings),
            keep_facts: AtomicBool::new(false),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Takes new settings while serving. All but the size of the cache take effect; another Kratos, or
    /// another token of the same, means other sessions.
    ///
    /// # Errors
    /// Where no client can be made; then the old settings stay.
    pub fn reconfigure(&self, settings: Settings) -> Result<(), ClientError> {
        let old = self.shared.settings();
        if *old == settings {
            return Ok(());
        }
        self.shared.whoami.point_at(&settings)?;
        let moved = old.kratos != settings.kratos || old.tokenize_as != settings.tokenize_as;
        self.shared.settings.store(Arc::new(settings));
        if moved {
            self.shared.forget(&[Mark::All], &[], RevocationCause::Operator);
        }
        Ok(())
    }

    /// Whether sessions are kept with all that expressions can read, or with their fixed fields only.
    pub fn keep_facts(&self, keep: bool) {
        self.shared.keep_facts.store(keep, Ordering::Relaxed);
    }

    /// Who is behind `credentials`, by an answer of Kratos not older than `within`.
    ///
    /// Never fails: that Kratos could not be asked is an answer too.
    pub async fn resolve(&self, credentials: &Credentials<'_>, within: Option<Duration>, with_facts: bool) -> Resolved {
        let asked = credentials.asked();
        if asked.is_empty() {
            return Answer::fresh(Caller::Anonymous).into();
        }
        let shared = &self.shared;
        let now = Instant::now();
        let key = shared.prints.key(asked);
        let is_young = |age| within.is_none_or(|within| age < within);

        let cached = shared.cache.get(key);
        if let Some(entry) = &cached {
            let age = entry.age(now);
            if age < entry.good_for && is_young(age) && (entry.session.facts.is_some() || !with_facts) {
                let due = age >= shared.settings.load().refresh_after;
                match due.then(|| entry.begin_refresh()).flatten() {
                    Some(refreshing) => {
                        shared.count(Lookup::Refreshed);
                        self.refresh(self.question(key, credentials, with_facts), refreshing);
                    }
                    None => shared.count(Lookup::Hit),
                }
                return Resolved::known(Arc::clone(entry), age, Vec::new());
            }
        }
        if let Some(negative) = shared.cache.negative(key) {
            let age = now.saturating_duration_since(negative.asked_at);
            if is_young(age) {
                shared.count(Lookup::Negative);
                return Answer { caller: negative.caller, age }.into();
            }
        }

        let question = self.question(key, credentials, with_facts);
        let not_before = within.map(|within| now.checked_sub(within).unwrap_or(now));
        match self.wait_for(question, not_before, now).await {
            (Outcome::Known { entry, cookies }, age) => Resolved::known(entry, age, cookies),
            (Outcome::Refused(caller), age) => Answer { caller, age }.into(),
            (Outcome::Unknown(outage), _) => match self.stale(key, within, with_facts) {
                Some(entry) => {
                    shared.count(Lookup::Stale);
                    let age = entry.age(now);
                    Resolved::known(entry, age, Vec::new())
                }
                None => {
                    shared.count(Lookup::Unavailable);
                    Answer::fresh(Caller::Unknown(outage)).into()
                }
            },
        }
    }

    /// Forgets sessions by name, for operators, web hooks and scripts.
    pub fn forget(&self, what: Forget) {
        let mark = match what {
            Forget::All => Mark::All,
            Forget::Identity(identity) => Mark::Identity(identity),
            Forget::Session(session) => Mark::Session(session),
        };
        self.shared.forget(&[mark], &[], RevocationCause::Operator);
    }

    /// Forgets credentials that Kratos itself was seen to refuse.
    pub fn forget_credentials(&self, credentials: &Credentials<'_>) {
        let asked = credentials.asked();
        let marks = asked.iter().map(|credential| Mark::Credential(self.shared.prints.print(credential.secret())));
        self.shared.forget(&marks.collect::<Vec<_>>(), &[self.shared.prints.key(asked)], RevocationCause::Rejected);
    }

    /// How many sessions are cached, about.
    pub fn cached(&self) -> u64 {
        self.shared.cache.len()
    }

    pub fn kratos_state(&self) -> KratosState {
        if self.shared.circuit.is_open() { KratosState::Away } else { KratosState::Reachable }
    }

    fn question(&self, key: Key, credentials: &Credentials<'_>, with_facts: bool) -> Question {
        let with_facts = with_facts || self.shared.keep_facts.load(Ordering::Relaxed);
        Question::new(&self.shared.prints, key, credentials.asked(), with_facts)
    }

    /// The outcome of a look-up that began at `not_before` or later, and its age as of `now`. The look-up is a task of
    /// its own: that the request which began it is cancelled strands nobody.
    async fn wait_for(&self, question: Question, mut not_before: Option<Instant>, now: Instant) -> (Outcome, Duration) {
        for _ in 0..MAX_FLIGHTS {
            let (flight, age) = match self.shared.flights.board(question.key, &question.prints, not_before) {
                Boarding::Joined(flight) => {
                    self.shared.count(Lookup::Shared);
                    let age = flight.age(now);
                    (flight, age)
                }
                Boarding::Leads(landing) => {
                    self.shared.count(Lookup::Miss);
                    let flight = landing.flight();
                    let (shared, question) = (Arc::clone(&self.shared), question.clone());
                    tokio::spawn(async move { landing.land(shared.look_up(&question, Purpose::First).await) });
                    (flight, Duration::ZERO)
                }
            };
            let outcome = flight.outcome().await.unwrap_or(Outcome::Unknown(Outage::Away));
            match &outcome {
                // It had landed when we joined it, before a revocation that came before us; or it did not bring the
                // facts that we need. Only a look-up from here on will do.
                Outcome::Known { entry, .. } if self.shared.cache.voids(entry) || question.misses_facts(entry) => {
                    not_before = Some(Instant::now());
                }
                Outcome::Known { .. } | Outcome::Refused(_) | Outcome::Unknown(_) => return (outcome, age),
            }
        }
        (Outcome::Unknown(Outage::Away), Duration::ZERO)
    }

    /// Refreshes a known session in the background. A request that needs a newer answer may join it.
    fn refresh(&self, question: Question, refreshing: Refreshing) {
        if let Boarding::Leads(landing) = self.shared.flights.board(question.key, &question.prints, None) {
            let shared = Arc::clone(&self.shared);
            tokio::spawn(async move {
                landing.land(shared.look_up(&question, Purpose::Refresh).await);
                drop(refreshing);
            });
        }
    }

    /// A session past its time that may still serve because Kratos is away. It is read anew: what was forgotten while
    /// Kratos was being asked is not there any more.
    fn stale(&self, key: Key, within: Option<Duration>, with_facts: bool) -> Option<Arc<Entry>> {
        let entry = self.shared.cache.get(key)?;
        (within.is_none()
            && entry.age(Instant::now()) < entry.kept_for
            && (entry.session.facts.is_some() || !with_facts))
            .then_some(entry)
    }
}

impl From<Arc<Shared>> for Sessions {
    fn from(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

impl Shared {
    fn settings(&self) -> Arc<Settings> {
        self.settings.load_full()
    }

    fn forget(&self, marks: &[Mark], keys: &[Key], cause: RevocationCause) {
        self.cache.forget(marks, keys);
        self.flights.ground(marks);
        self.metrics.revocation(cause);
    }
}

impl Resolved {
    /// The session cookies for the client, once.
    pub fn take_cookies(&mut self) -> Vec<HeaderValue> {
        std::mem::take(&mut self.set_cookies)
    }

    fn known(entry: Arc<Entry>, age: Duration, mut set_cookies: Vec<HeaderValue>) -> Self {
        set_cookies.extend(entry.take_cookies());
        Self {
            answer: Answer { caller: Caller::Known(Arc::clone(&entry.session)), age },
            set_cookies,
            entry: Some(entry),
        }
    }

    /// The headers of a permit, rendered once per session and rule where they do not depend on the request.
    pub fn stamps(&self, policy: &Policy, permit: &Permit, scope: &Scope<'_>) -> Stamps {
        match &self.entry {
            Some(entry) if permit.session().is_some() && permit.stamps_repeat() => {
                entry.memo.stamps(policy.generation, permit.rule(), || permit.stamps(policy, scope))
            }
            Some(_) | None => permit.stamps(policy, scope),
        }
    }
}

impl From<Answer> for Resolved {
    fn from(answer: Answer) -> Self {
        Self { answer, set_cookies: Vec::new(), entry: None }
    }
}
