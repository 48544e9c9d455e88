//! The pools of endpoints behind the gateway, shared by all policies that name the same service.

mod addresses;
mod endpoint;
mod health;
mod pool;

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::RwLock;
use pingora::ErrorType;

pub(crate) use pool::{Picked, Pool, Wish};

use crate::decision::policy::Policy;
use crate::decision::rule::Target;
use crate::decision::upstream::Upstream;
use crate::telemetry::UpstreamError;

/// The pool of each upstream, found by where the upstream lies in memory.
///
/// An upstream of a new policy that equals one of the old gets its pool, and so keeps what is known of its health and
/// its open connections. Entries die with their policy.
#[derive(Default)]
pub(crate) struct Pools {
    known: RwLock<HashMap<usize, Entry>>,
}

struct Entry {
    /// Keeps the memory of the upstream from being given to another one, and says whether it still lives.
    upstream: Weak<Upstream>,
    pool: Arc<Pool>,
}

impl Pools {
    /// Makes the pools of `policy` before a request needs them, and lets go of those that no policy names any more.
    ///
    /// Must be called within the runtime that serves requests: pools look after their endpoints on it.
    pub(crate) fn prepare(&self, policy: &Policy) {
        for rule in policy.reserved.iter().chain(&policy.rules) {
            match &rule.target {
                Some(Target::Kratos(upstream) | Target::Service(upstream)) => drop(self.of(upstream)),
                Some(Target::Keys | Target::Pages | Target::Redirect(_)) | None => {}
            }
        }
        self.known.write().retain(|_, entry| entry.upstream.strong_count() > 0);
    }

    /// The pool of `upstream`.
    pub(crate) fn of(&self, upstream: &Arc<Upstream>) -> Arc<Pool> {
        let place = Arc::as_ptr(upstream).addr();
        if let Some(entry) = self.known.read().get(&place) {
            return Arc::clone(&entry.pool);
        }
        let mut known = self.known.write();
        if let Some(entry) = known.get(&place) {
            return Arc::clone(&entry.pool);
        }
        let same = known.values().find(|entry| *entry.pool.upstream() == **upstream);
        let pool = match same {
            Some(entry) => Arc::clone(&entry.pool),
            None => Pool::open(Arc::clone(upstream)),
        };
        known.insert(place, Entry { upstream: Arc::downgrade(upstream), pool: Arc::clone(&pool) });
        pool
    }
}

/// What went wrong with a service, for the metrics.
pub(super) fn kind_of(error: &ErrorType) -> UpstreamError {
    match error {
        ErrorType::ConnectTimedout => UpstreamError::ConnectTimeout,
        ErrorType::ConnectError
        | ErrorType::ConnectRefused
        | ErrorType::ConnectNoRoute
        | ErrorType::ConnectProxyFailure
        | ErrorType::SocketError
        | ErrorType::BindError => UpstreamError::Connect,
        ErrorType::TLSHandshakeTimedout
        | ErrorType::TLSHandshakeFailure
        | ErrorType::TLSWantX509Lookup
        | ErrorType::InvalidCert
        | ErrorType::HandshakeError => UpstreamError::Tls,
        ErrorType::ReadTimedout => UpstreamError::ReadTimeout,
        ErrorType::ReadError
        | ErrorType::ConnectionClosed
        | ErrorType::InvalidHTTPHeader
        | ErrorType::H1Error
        | ErrorType::H2Error
        | ErrorType::InvalidH2 => UpstreamError::Read,
        ErrorType::WriteTimedout => UpstreamError::WriteTimeout,
        ErrorType::WriteError => UpstreamError::Write,
        _ => UpstreamError::Other,
    }
}

/// Whether the service could have been reached, had it been quicker.
pub(super) fn is_timeout(error: &ErrorType) -> bool {
    matches!(
        error,
        ErrorType::ConnectTimedout
            | ErrorType::ReadTimedout
            | ErrorType::TLSHandshakeTimedout
            | ErrorType::WriteTimedout
    )
}
