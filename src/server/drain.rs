//! The end: readiness says no, the listener closes, and what is in flight is waited for, no longer than it takes.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::ops::readiness::Readiness;
use crate::proxy::InFlight;

/// How urgently the gateway was asked to stop.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Stop {
    NotYet,
    /// As soon as nothing is in flight.
    Gracefully,
    /// Whatever is in flight.
    Now,
}

impl Stop {
    /// Asks once more.
    pub(super) fn ask(&mut self) {
        *self = match self {
            Self::NotYet => Self::Gracefully,
            Self::Gracefully | Self::Now => Self::Now,
        };
    }
}

/// Stops the gateway at SIGTERM or SIGINT; at a second one without waiting.
pub(super) async fn heed_signals(stop: watch::Sender<Stop>) {
    let (terminate, interrupt) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    let (Ok(mut terminate), Ok(mut interrupt)) = (terminate, interrupt) else {
        tracing::error!("Signals cannot be heard");
        return;
    };
    loop {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop.send_modify(Stop::ask);
    }
}

/// How a gateway ends.
pub(super) struct Drain<'r> {
    /// How long new connections are still accepted while readiness says no.
    pub(super) delay: Duration,
    /// How long what is in flight may take after that.
    pub(super) timeout: Duration,
    pub(super) in_flight: InFlight,
    pub(super) readiness: &'r Readiness,
}

impl Drain<'_> {
    /// Waits for the wish to stop, then ends in order. `closing` tells `listening` to accept no more.
    pub(super) async fn run<T>(
        &self,
        mut stop: watch::Receiver<Stop>,
        closing: watch::Sender<bool>,
        mut listening: JoinHandle<T>,
    ) {
        tokio::select! {
            // The sender lives as long as the gateway.
            _ = stop.wait_for(|stop| *stop >= Stop::Gracefully) => {}
            _ = &mut listening => {
                tracing::error!("The listener ended by itself");
                return;
            }
        }
        self.readiness.drain();
        let in_order = async {
            if !self.delay.is_zero() {
                tracing::info!(delay = ?self.delay, "Stopping; still accepting");
                sleep(self.delay).await;
            }
            tracing::info!(in_flight = self.in_flight.count(), "Stopping; no longer accepting");
            closing.send_replace(true);
            // Ends when the listener is closed and idle connections were told to go.
            let _ = listening.await;
            if timeout(self.timeout, self.in_flight.ended()).await.is_err() {
                tracing::warn!(in_flight = self.in_flight.count(), "Some requests did not end in time");
            }
        };
        tokio::select! {
            () = in_order => {}
            _ = stop.wait_for(|stop| *stop == Stop::Now) => tracing::warn!("Asked again; stopping at once"),
        }
        tracing::info!("Stopped");
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    fn drain(in_flight: &InFlight, readiness: &'static Readiness) -> Drain<'static> {
        Drain { delay: Duration::ZERO, timeout: Duration::from_secs(3600), in_flight: in_flight.clone(), readiness }
    }

    fn readiness() -> &'static Readiness {
        Box::leak(Box::new(Readiness::default()))
    }

    /// A listener that ends when it is told to.
    fn listener(closing: &watch::Sender<bool>) -> JoinHandle<()> {
        let mut told = closing.subscribe();
        tokio::spawn(async move { drop(told.wait_for(|closing| *closing).await) })
    }

    #[tokio::test]
    async fn the_end_comes_with_the_last_request() {
        let (in_flight, stop, closing) =
            (InFlight::default(), watch::Sender::new(Stop::NotYet), watch::Sender::new(false));
        let request = in_flight.enter();
        let listening = listener(&closing);
        let drain = drain(&in_flight, readiness());
        let wish = stop.subscribe();
        let ending = tokio::spawn(async move { drain.run(wish, closing, listening).await });
        stop.send_modify(Stop::ask);
        tokio::task::yield_now().await;
        assert!(!ending.is_finished());
        drop(request);
        ending.await.unwrap();
    }

    #[tokio::test]
    async fn asked_twice_it_waits_for_nothing() {
        let (in_flight, stop, closing) =
            (InFlight::default(), watch::Sender::new(Stop::NotYet), watch::Sender::new(false));
        let _request = in_flight.enter();
        stop.send_modify(Stop::ask);
        stop.send_modify(Stop::ask);
        let listening = tokio::spawn(pending::<()>());
        drain(&in_flight, readiness()).run(stop.subscribe(), closing, listening).await;
    }
}
