//! One endpoint of a service: its addresses, its health and how busy it is.

use std::hash::{Hash, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use pingora::protocols::ALPN;
use pingora::protocols::l4::socket::SocketAddr as PeerAddress;
use pingora::protocols::tls::CaType;
use pingora::upstreams::peer::{HttpPeer, PeerOptions};
use pingora::utils::tls::{WrappedX509, parse_x509};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use siphasher::sip::SipHasher13;
use tokio::sync::watch;

use crate::decision::upstream::{Endpoint, EndpointScheme, Upstream};
use crate::proxy::upstream::addresses;

/// How many HTTP/2 requests share a connection; the engine's own default is one.
const STREAMS_PER_CONNECTION: usize = 100;

/// How long an endpoint is spared after it could not be connected to, while others can.
const REST: Duration = Duration::from_secs(2);

/// An endpoint, and what is known of it right now.
pub(crate) struct Live {
    endpoint: Endpoint,
    host: Arc<str>,
    /// The peer that all addresses are made of.
    template: HttpPeer,
    peers: ArcSwap<Vec<HttpPeer>>,
    /// Whether the name was looked up at least once, found or not.
    looked_up: watch::Sender<bool>,
    next_address: AtomicUsize,
    healthy: AtomicBool,
    /// After a failed connection, until when it is spared.
    resting_until: Mutex<Option<Instant>>,
    busy: AtomicUsize,
}

impl Live {
    pub(super) fn new(endpoint: &Endpoint, upstream: &Upstream, authority: Option<Arc<CaType>>) -> Self {
        let live = Self {
            endpoint: endpoint.clone(),
            host: (&*endpoint.host).into(),
            template: template(endpoint, upstream, authority),
            peers: ArcSwap::from_pointee(Vec::new()),
            looked_up: watch::Sender::new(false),
            next_address: AtomicUsize::new(0),
            healthy: AtomicBool::new(true),
            resting_until: Mutex::new(None),
            busy: AtomicUsize::new(0),
        };
        if let Some(address) = addresses::literal(endpoint) {
            live.moved_to(&[address]);
        }
        live
    }

    pub(super) fn needs_look_up(&self) -> bool {
        !*self.looked_up.borrow()
    }

    pub(super) fn name(&self) -> (Arc<str>, u16) {
        (Arc::clone(&self.host), self.endpoint.port)
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// How its peers are connected to.
    pub(super) fn options(&self) -> PeerOptions {
        self.template.options.clone()
    }

    pub(super) fn moved_to(&self, addresses: &[SocketAddr]) {
        let peers = addresses.iter().map(|address| {
            let mut peer = self.template.clone();
            peer._address = PeerAddress::Inet(*address);
            peer
        });
        self.peers.store(Arc::new(peers.collect()));
        self.looked_up.send_replace(true);
    }

    /// The old addresses are kept: a name server that is away says nothing about the service.
    pub(super) fn not_found(&self) {
        self.looked_up.send_replace(true);
    }

    /// Returns as soon as the name was looked up once.
    pub(super) async fn looked_up(&self) {
        // The sender is ours: it cannot be gone.
        let _ = self.looked_up.subscribe().wait_for(|done| *done).await;
    }

    /// The peer to connect to, another one each time where the name has several addresses.
    pub(super) fn peer(&self) -> Option<HttpPeer> {
        let peers = self.peers.load();
        match peers.as_slice() {
            [] => None,
            [only] => Some(only.clone()),
            several => several.get(self.next_address.fetch_add(1, Ordering::Relaxed) % several.len()).cloned(),
        }
    }

    /// How many addresses it has.
    pub(super) fn addresses(&self) -> usize {
        self.peers.load().len()
    }

    pub(super) fn is_healthy(&self) -> bool {
        self.healthy.load(Ordering::Relaxed)
    }

    /// Whether requests should go here: it is well as far as checks know, and did not just refuse a connection.
    pub(super) fn is_fit(&self, now: Instant) -> bool {
        self.is_healthy() && self.resting_until.lock().is_none_or(|until| until <= now)
    }

    /// Spares it for a moment.
    pub(super) fn rest(&self, now: Instant) {
        *self.resting_until.lock() = Some(now + REST);
    }

    pub(super) fn set_healthy(&self, healthy: bool) {
        self.healthy.store(healthy, Ordering::Relaxed);
    }

    /// How many requests it is answering.
    pub(super) fn load(&self) -> usize {
        self.busy.load(Ordering::Relaxed)
    }

    pub(super) fn begin(&self) {
        self.busy.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn end(&self) {
        self.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

fn template(endpoint: &Endpoint, upstream: &Upstream, authority: Option<Arc<CaType>>) -> HttpPeer {
    let is_tls = endpoint.scheme == EndpointScheme::Https;
    // Always with a name, even if it is an address: without one the engine verifies nothing.
    let mut peer = HttpPeer::new(SocketAddr::from(([0, 0, 0, 0], 0)), is_tls, endpoint.host.to_string());
    let options = &mut peer.options;
    options.connection_timeout = Some(upstream.timeouts.connect);
    options.total_connection_timeout = Some(upstream.timeouts.connect);
    options.read_timeout = Some(upstream.timeouts.read);
    options.write_timeout = Some(upstream.timeouts.write);
    options.idle_timeout = Some(upstream.timeouts.idle);
    options.max_h2_streams = STREAMS_PER_CONNECTION;
    options.alpn = match endpoint.scheme {
        EndpointScheme::H2c => ALPN::H2,
        EndpointScheme::Http | EndpointScheme::Https => ALPN::H1,
    };
    options.ca = authority;
    // The engine shares connections between peers of equal address and name. It does not compare who vouched for them,
    // nor how they are spoken to, so that goes into the group.
    let mut hasher = SipHasher13::new();
    upstream.authority.hash(&mut hasher);
    (endpoint.scheme == EndpointScheme::H2c).hash(&mut hasher);
    peer.group_key = hasher.finish();
    peer
}

/// The certificates of a private authority in the engine's own form. Those that are none are left out; if nothing is
/// left, nothing is trusted.
pub(super) fn authority(pem: &[u8]) -> Arc<CaType> {
    CertificateDer::pem_slice_iter(pem)
        .filter_map(Result::ok)
        // The engine's parser panics at what is no certificate, so ask one that does not.
        .filter(|certificate| RootCertStore::empty().add(certificate.clone()).is_ok())
        .map(|certificate| WrappedX509::new(certificate.to_vec(), parse_x509))
        .collect()
}
