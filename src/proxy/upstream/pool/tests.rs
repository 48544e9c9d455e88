//! Which endpoint gets the next request.

use std::collections::HashSet;

use super::*;
use crate::decision::upstream::{Endpoint, EndpointScheme, Timeouts};
use crate::proxy::upstream::Pools;

fn upstream(hosts: &[&str], balance: Balance) -> Arc<Upstream> {
    let endpoints =
        hosts.iter().map(|host| Endpoint { host: (*host).into(), port: 8080, scheme: EndpointScheme::Http }).collect();
    Arc::new(Upstream {
        name: "orders".into(),
        endpoints,
        balance,
        timeouts: Timeouts::default(),
        health_check: None,
        authority: None,
    })
}

const THREE: [&str; 3] = ["127.0.0.1", "127.0.0.2", "127.0.0.3"];

async fn number(pool: &Arc<Pool>, wish: Wish<'_>) -> usize {
    pool.pick(wish).await.unwrap().1.number
}

#[tokio::test]
async fn round_robin_takes_turns() {
    let pool = Pool::open(upstream(&THREE, Balance::RoundRobin));
    let mut turns = Vec::new();
    for _ in 0..6 {
        turns.push(number(&pool, Wish::default()).await);
    }
    assert_eq!(turns, [0, 1, 2, 0, 1, 2]);
}

#[tokio::test]
async fn least_requests_spares_the_busy() {
    let pool = Pool::open(upstream(&THREE, Balance::LeastRequests));
    let held = [pool.pick(Wish::default()).await.unwrap().1, pool.pick(Wish::default()).await.unwrap().1];
    let idle = (0..3).find(|number| held.iter().all(|picked| picked.number != *number)).unwrap();
    for _ in 0..5 {
        assert_eq!(number(&pool, Wish::default()).await, idle);
    }
    drop(held);
    assert!(pool.endpoints.iter().all(|live| live.load() == 0), "a dropped pick is no longer busy");
}

#[tokio::test]
async fn an_identity_stays_and_only_the_lost_ones_move() {
    let pool = Pool::open(upstream(&THREE, Balance::ConsistentIdentity));
    let identities: Vec<String> = (0..60).map(|number| format!("identity-{number}")).collect();
    let mut homes = Vec::new();
    for affinity in &identities {
        let home = number(&pool, Wish { affinity, ..Wish::default() }).await;
        assert_eq!(number(&pool, Wish { affinity, ..Wish::default() }).await, home);
        homes.push(home);
    }
    assert_eq!(homes.iter().collect::<HashSet<_>>().len(), 3, "all endpoints get some");
    pool.endpoints[1].set_healthy(false);
    for (affinity, home) in identities.iter().zip(homes) {
        let now = number(&pool, Wish { affinity, ..Wish::default() }).await;
        assert!(if home == 1 { now != 1 } else { now == home });
    }
}

#[tokio::test]
async fn the_unwell_are_skipped_unless_all_are() {
    let pool = Pool::open(upstream(&THREE, Balance::RoundRobin));
    pool.endpoints[0].set_healthy(false);
    pool.endpoints[2].set_healthy(false);
    for _ in 0..4 {
        assert_eq!(number(&pool, Wish::default()).await, 1);
    }
    pool.endpoints[1].set_healthy(false);
    let mut seen = HashSet::new();
    for _ in 0..3 {
        seen.insert(number(&pool, Wish::default()).await);
    }
    assert_eq!(seen.len(), 3, "when all are unwell, all are tried");
}

#[tokio::test]
async fn one_address_is_tried_once_and_many_are_not_tried_for_ever() {
    for (count, tries) in [(1, 1), (2, 2), (3, 3)] {
        let pool = Pool::open(upstream(&THREE[..count], Balance::RoundRobin));
        assert!(pool.may_try_again(tries - 1));
        assert!(!pool.may_try_again(tries));
    }
}

#[tokio::test]
async fn who_could_not_be_reached_rests_for_a_moment() {
    let pool = Pool::open(upstream(&THREE[..2], Balance::RoundRobin));
    let (_, picked) = pool.pick(Wish::default()).await.unwrap();
    picked.failed();
    for _ in 0..3 {
        assert_ne!(number(&pool, Wish::default()).await, picked.number);
    }
    assert!(pool.endpoints[picked.number].is_fit(Instant::now() + Duration::from_secs(2)));
}

#[tokio::test]
async fn a_retry_goes_elsewhere_and_rather_to_the_unwell() {
    let pool = Pool::open(upstream(&THREE[..2], Balance::RoundRobin));
    pool.endpoints[1].set_healthy(false);
    assert_eq!(number(&pool, Wish { tried: &[0], ..Wish::default() }).await, 1);
    assert_eq!(number(&pool, Wish { tried: &[0, 1], ..Wish::default() }).await, 0);
}

#[tokio::test]
async fn a_pool_outlives_the_policy_that_made_it_and_no_more() {
    let pools = Pools::default();
    let (old, new) = (upstream(&THREE, Balance::RoundRobin), upstream(&THREE, Balance::RoundRobin));
    let other = upstream(&THREE[..1], Balance::RoundRobin);
    let pool = pools.of(&old);
    pool.endpoints[0].set_healthy(false);
    assert!(Arc::ptr_eq(&pool, &pools.of(&new)), "equal upstreams share a pool");
    assert!(!Arc::ptr_eq(&pool, &pools.of(&other)));
    drop(old);
    assert!(!pools.of(&new).endpoints[0].is_healthy(), "health is remembered");
}

#[tokio::test]
async fn connections_verified_by_different_authorities_are_not_shared() {
    let https = |authority: Option<&str>| {
        let mut upstream = Upstream::clone(&upstream(&THREE[..1], Balance::RoundRobin));
        upstream.endpoints[0].scheme = EndpointScheme::Https;
        upstream.authority = authority.map(|pem| pem.as_bytes().into());
        Pool::open(Arc::new(upstream))
    };
    let peer = async |pool: &Arc<Pool>| pool.pick(Wish::default()).await.unwrap().0;
    let (public, private) = (peer(&https(None)).await, peer(&https(Some("not a certificate"))).await);
    assert_ne!(public.group_key, private.group_key);
    assert_eq!(public.sni, "127.0.0.1", "a peer without a name would not be verified");
    assert!(private.options.ca.is_some_and(|trusted| trusted.is_empty()), "a broken authority vouches for nobody");
}
