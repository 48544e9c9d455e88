//! Templates of URLs, redirects, headers and paths: what is filled in never turns them elsewhere.
#![no_main]

use http::{HeaderMap, HeaderValue, Method, header};
use libfuzzer_sys::fuzz_target;
use portcullis::decision::expression::Scope;
use portcullis::decision::pattern::{HostPattern, PathPattern};
use portcullis::decision::redirect::Redirect;
use portcullis::decision::request::{Head, RequestView, Scheme};
use portcullis::decision::template::{CookieTemplate, HeaderTemplate};
use portcullis::decision::url_template::UrlTemplate;

fuzz_target!(|parts: (&str, &str)| {
    let (text, value) = parts;
    let headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static("a.example"))]);
    let head = Head { method: &Method::GET, scheme: Scheme::Http, target: b"/a", authority: None, headers: &headers };
    let request = RequestView::parse(head).expect("it is plain");
    let captures = [("id".into(), value.into())];
    let scope = Scope::new(None, &request, &captures);
    let _ = HostPattern::parse(text);
    if let Ok(path) = PathPattern::parse(text) {
        let written = path.to_string();
        assert_eq!(PathPattern::parse(&written).expect("it was one").to_string(), written);
    }
    if let Ok(redirect) = Redirect::parse(text) {
        redirect.location(&scope, "/a?b");
    }
    let _ = CookieTemplate::parse("a", text).map(|cookie| cookie.render(&scope));
    let _ = HeaderTemplate::parse("X-A", text).map(|header| header.fill(&scope));
    let _ = UrlTemplate::parse(text).map(|url| url.render(&scope));
    for to in ["/x/${request.captures.id}", "https://b.example/${request.captures.id}/y"] {
        let redirect = Redirect::parse(to).expect("it is plain");
        if let Some(location) = redirect.location(&scope, "/a") {
            let location = location.to_str().expect("it is plain text");
            assert!(location.starts_with("/x/") || location.starts_with("https://b.example/"), "{location}");
            assert!(!location.split(['/', '?']).any(|part| part == ".."), "{location}");
        }
    }
});
