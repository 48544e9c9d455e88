//! All that the gateway listens on, and how what the engine does not serve is served.

use std::io;
use std::net::SocketAddr;

use axum::Router;
use axum::serve::ListenerExt as _;
use tokio::sync::watch;

use crate::config::Settings;
use crate::proxy::listener::Bound;
use crate::server::StartError;

/// Where a gateway listens; with the port that was found where port 0 was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Addresses {
    pub(super) clients: SocketAddr,
    pub(super) operators: SocketAddr,
    pub(super) decisions: Option<SocketAddr>,
    pub(super) grpc: Option<SocketAddr>,
}

/// All that a gateway listens on.
pub(super) struct Listeners {
    pub(super) clients: Bound,
    pub(super) operators: Bound,
    /// For proxies that ask for decisions over HTTP.
    pub(super) decisions: Option<Bound>,
    /// For Envoy.
    pub(super) grpc: Option<Bound>,
}

impl Listeners {
    pub(super) fn bind(settings: &Settings) -> Result<Self, StartError> {
        let bind = |address| Bound::bind(address).map_err(|source| StartError::Listen { address, source });
        Ok(Self {
            clients: bind(settings.listen.address)?,
            operators: bind(settings.ops.address)?,
            decisions: settings.decisions.address.map(bind).transpose()?,
            grpc: settings.decisions.grpc.map(bind).transpose()?,
        })
    }

    pub(super) fn addresses(&self) -> Addresses {
        Addresses {
            clients: self.clients.address(),
            operators: self.operators.address(),
            decisions: self.decisions.as_ref().map(Bound::address),
            grpc: self.grpc.as_ref().map(Bound::address),
        }
    }
}

/// Serves `router` on a listener of its own until `closing` says true; connections end with what is under way on them.
pub(super) async fn answer(bound: Bound, router: Router, mut closing: watch::Receiver<bool>) -> io::Result<()> {
    // Answers are small, and whoever waits for one keeps its own client waiting.
    let listener = bound.into_tokio()?.tap_io(|stream| drop(stream.set_nodelay(true)));
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let closed = async move { drop(closing.wait_for(|closing| *closing).await) };
    axum::serve(listener, service).with_graceful_shutdown(closed).await
}
