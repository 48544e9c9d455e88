//! The endpoints of one service, and which of them gets the next request.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http::HeaderValue;
use pingora::protocols::ALPN;
use pingora::upstreams::peer::HttpPeer;
use siphasher::sip::SipHasher13;
use smallvec::SmallVec;
use tokio::time::timeout;

use crate::decision::upstream::{Balance, Upstream};
use crate::proxy::upstream::addresses;
use crate::proxy::upstream::endpoint::{Live, authority};
use crate::proxy::upstream::health;

#[cfg(test)]
mod tests;

/// How long the first requests may wait for the first look-up of a name.
const FIRST_LOOK_UP: Duration = Duration::from_secs(2);

/// The most connections that are tried for one request.
const MOST_TRIES: usize = 3;

/// The endpoints of one service.
pub(crate) struct Pool {
    upstream: Arc<Upstream>,
    endpoints: Vec<Live>,
    next: AtomicUsize,
    /// What the first endpoint calls itself.
    host: HeaderValue,
}

/// What a request asks of its endpoint.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wish<'a> {
    /// What keeps a request at one endpoint, where the upstream wants that.
    pub(crate) affinity: &'a str,
    /// Endpoints that failed this very request.
    pub(crate) tried: &'a [usize],
    /// Whether HTTP/2 may be spoken where the endpoint offers it.
    pub(crate) http2: bool,
}

/// An endpoint at work for one request, until this is dropped.
pub(crate) struct Picked {
    pub(crate) pool: Arc<Pool>,
    /// The endpoint's number.
    pub(crate) number: usize,
}

impl Pool {
    /// Opens a pool: names are looked up and health is asked on the current runtime, where there is one.
    pub(super) fn open(upstream: Arc<Upstream>) -> Arc<Self> {
        let vouched = upstream.authority.as_deref().map(authority);
        let endpoints: Vec<_> =
            upstream.endpoints.iter().map(|endpoint| Live::new(endpoint, &upstream, vouched.clone())).collect();
        let host = upstream.endpoints.first().and_then(|endpoint| HeaderValue::try_from(endpoint.authority()).ok());
        let pool = Arc::new(Self {
            endpoints,
            next: AtomicUsize::new(0),
            host: host.unwrap_or(HeaderValue::from_static("localhost")),
            upstream,
        });
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            for (number, live) in pool.endpoints.iter().enumerate() {
                if live.needs_look_up() {
                    runtime.spawn(addresses::follow(Arc::downgrade(&pool), number));
                }
                if let Some(check) = &pool.upstream.health_check {
                    runtime.spawn(health::watch(Arc::downgrade(&pool), number, check.clone()));
                }
            }
        }
        pool
    }

    pub(crate) fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    pub(super) fn endpoint(&self, number: usize) -> &Live {
        &self.endpoints[number]
    }

    /// What the service calls itself, for a Host header.
    pub(crate) fn host(&self) -> &HeaderValue {
        &self.host
    }

    /// Whether another connection may be tried for a request that `tried` so many: only where there is another address.
    pub(crate) fn may_try_again(&self, tried: usize) -> bool {
        tried < MOST_TRIES && tried < self.endpoints.iter().map(Live::addresses).sum()
    }

    /// Picks an endpoint and the peer to connect to. Nothing where no endpoint has an address.
    pub(crate) async fn pick(self: &Arc<Self>, wish: Wish<'_>) -> Option<(HttpPeer, Picked)> {
        for live in &self.endpoints {
            if live.needs_look_up() {
                // At the very start only. A name that takes longer is passed over by this request.
                let _ = timeout(FIRST_LOOK_UP, live.looked_up()).await;
            }
        }
        let (number, mut peer) = self.choose(wish)?;
        if wish.http2 && peer.is_tls() {
            peer.options.alpn = ALPN::H2H1;
        }
        self.endpoints[number].begin();
        Some((peer, Picked { pool: Arc::clone(self), number }))
    }

    fn choose(&self, wish: Wish<'_>) -> Option<(usize, HttpPeer)> {
        self.order(wish).into_iter().find_map(|number| Some((number, self.endpoints[number].peer()?)))
    }

    /// All endpoints, the one to take first: well before unwell, untried before tried, then as the balance says.
    fn order(&self, wish: Wish<'_>) -> SmallVec<[usize; 8]> {
        let count = self.endpoints.len();
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let mut order: SmallVec<[usize; 8]> = (0..count).map(|step| turn.wrapping_add(step) % count).collect();
        if count == 1 {
            return order;
        }
        let now = Instant::now();
        // The sorts keep the order of equals, which is that of the round.
        match self.upstream.balance {
            Balance::RoundRobin => {}
            Balance::LeastRequests => order.sort_by_key(|number| self.endpoints[*number].load()),
            Balance::ConsistentIdentity => {
                order.sort_by_key(|number| std::cmp::Reverse(self.attraction(*number, wish.affinity)));
            }
        }
        order.sort_by_key(|number| (wish.tried.contains(number), !self.endpoints[*number].is_fit(now)));
        order
    }

    /// How strongly an endpoint attracts what `affinity` names. The strongest wins, so the loss of one endpoint moves
    /// only its own.
    fn attraction(&self, number: usize, affinity: &str) -> u64 {
        let endpoint = self.endpoints[number].endpoint();
        let mut hasher = SipHasher13::new();
        affinity.hash(&mut hasher);
        endpoint.host.hash(&mut hasher);
        endpoint.port.hash(&mut hasher);
        hasher.finish()
    }
}

impl Picked {
    /// What the endpoint is called.
    pub(crate) fn endpoint(&self) -> String {
        self.pool.endpoints[self.number].endpoint().authority()
    }

    /// The endpoint could not be connected to. It is spared for a moment, so that not every request finds out anew.
    pub(crate) fn failed(&self) {
        self.pool.endpoints[self.number].rest(Instant::now());
    }
}

impl Drop for Picked {
    fn drop(&mut self) {
        self.pool.endpoints[self.number].end();
    }
}
