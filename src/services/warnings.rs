//! Warnings about somebody who is asked, told once in a while however many requests meet with them.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How long the next one waits.
const PAUSE: Duration = Duration::from_secs(10);

/// When one was told last, and how many were not told since.
#[derive(Default)]
pub(crate) struct Warnings {
    told: Mutex<Option<(Instant, u64)>>,
}

impl Warnings {
    /// Where one may be told: how many were not told before it.
    pub(crate) fn take(&self, now: Instant) -> Option<u64> {
        let mut told = self.told.lock();
        match &mut *told {
            Some((at, withheld)) if now.saturating_duration_since(*at) < PAUSE => {
                *withheld += 1;
                None
            }
            Some((at, withheld)) => {
                *at = now;
                Some(std::mem::take(withheld))
            }
            None => {
                *told = Some((now, 0));
                Some(0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_told_once_in_a_while_and_counted() {
        let (warnings, start) = (Warnings::default(), Instant::now());
        assert_eq!(warnings.take(start), Some(0));
        for _ in 0..7 {
            assert_eq!(warnings.take(start + PAUSE / 2), None);
        }
        assert_eq!(warnings.take(start + PAUSE), Some(7));
        assert_eq!(warnings.take(start + PAUSE * 2), Some(0));
    }
}
