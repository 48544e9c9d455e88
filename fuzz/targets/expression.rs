//! Expressions: any text compiles or is refused, and evaluating it on a request ends.
#![no_main]

use http::{HeaderMap, HeaderValue, Method, header};
use libfuzzer_sys::fuzz_target;
use portcullis::decision::expression::{Expression, Scope};
use portcullis::decision::request::{Head, RequestView, Scheme};

fuzz_target!(|source: &str| {
    let Ok(expression) = Expression::compile(source) else { return };
    let headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static("a.example"))]);
    let head =
        Head { method: &Method::GET, scheme: Scheme::Http, target: b"/a/b?c=d", authority: None, headers: &headers };
    let request = RequestView::parse(head).expect("it is plain");
    let captures = [("id".into(), "7".into())];
    expression.text(&Scope::new(None, &request, &captures));
});
