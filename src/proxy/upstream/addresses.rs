//! Where endpoints are: names are looked up beside the requests, never while one waits.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::time::sleep;

use crate::decision::upstream::Endpoint;
use crate::proxy::upstream::pool::Pool;

/// How long an address is used before the name is looked up again.
const FRESH_FOR: Duration = Duration::from_secs(30);

/// After a failure, the first pause; it doubles up to [`FRESH_FOR`].
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// The address of an endpoint that needs no look-up.
pub(super) fn literal(endpoint: &Endpoint) -> Option<SocketAddr> {
    let address: IpAddr = endpoint.host.parse().ok()?;
    Some(SocketAddr::new(address, endpoint.port))
}

/// Keeps the addresses of endpoint `number` up to date for as long as the pool lives.
pub(super) async fn follow(pool: Weak<Pool>, number: usize) {
    let mut pause = FIRST_PAUSE;
    loop {
        let Some((host, port)) = pool.upgrade().map(|pool| pool.endpoint(number).name()) else { return };
        let found = look_up(&host, port).await;
        let Some(pool_now) = pool.upgrade() else { return };
        let wait = match found {
            Some(addresses) => {
                pause = FIRST_PAUSE;
                pool_now.endpoint(number).moved_to(&addresses);
                FRESH_FOR
            }
            None => {
                tracing::warn!(host = &*host, upstream = &*pool_now.upstream().name, "Name cannot be looked up");
                pool_now.endpoint(number).not_found();
                let wait = pause;
                pause = (pause * 2).min(FRESH_FOR);
                wait
            }
        };
        drop(pool_now);
        sleep(wait).await;
    }
}

async fn look_up(host: &Arc<str>, port: u16) -> Option<Vec<SocketAddr>> {
    let mut addresses = lookup_host((&**host, port)).await.ok()?.collect::<Vec<_>>();
    // In a fixed order, so that an answer that says the same in another order changes nothing.
    addresses.sort_unstable();
    addresses.dedup();
    (!addresses.is_empty()).then_some(addresses)
}
