//! The Pingora shell: it obeys the decision and moves the bytes.
//!
//! A request passes the files in this order: `app` bounds the time its head may take and
//! `first_line` watches it come in, `phases` hands it to `admit`,
//! which runs the gate; `answer` writes refusals (made by `client_kind`, `respond` and `page`); `upstream` picks an endpoint, `forward` edits the head on the
//! way up, `selfservice` watches what Kratos ends or changes, `backward` edits the head on the way down, and
//! `access_log` tells the story once.

mod access_log;
mod admit;
mod answer;
mod app;
mod backward;
mod body;
mod client_kind;
mod exchange;
mod first_line;
mod forward;
mod in_flight;
pub(crate) mod page;
mod phases;
mod request_id;
mod respond;
mod selfservice;
mod upstream;
mod wire;

pub mod listener;
pub mod settings;

use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};

pub use client_kind::ClientKind;
pub(crate) use in_flight::InFlight;
pub(crate) use request_id::{RequestId, X_REQUEST_ID};
pub use respond::{Place, RefusalContext, Response, respond};
pub(crate) use upstream::Pools;

use crate::decision::policy::Policy;
use crate::gate::Parties;
use crate::proxy::settings::Settings;
use crate::telemetry::Metrics;
use crate::ui::Pages;

/// All that the shell needs to answer requests. One per process; a reload swaps the policy inside.
pub(crate) struct Gateway {
    pub(crate) policy: Arc<ArcSwap<Policy>>,
    pub(crate) parties: Parties,
    pub(crate) pools: Arc<Pools>,
    pub(crate) metrics: Arc<Metrics>,
    /// The sign-in pages, where they are on.
    pub(crate) pages: Arc<ArcSwapOption<Pages>>,
    pub(crate) settings: Settings,
    /// What is under way right now.
    pub(crate) in_flight: InFlight,
}
