//! Behind the horizon: answers to whatever was asked before an operator had all forgotten.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// The last time when all was forgotten.
pub(crate) struct Horizon {
    began: Instant,
    /// Nanoseconds since it began.
    at: AtomicU64,
}

impl Default for Horizon {
    fn default() -> Self {
        Self { began: Instant::now(), at: AtomicU64::new(0) }
    }
}

impl Horizon {
    /// What was asked until now does not count from here on.
    pub(crate) fn forget(&self) {
        self.at.fetch_max(self.nanos(Instant::now()), Ordering::Relaxed);
    }

    pub(crate) fn hides(&self, asked_at: Instant) -> bool {
        self.nanos(asked_at) < self.at.load(Ordering::Relaxed)
    }

    /// Different after each time: in the key of a question on its way, it keeps later ones from joining it.
    pub(crate) fn mark(&self) -> u64 {
        self.at.load(Ordering::Relaxed)
    }

    fn nanos(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.began).as_nanos()).unwrap_or(u64::MAX)
    }
}
