//! Somebody who can be asked over HTTP: the way there, and how it fares.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::services::circuit::Circuit;
use crate::services::client::client;
use crate::services::warnings::Warnings;

/// So many questions may be on their way to one peer at once; the others wait, within their time.
const MAX_AT_ONCE: usize = 256;

/// Numbers the peers of this process.
static MET: AtomicU64 = AtomicU64::new(0);

pub(crate) struct Peer {
    /// Absent where its certificates cannot be read: then it cannot be asked.
    client: Option<reqwest::Client>,
    pub(crate) circuit: Circuit,
    slots: Semaphore,
    pub(crate) warnings: Warnings,
    /// Of its settings: answers to others do not count.
    pub(crate) generation: u64,
}

/// Why a peer is not even asked.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(crate) enum Unasked {
    #[error("its certificates cannot be read")]
    NoClient,
    #[error("too many questions are on their way to it")]
    Full,
}

impl Peer {
    /// `authority` vouches for https in place of the system's.
    pub(crate) fn new(name: &str, authority: Option<&[u8]>) -> Self {
        let client = client(authority).inspect_err(|error| tracing::error!(name, %error, "Cannot be asked"));
        Self {
            client: client.ok(),
            circuit: Circuit::default(),
            slots: Semaphore::new(MAX_AT_ONCE),
            warnings: Warnings::default(),
            generation: MET.fetch_add(1, Ordering::Relaxed),
        }
    }

    pub(crate) fn client(&self) -> Result<&reqwest::Client, Unasked> {
        self.client.as_ref().ok_or(Unasked::NoClient)
    }

    /// Waits until it may be asked, for as long as `timeout`; held until there is an answer.
    pub(crate) async fn slot(&self, timeout: Duration) -> Result<SemaphorePermit<'_>, Unasked> {
        let slot = tokio::time::timeout(timeout, self.slots.acquire()).await;
        slot.ok().and_then(Result::ok).ok_or(Unasked::Full)
    }
}
