//! The log subscriber and the metrics.

pub use labels::Asked;
pub use labels::Class;
pub use labels::ConnectionError;
pub use labels::Lookup;
pub use labels::Outcome;
pub use labels::ReloadOutcome;
pub use labels::RevocationCause;
pub use labels::TokenCheck;
pub use labels::UpstreamError;
pub use labels::Whoami;
pub use log::ACCESS;
pub use log::LogFormat;
pub use log::LogGuard;
pub use log::LogSettings;
pub use log::SubscribeError;
pub use log::subscribe;
pub use metrics::InFlight;
pub use metrics::Metrics;

mod labels;
mod log;
mod metrics;
mod series;
