//! Finding the rule of a request, among 10 to 100,000 of them.
//!
//! Each service has ten rules with captures, as teams write them; the requests go round-robin over 512 different ones,
//! spread over all services, so that branch predictors do not learn them by heart. The work is the same at every size.
//! What grows is the memory it touches, so that many more different requests in turn than the processor's L2 cache can
//! hold measure that cache.

#![allow(clippy::unwrap_used, reason = "a bench that cannot be set up may panic")]

use std::hint::black_box;

use criterion::Criterion;
use criterion::criterion_group;
use criterion::criterion_main;
use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::header;
use portcullis::decision::index::Entry;
use portcullis::decision::index::Found;
use portcullis::decision::index::Index;
use portcullis::decision::path::Allow;
use portcullis::decision::pattern::HostPattern;
use portcullis::decision::pattern::Methods;
use portcullis::decision::pattern::PathPattern;
use portcullis::decision::pattern::Schemes;
use portcullis::decision::request::Head;
use portcullis::decision::request::RequestView;
use portcullis::decision::request::Scheme;

const SIZES: [usize; 4] = [10, 1_000, 10_000, 100_000];
const REQUESTS: usize = 512;

/// The rules of one service below `/service-N`, each with a request that it owns.
const SERVICE: [(&str, &str); 10] = [
    ("/**", "/something/else/entirely"),
    ("/healthz", "/healthz"),
    ("/assets/**", "/assets/app/main.4f2a.js"),
    ("/v1/orders", "/v1/orders"),
    ("/v1/orders/{order}", "/v1/orders/8d1f0c52"),
    ("/v1/orders/{order}/items/{item}", "/v1/orders/8d1f0c52/items/17"),
    ("/v1/users/{user}/settings/**", "/v1/users/ada/settings/notifications/mail"),
    ("/v1/users/*/avatar", "/v1/users/ada/avatar/"),
    ("/v1/reports/{year}/{month}/export", "/v1/reports/2026/11/export"),
    ("/v2/{collection}/{id}", "/v2/invoices/2026-0042"),
];

fn entry(host: Option<&str>, paths: &[&str]) -> Entry {
    Entry {
        hosts: host.map(|host| HostPattern::parse(host).unwrap()).into_iter().collect(),
        paths: paths.iter().map(|path| PathPattern::parse(path).unwrap()).collect(),
        methods: Methods::of([Method::GET, Method::POST]),
        schemes: Schemes::any(),
        allow: Allow::default(),
    }
}

fn index(size: usize) -> Index {
    let rules: Vec<Entry> = (0..size)
        .map(|number| {
            let (pattern, _) = SERVICE[number % SERVICE.len()];
            entry(Some("api.example.com"), &[&format!("/service-{}{pattern}", number / SERVICE.len())])
        })
        .collect();
    let kratos = entry(
        None,
        &["/self-service/**", "/sessions", "/sessions/**", "/schemas", "/schemas/*", "/.well-known/ory/**"],
    );
    Index::build(&rules, &[kratos]).unwrap()
}

/// Requests for rules all over the index, in an order without pattern.
fn targets(size: usize) -> Vec<String> {
    let target = |number: usize| {
        let rule = number.wrapping_mul(2_654_435_761) % size;
        format!("/service-{}{}", rule / SERVICE.len(), SERVICE[rule % SERVICE.len()].1)
    };
    (0..REQUESTS).map(target).collect()
}

fn head<'a>(target: &'a str, headers: &'a HeaderMap) -> Head<'a> {
    Head { method: &Method::GET, target: target.as_bytes(), authority: None, headers, scheme: Scheme::Https }
}

fn matching(criterion: &mut Criterion) {
    let mut headers = HeaderMap::new();
    headers.insert(header::HOST, HeaderValue::from_static("api.example.com"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("keep-alive"));
    for size in SIZES {
        let index = index(size);
        let targets = targets(size);
        let requests: Vec<_> =
            targets.iter().map(|target| RequestView::parse(head(target, &headers)).unwrap()).collect();
        assert!(requests.iter().all(|request| matches!(index.find(request), Found::Owner { .. })));

        let mut round = requests.iter().cycle();
        criterion.bench_function(&format!("find/{size}"), |bencher| {
            bencher.iter(|| black_box(index.find(round.next().unwrap())));
        });
        let mut round = targets.iter().cycle();
        criterion.bench_function(&format!("parse_and_find/{size}"), |bencher| {
            bencher.iter(|| {
                let request = RequestView::parse(head(round.next().unwrap(), &headers)).unwrap();
                matches!(black_box(index.find(&request)), Found::Owner { .. })
            });
        });
    }
}

criterion_group!(benches, matching);
criterion_main!(benches);
