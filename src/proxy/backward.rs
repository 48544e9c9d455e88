//! The head on its way down: what concerns the hop behind us is dropped, what concerns the client is added.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, SET_COOKIE, TRANSFER_ENCODING, UPGRADE, VARY};
use http::{HeaderName, HeaderValue, StatusCode};
use pingora::Result;
use pingora::http::ResponseHeader;
use smallvec::SmallVec;

use crate::decision::cors;
use crate::decision::cors::Cors;
use crate::decision::edits::{Stamp, Surface};
use crate::decision::rule::Rule;
use crate::proxy::request_id::RequestId;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Edits the head of a final answer: `cookies` are the session cookies that whoami gave for the client.
///
/// What a rule says of the service's answer comes before, so that it can neither lose a session nor let one be cached.
///
/// # Errors
/// Where a value cannot be in a header.
pub(super) fn edit(head: &mut ResponseHeader, id: &RequestId, cookies: &[HeaderValue]) -> Result<()> {
    head.insert_header("X-Request-ID", id.header().clone())?;
    let mut relayed = false;
    for cookie in cookies {
        // The service's own word on the same cookie is the newer one.
        if !sets_cookie(head, name_of(cookie)) {
            head.append_header(SET_COOKIE, cookie.clone())?;
            relayed = true;
        }
    }
    if relayed {
        head.insert_header(CACHE_CONTROL, "private, no-store")?;
    }
    Ok(())
}

/// Removes from a service's answer what the rule removes, and sets what it sets.
///
/// # Errors
/// Where a value cannot be in a header.
pub(super) fn tell(head: &mut ResponseHeader, rule: &Rule, stamps: &[Stamp]) -> Result<()> {
    for name in &rule.remove_response_headers {
        head.remove_header(name);
    }
    for stamp in stamps.iter().filter(|stamp| stamp.on == Surface::Response) {
        head.insert_header(Bytes::copy_from_slice(stamp.spelling.as_bytes()), stamp.value.clone())?;
    }
    Ok(())
}

/// Drops what a service says about other origins, so that what the rule says is never doubled.
pub(super) fn forget_origins(head: &mut ResponseHeader) {
    let said: SmallVec<[HeaderName; 4]> =
        head.headers.keys().filter(|name| cors::is_about_origins(name)).cloned().collect();
    for name in &said {
        head.remove_header(name);
    }
}

/// Tells a page of another origin what the rule lets it do with the answer, and caches that this depends on the origin.
///
/// # Errors
/// Where a value cannot be in a header.
pub(super) fn tell_origin(head: &mut ResponseHeader, cors: &Cors, origin: Option<&HeaderValue>) -> Result<()> {
    for (name, value) in cors.answer(origin) {
        head.insert_header(name, value)?;
    }
    if cors.varies() && !cors::varies_by_origin(&head.headers) {
        head.append_header(VARY, "Origin")?;
    }
    Ok(())
}

/// Drops what concerns the hop behind us, before anything is set that a service could have nominated.
///
/// The engine does this for requests only. How the body is framed is its own affair, so that is left alone.
pub(super) fn strip_hop_by_hop(head: &mut ResponseHeader) {
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        return;
    }
    let nominated: SmallVec<[HeaderName; 4]> = head
        .headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .filter(|name| *name != CONTENT_LENGTH && *name != TRANSFER_ENCODING)
        .collect();
    for name in nominated.iter().chain([&CONNECTION, &KEEP_ALIVE, &PROXY_CONNECTION, &UPGRADE]) {
        head.remove_header(name);
    }
}

fn sets_cookie(head: &ResponseHeader, name: &[u8]) -> bool {
    head.headers.get_all(SET_COOKIE).iter().any(|cookie| name_of(cookie) == name)
}

fn name_of(cookie: &HeaderValue) -> &[u8] {
    cookie.as_bytes().split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(headers: &[(&'static str, &'static str)], cookies: &[&'static str]) -> Vec<String> {
        let mut head = ResponseHeader::build(200, None).unwrap();
        for (name, value) in headers {
            head.append_header(*name, *value).unwrap();
        }
        let cookies = cookies.iter().map(|cookie| HeaderValue::from_static(cookie)).collect::<Vec<_>>();
        strip_hop_by_hop(&mut head);
        edit(&mut head, &RequestId::unknown(), &cookies).unwrap();
        let mut lines =
            head.headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect::<Vec<_>>();
        lines.sort();
        lines
    }

    #[test]
    fn what_concerns_the_hop_behind_us_stays_there() {
        let headers = [
            ("connection", "keep-alive, X-Internal, content-length"),
            ("keep-alive", "timeout=5"),
            ("x-internal", "1"),
            ("content-length", "3"),
            ("x-request-id", "theirs"),
        ];
        assert_eq!(edited(&headers, &[]), ["content-length: 3", "x-request-id: unknown"]);
    }

    #[test]
    fn several_cookies_stay_several_and_whoamis_joins_them() {
        let headers = [("set-cookie", "a=1"), ("set-cookie", "b=2"), ("cache-control", "public, max-age=60")];
        assert_eq!(
            edited(&headers, &["ory_kratos_session=x; Path=/"]),
            [
                "cache-control: private, no-store",
                "set-cookie: a=1",
                "set-cookie: b=2",
                "set-cookie: ory_kratos_session=x; Path=/",
                "x-request-id: unknown",
            ]
        );
    }

    #[test]
    fn a_cookie_that_the_service_sets_itself_is_not_overruled() {
        assert_eq!(
            edited(&[("set-cookie", "ory_kratos_session=new")], &["ory_kratos_session=old"]),
            ["set-cookie: ory_kratos_session=new", "x-request-id: unknown"]
        );
    }
}
