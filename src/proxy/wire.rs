//! What the client really sent: the engine's parsed head has already lost some of it.

use std::net::IpAddr;
use std::net::Ipv4Addr;

use bytes::Bytes;
use http::Version;
use http::header::CONTENT_LENGTH;
use pingora::proxy::Session;

use crate::decision::request::Scheme;

/// What each header of an HTTP/2 request counts for beside its name and value, as in HTTP/1: `: ` and the line's end.
const PER_HEADER: usize = 4;

/// The request target exactly as it came.
///
/// The engine cuts a fragment before anyone sees it, so for HTTP/1 the target is read from the head's own bytes.
/// Targets that the engine rewrites before it parses are refused before they are read here.
pub(super) fn target(session: &Session) -> Bytes {
    match session.as_http1() {
        Some(http1) => {
            let head = http1.get_headers_raw_bytes();
            match target_range(&head) {
                Some((start, end)) => head.slice(start..end),
                None => Bytes::new(),
            }
        }
        None => Bytes::copy_from_slice(session.req_header().raw_path()),
    }
}

/// Where the target is in the bytes of a head: between the first and the last space of its first line.
fn target_range(head: &[u8]) -> Option<(usize, usize)> {
    let begin = head.iter().position(|byte| !matches!(byte, b'\r' | b'\n'))?;
    let line_end = head[begin..].iter().position(|byte| *byte == b'\n').map_or(head.len(), |length| begin + length);
    let start = begin + head[begin..line_end].iter().position(|byte| *byte == b' ')? + 1;
    let end = start + head[start..line_end].iter().rposition(|byte| *byte == b' ')?;
    Some((start, end))
}

/// How much the head measures, in bytes.
pub(super) fn head_size(session: &Session) -> usize {
    match session.as_http1() {
        Some(http1) => http1.get_headers_raw_bytes().len(),
        None => {
            let head = session.req_header();
            let headers = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + PER_HEADER);
            head.raw_path().len() + headers.sum::<usize>()
        }
    }
}

/// How long the body says it is.
pub(super) fn content_length(session: &Session) -> Option<u64> {
    session.get_header(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// `:authority`, which only HTTP/2 has.
pub(super) fn authority(session: &Session) -> Option<&[u8]> {
    let head = session.req_header();
    (head.version == Version::HTTP_2)
        .then(|| head.uri.authority().map(|authority| authority.as_str().as_bytes()))
        .flatten()
}

/// Who connected to us.
pub(super) fn peer(session: &Session) -> IpAddr {
    session
        .client_addr()
        .and_then(|address| address.as_inet())
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip())
}

/// How the client spoke to us.
pub(super) fn scheme(session: &Session) -> Scheme {
    let is_encrypted = session.digest().is_some_and(|digest| digest.ssl_digest.is_some());
    if is_encrypted { Scheme::Https } else { Scheme::Http }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_is_read_as_it_came() {
        for (head, target) in [
            (&b"GET /a?b#c HTTP/1.1\r\nhost: x\r\n\r\n"[..], &b"/a?b#c"[..]),
            (b"\r\n\r\nGET http://x/a HTTP/1.1\n\n", b"http://x/a"),
            (b"GET /a b HTTP/1.0\r\n\r\n", b"/a b"),
            (b"OPTIONS * HTTP/1.1\r\n\r\n", b"*"),
            (b"GET  HTTP/1.1\r\n\r\n", b""),
        ] {
            let (start, end) = target_range(head).unwrap();
            assert_eq!(&head[start..end], target);
        }
        for head in [&b""[..], b"\r\n", b"GET\r\n\r\n", b"GET /\r\n\r\n"] {
            assert!(target_range(head).is_none_or(|(start, end)| start <= end));
        }
    }
}
