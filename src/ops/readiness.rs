//! Whether the gateway takes requests, and how its last reload went.

use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use parking_lot::Mutex;

/// Where in its life the gateway is. It only ever moves forward.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Stage {
    Starting,
    /// A policy is loaded and the listener is open.
    Ready,
    /// What is in flight is finished, nothing new should come.
    Draining,
}

impl Stage {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ok",
            Self::Draining => "draining",
        }
    }
}

/// How a reload ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reload {
    pub at: SystemTime,
    /// Where the old configuration stays: why, in words that may be shown.
    pub error: Option<Box<str>>,
}

/// What `/health/ready` tells.
#[derive(Debug, Default)]
pub struct Readiness {
    stage: AtomicU8,
    last_reload: Mutex<Option<Reload>>,
}

impl Readiness {
    pub fn stage(&self) -> Stage {
        match self.stage.load(Ordering::Acquire) {
            0 => Stage::Starting,
            1 => Stage::Ready,
            _ => Stage::Draining,
        }
    }

    /// The gateway takes requests from now on, unless it is draining already.
    pub fn begin(&self) {
        self.advance(Stage::Ready);
    }

    /// The gateway is about to stop.
    pub fn drain(&self) {
        self.advance(Stage::Draining);
    }

    fn advance(&self, stage: Stage) {
        self.stage.fetch_max(stage as u8, Ordering::AcqRel);
    }

    /// Notes how a reload at `at` ended. The text of an error is shown to whoever asks for health: no secrets.
    pub fn reloaded(&self, at: SystemTime, error: Option<&str>) {
        *self.last_reload.lock() = Some(Reload { at, error: error.map(Box::from) });
    }

    /// The last reload; nothing where there was none since the start.
    pub fn last_reload(&self) -> Option<Reload> {
        self.last_reload.lock().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draining_gateway_never_says_that_it_is_ready() {
        let readiness = Readiness::default();
        assert_eq!(readiness.stage(), Stage::Starting);
        readiness.begin();
        assert_eq!(readiness.stage(), Stage::Ready);
        readiness.drain();
        readiness.begin();
        assert_eq!(readiness.stage(), Stage::Draining);
    }
}
