//! What operators decide about the listener.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Settings of the listener. They hold from start to stop: a reload does not change them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// Default 127.0.0.1:4455.
    pub address: SocketAddr,
    pub tls: Option<Tls>,
    /// HTTP/2 with prior knowledge on a plain listener. Default off: the engine waits for ever for a preface.
    pub h2c: bool,
    /// How long a client may take for the whole head of a request, in total. Default 10 s.
    pub header_timeout: Duration,
    /// How long a connection may idle between requests. Default 75 s.
    pub idle_timeout: Duration,
    /// How long a client may pause within a body. Default 60 s.
    pub read_timeout: Duration,
    /// How long a client may take to read on. Default 60 s.
    pub write_timeout: Duration,
    /// How long an upgraded connection (WebSocket) may be silent. Default 1 h.
    pub upgrade_timeout: Duration,
    /// The most that the head of a request may measure, in bytes. Default 64 KiB.
    pub max_header_size: usize,
    /// The most that the body of a request may measure, in bytes. Default: no bound.
    pub max_body_size: Option<u64>,
    /// How long the listener still accepts after a stop was asked for, while readiness says no. Default 0 s.
    pub shutdown_delay: Duration,
    /// How long what is in flight may take to end after that. Default 25 s.
    pub shutdown_timeout: Duration,
    /// Worker threads. Default: one per core.
    pub threads: usize,
}

/// A certificate chain and its key, in PEM files.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tls {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], 4455)),
            tls: None,
            h2c: false,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            read_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(60),
            upgrade_timeout: Duration::from_secs(3600),
            max_header_size: 64 * 1024,
            max_body_size: None,
            shutdown_delay: Duration::ZERO,
            shutdown_timeout: Duration::from_secs(25),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }
}
