//! Look-ups in flight: however many wait for an answer, Kratos is asked once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::sessions::fingerprint::{Key, Print};
use crate::sessions::journal::Mark;
use crate::sessions::lookup::Outcome;

/// The look-ups that a request may join.
#[derive(Default)]
pub(crate) struct Flights {
    running: Mutex<HashMap<Key, Arc<Flight>>>,
}

/// One look-up on its way.
pub(crate) struct Flight {
    began_at: Instant,
    prints: Vec<Print>,
    outcome: watch::Receiver<Option<Outcome>>,
}

/// A place in a flight.
pub(crate) enum Boarding {
    /// The look-up is under way already.
    Joined(Arc<Flight>),
    /// Nobody is asking: the one who got this must, and the landing tells the others.
    Leads(Landing),
}

/// The end of a flight. Dropping it without an outcome tells those who wait that there will be none.
pub(crate) struct Landing {
    flight: Arc<Flight>,
    flights: Arc<Flights>,
    key: Key,
    outcome: watch::Sender<Option<Outcome>>,
}

impl Flights {
    /// Joins the look-up of `key` if it began at `not_before` or later, else begins one.
    pub(crate) fn board(self: &Arc<Self>, key: Key, prints: &[Print], not_before: Option<Instant>) -> Boarding {
        let mut running = self.running.lock();
        if let Some(flight) =
            running.get(&key).filter(|flight| not_before.is_none_or(|earliest| flight.began_at >= earliest))
        {
            return Boarding::Joined(Arc::clone(flight));
        }
        let (sender, receiver) = watch::channel(None);
        let flight = Arc::new(Flight { began_at: Instant::now(), prints: prints.to_vec(), outcome: receiver });
        running.insert(key, Arc::clone(&flight));
        Boarding::Leads(Landing { flight, flights: Arc::clone(self), key, outcome: sender })
    }

    /// Lets no later request join a look-up that a revocation of `marks` may have overtaken.
    pub(crate) fn ground(&self, marks: &[Mark]) {
        let mut running = self.running.lock();
        if marks.contains(&Mark::All) {
            running.clear();
            return;
        }
        running.retain(|_, flight| !flight.prints.iter().any(|print| marks.contains(&Mark::Credential(*print))));
    }
}

impl Flight {
    /// How long before `now` Kratos was asked, at the least.
    pub(crate) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.began_at)
    }

    /// Waits for the outcome; nothing where the look-up died.
    pub(crate) async fn outcome(&self) -> Option<Outcome> {
        let mut receiver = self.outcome.clone();
        receiver.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone())
    }
}

impl Landing {
    /// The flight itself, to wait for it as everyone does.
    pub(crate) fn flight(&self) -> Arc<Flight> {
        Arc::clone(&self.flight)
    }

    pub(crate) fn land(self, outcome: Outcome) {
        self.outcome.send_replace(Some(outcome));
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        let mut running = self.flights.running.lock();
        if running.get(&self.key).is_some_and(|flight| Arc::ptr_eq(flight, &self.flight)) {
            running.remove(&self.key);
        }
    }
}
