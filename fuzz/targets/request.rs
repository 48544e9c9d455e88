//! Heads of requests: whatever is let in has one meaning, and no credential in it makes anything panic.
#![no_main]

use http::{HeaderMap, HeaderValue, Method, header};
use libfuzzer_sys::fuzz_target;
use percent_encoding::percent_decode_str;
use portcullis::decision::credentials::{Credentials, Sources};
use portcullis::decision::names::is_cookie_read_as;
use portcullis::decision::request::{Head, RequestView, Scheme};

fuzz_target!(|data: &[u8]| {
    let mut lines = data.split(|byte| *byte == b'\n');
    let target = lines.next().unwrap_or_default();
    let mut headers = HeaderMap::new();
    for (line, name) in lines.zip([header::HOST, header::COOKIE, header::AUTHORIZATION, header::CONNECTION]) {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            is_cookie_read_as(line, "user_id");
            headers.append(name, value);
        }
    }
    Credentials::find(&headers, &Sources::default());
    let head =
        Head { method: &Method::GET, scheme: Scheme::Http, target, authority: None, headers: &headers };
    let Ok(request) = RequestView::parse(head) else { return };
    // What any service could make of it: decoded once more, with every kind of separator.
    let Ok(decoded) = percent_decode_str(request.decoded_path()).decode_utf8() else { return };
    assert!(!decoded.chars().any(char::is_control));
    for segment in decoded.split(['/', '\\']) {
        let name = segment.split(';').next().unwrap_or_default();
        assert!(!matches!(name.trim(), "." | ".."), "{decoded}");
    }
    if request.oddities().is_empty() {
        assert!(!decoded.contains(['\\', ';']) && !decoded.contains("//"), "{decoded}");
    }
});
