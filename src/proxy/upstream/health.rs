//! Asks endpoints whether they are well, at the interval that operators set.

use std::sync::Weak;
use std::time::Duration;

use pingora::http::RequestHeader;
use pingora::lb::Backend;
use pingora::lb::health_check::{HealthCheck as _, HttpHealthCheck};
use pingora::{Error, ErrorType};
use tokio::time::{sleep, timeout};

use crate::decision::upstream::{EndpointScheme, HealthCheck};
use crate::proxy::upstream::pool::Pool;

/// How many checks in a row must say otherwise before an endpoint's health changes.
const IN_A_ROW: u8 = 2;

/// How long one check may take, in any case.
const PATIENCE: Duration = Duration::from_secs(2);

/// Checks endpoint `number` for as long as the pool lives.
pub(super) async fn watch(pool: Weak<Pool>, number: usize, check: HealthCheck) {
    let Some(prober) = pool.upgrade().and_then(|pool| prober(&pool, number, &check)) else { return };
    let mut otherwise = 0;
    loop {
        sleep(check.interval).await;
        let Some(pool) = pool.upgrade() else { return };
        let live = pool.endpoint(number);
        let Some(peer) = live.peer() else { continue };
        let Ok(backend) = Backend::new(&peer._address.to_string()) else { continue };
        let is_well = timeout(PATIENCE, prober.check(&backend)).await.is_ok_and(|answer| answer.is_ok());
        if is_well == live.is_healthy() {
            otherwise = 0;
            continue;
        }
        otherwise += 1;
        if otherwise == IN_A_ROW {
            otherwise = 0;
            live.set_healthy(is_well);
            let endpoint = live.endpoint().authority();
            let upstream = &*pool.upstream().name;
            if is_well {
                tracing::info!(upstream, endpoint, "Endpoint is well again");
            } else {
                tracing::warn!(upstream, endpoint, "Endpoint is unwell");
            }
        }
    }
}

fn prober(pool: &Pool, number: usize, check: &HealthCheck) -> Option<HttpHealthCheck> {
    let live = pool.endpoint(number);
    let endpoint = live.endpoint();
    let mut prober = HttpHealthCheck::new(&endpoint.host, endpoint.scheme == EndpointScheme::Https);
    prober.peer_template.options = live.options();
    let mut request = RequestHeader::build("GET", check.path.as_bytes(), None).ok()?;
    request.insert_header("Host", endpoint.authority()).ok()?;
    request.insert_header("User-Agent", "portcullis-health-check").ok()?;
    prober.req = request;
    prober.validator = Some(Box::new(|answer| {
        if answer.status.is_success() { Ok(()) } else { Error::e_explain(ErrorType::InvalidHTTPHeader, "unwell") }
    }));
    Some(prober)
}
