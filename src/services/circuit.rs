//! The circuit: while somebody is away, most who would ask are told so at once instead of waiting.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// So many failures in a row open the circuit.
const FAILURES_TO_OPEN: u32 = 5;
/// How long nobody asks; then one question is the probe.
const PAUSE: Duration = Duration::from_secs(1);

/// Whether somebody is asked at all. It closes by itself when a probe succeeds.
#[derive(Default)]
pub(crate) struct Circuit {
    state: Mutex<State>,
}

#[derive(Clone, Copy)]
enum State {
    Closed { failures: u32 },
    Open { next_probe: Instant },
}

impl Default for State {
    fn default() -> Self {
        Self::Closed { failures: 0 }
    }
}

impl Circuit {
    /// Whether it may be asked now. In an open circuit, at most one per pause may: the probe.
    pub(crate) fn admits(&self, now: Instant) -> bool {
        let mut state = self.state.lock();
        match &mut *state {
            State::Closed { .. } => true,
            State::Open { next_probe } if now >= *next_probe => {
                *next_probe = now + PAUSE;
                true
            }
            State::Open { .. } => false,
        }
    }

    /// There was an answer, be it a refusal.
    pub(crate) fn succeeded(&self) {
        *self.state.lock() = State::default();
    }

    pub(crate) fn failed(&self, now: Instant) {
        let mut state = self.state.lock();
        *state = match *state {
            State::Closed { failures } if failures + 1 < FAILURES_TO_OPEN => State::Closed { failures: failures + 1 },
            State::Closed { .. } | State::Open { .. } => State::Open { next_probe: now + PAUSE },
        };
    }

    pub(crate) fn is_open(&self) -> bool {
        matches!(*self.state.lock(), State::Open { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_in_a_row_open_the_circuit_and_a_probe_closes_it() {
        let circuit = Circuit::default();
        let start = Instant::now();
        for _ in 1..FAILURES_TO_OPEN {
            circuit.failed(start);
            assert!(circuit.admits(start));
        }
        circuit.failed(start);
        assert!(circuit.is_open());
        assert!(!circuit.admits(start));
        assert!(!circuit.admits(start + Duration::from_millis(999)));
        assert!(circuit.admits(start + PAUSE), "the first request after the pause is the probe");
        assert!(!circuit.admits(start + PAUSE), "the others are answered at once");
        circuit.succeeded();
        assert!(circuit.admits(start + PAUSE));
    }

    #[test]
    fn a_success_in_between_starts_the_count_anew() {
        let circuit = Circuit::default();
        let start = Instant::now();
        for _ in 0..10 {
            for _ in 1..FAILURES_TO_OPEN {
                circuit.failed(start);
            }
            circuit.succeeded();
        }
        assert!(!circuit.is_open());
    }

    #[test]
    fn a_probe_that_fails_keeps_it_open_for_another_pause() {
        let circuit = Circuit::default();
        let start = Instant::now();
        for _ in 0..FAILURES_TO_OPEN {
            circuit.failed(start);
        }
        assert!(circuit.admits(start + PAUSE));
        circuit.failed(start + PAUSE);
        assert!(!circuit.admits(start + PAUSE));
        assert!(circuit.admits(start + PAUSE * 2));
    }
}
