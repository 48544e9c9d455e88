//! Counts what is under way, so that a stop can wait for exactly that and no longer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// A count of things under way. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct InFlight(Arc<Count>);

#[derive(Debug, Default)]
struct Count {
    now: AtomicUsize,
    none_left: Notify,
}

/// One thing under way; it ends when this is dropped, also by a panic.
#[derive(Debug)]
pub(crate) struct UnderWay(Arc<Count>);

impl InFlight {
    pub(crate) fn enter(&self) -> UnderWay {
        self.0.now.fetch_add(1, Ordering::AcqRel);
        UnderWay(Arc::clone(&self.0))
    }

    pub(crate) fn count(&self) -> usize {
        self.0.now.load(Ordering::Acquire)
    }

    /// Returns as soon as nothing is under way.
    pub(crate) async fn ended(&self) {
        loop {
            let none_left = self.0.none_left.notified();
            tokio::pin!(none_left);
            // Registered before the count is read, or the last one could leave in between unheard.
            none_left.as_mut().enable();
            if self.count() == 0 {
                return;
            }
            none_left.await;
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if self.0.now.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.none_left.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_wait_ends_with_the_last_one() {
        let in_flight = InFlight::default();
        assert!(in_flight.ended().now_or_never().is_some(), "nothing is under way");
        let (first, second) = (in_flight.enter(), in_flight.enter());
        let waiting = tokio::spawn({
            let in_flight = in_flight.clone();
            async move { in_flight.ended().await }
        });
        drop(first);
        assert!(in_flight.ended().now_or_never().is_none(), "one is left");
        drop(second);
        waiting.await.unwrap();
    }
}
