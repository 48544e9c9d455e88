//! Others who are asked while a request is decided: bounded in time and size, cached where they let pass.

use std::time::Duration;

use crate::decision::call::{Question, Reply};

/// The services that rules name. A clone is the same.
#[derive(Clone, Default)]
pub struct Services {}

impl Services {
    /// Asks one, or takes an answer that is no older than `within`. Never fails: silence is a reply.
    pub async fn ask(&self, _question: &Question, _within: Option<Duration>) -> Reply {
        Reply::Silence
    }
}
