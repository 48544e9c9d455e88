//! The log: filtered, as text or JSON, written by a thread of its own.

use std::io::{self, IsTerminal};
use std::sync::OnceLock;

use tracing::Metadata;
use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::{EnvFilter, FilterExt, FilterFn, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::Registry;
use tracing_subscriber::util::SubscriberInitExt;

#[cfg(test)]
mod tests;

/// The target of the access log: one line for each request.
pub const ACCESS: &str = "access";

/// What is logged where nobody says otherwise.
const DEFAULT_FILTER: &str = "info";

/// Crates that see the wire. Below `info` they print heads, cookies included, so no filter gets that out of them.
const WIRE: [&str; 5] = ["pingora", "h2", "hyper", "reqwest", "rustls"];

/// How many lines may wait for the writer. Beyond that lines are dropped and counted: requests never wait for a log.
const WAITING_LINES: usize = 16 * 1024;

static LOST: OnceLock<ErrorCounter> = OnceLock::new();

/// What is logged, and how.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogSettings {
    /// Directives as in `RUST_LOG`: `info,portcullis=debug,access=off`. Default `info`.
    pub filter: String,
    /// Default text.
    pub format: LogFormat,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    #[default]
    Text,
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum SubscribeError {
    #[error("`{filter}` is no log filter: {error}")]
    Filter { filter: String, error: tracing_subscriber::filter::ParseError },
}

/// Writes what is still waiting when it is dropped.
#[must_use]
pub struct LogGuard {
    _worker: Option<WorkerGuard>,
}

impl LogSettings {
    /// The filter of the command line, else that of `RUST_LOG`, else the default.
    pub fn new(filter: Option<&str>, format: LogFormat) -> Self {
        let filter = filter.map(str::to_owned).or_else(|| std::env::var(EnvFilter::DEFAULT_ENV).ok());
        let filter = filter.filter(|filter| !filter.trim().is_empty()).unwrap_or_else(|| DEFAULT_FILTER.to_owned());
        Self { filter, format }
    }
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { filter: DEFAULT_FILTER.to_owned(), format: LogFormat::default() }
    }
}

/// Begins to log to standard error. A second call in one process changes nothing.
///
/// # Errors
/// Where the filter is none.
pub fn subscribe(settings: &LogSettings) -> Result<LogGuard, SubscribeError> {
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(WAITING_LINES)
        .thread_name("log")
        .finish(io::stderr());
    let lost = writer.error_counter();
    let layer = layer(settings, writer, io::stderr().is_terminal())?;
    if tracing_subscriber::registry().with(layer).try_init().is_err() {
        return Ok(LogGuard { _worker: None });
    }
    LOST.get_or_init(|| lost);
    Ok(LogGuard { _worker: Some(guard) })
}

/// How many lines were dropped since the start.
pub(super) fn lines_lost() -> usize {
    LOST.get().map_or(0, ErrorCounter::dropped_lines)
}

fn layer<W>(
    settings: &LogSettings,
    writer: W,
    color: bool,
) -> Result<Box<dyn Layer<Registry> + Send + Sync>, SubscribeError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(&settings.filter)
        .map_err(|error| SubscribeError::Filter { filter: settings.filter.clone(), error })?;
    let filter = filter.and(discretion());
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(color);
    Ok(match settings.format {
        LogFormat::Json => {
            lines.json().flatten_event(true).with_current_span(false).with_span_list(false).with_filter(filter).boxed()
        }
        LogFormat::Text => lines.with_filter(filter).boxed(),
    })
}

/// Lets nothing below `info` through from crates that see the wire.
fn discretion() -> FilterFn {
    filter_fn(|metadata: &Metadata<'_>| *metadata.level() <= LevelFilter::INFO || !sees_the_wire(metadata.target()))
}

fn sees_the_wire(target: &str) -> bool {
    WIRE.iter()
        .any(|name| target.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '_', '-'])))
}
