//! Finding a rule by its pattern allocates nothing, and neither does reading a request that has nothing to decode.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(unsafe_code, reason = "a counting allocator cannot be written without")]

use std::alloc::GlobalAlloc;
use std::alloc::Layout;
use std::alloc::System;
use std::cell::Cell;

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

/// Counts what this thread allocates, so that the test runner's own threads do not matter.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: everything is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps the contract of `alloc`, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `System` by way of `alloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = ALLOCATIONS.get();
    let result = work();
    (result, ALLOCATIONS.get() - before)
}

fn index() -> Index {
    let rule = |host: &str, path: &str, methods: Methods| Entry {
        hosts: vec![HostPattern::parse(host).unwrap()],
        paths: vec![PathPattern::parse(path).unwrap()],
        methods,
        schemes: Schemes::any(),
        allow: Allow::default(),
    };
    let mut rules: Vec<Entry> = (0..1_000)
        .map(|number| rule("a.com", &format!("/service-{number}/{{id}}/items/{{item}}"), Methods::any()))
        .collect();
    rules.push(rule("*.b.com", "/{x}/y/**", Methods::of([Method::GET])));
    Index::build(&rules, &[rule("*", "/sessions/**", Methods::any())]).unwrap()
}

#[test]
fn the_hot_path_does_not_allocate() {
    let index = index();
    let (_, counted) = count(|| Box::new(1));
    assert_eq!(counted, 1, "the allocator counts");
    for (method, host, target, owner) in [
        (Method::GET, "a.com", "/service-7/42/items/3?page=2", "rule"),
        (Method::GET, "a.com:8443", "/service-999/42/items/3/", "rule"),
        (Method::GET, "x.y.b.com", "/a/y/z/1/2/3/4", "rule"),
        (Method::POST, "x.b.com", "/a/y", "405"),
        (Method::GET, "a.com", "/sessions/whoami", "rule"),
        (Method::GET, "a.com", "/nothing/here", "404"),
        (Method::GET, "nobody.com", "/nothing/here", "404"),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static(host));
        headers.insert(header::CONNECTION, HeaderValue::from_static("keep-alive, Upgrade"));
        let head = Head {
            method: &method,
            target: target.as_bytes(),
            authority: None,
            headers: &headers,
            scheme: Scheme::Https,
        };
        let (request, parsing) = count(|| RequestView::parse(head).unwrap());
        let (found, finding) = count(|| index.find(&request));
        let told = match found {
            Found::Ambiguous(_) => "400",
            Found::MethodNotListed { .. } => "405",
            Found::Nothing => "404",
            Found::Owner { captures, .. } => {
                let (_, counted) = count(|| captures.iter().count());
                assert_eq!(counted, 0, "reading the captures of {target}");
                "rule"
            }
        };
        assert_eq!((told, parsing, finding), (owner, 0, 0), "{target}");
    }
}
