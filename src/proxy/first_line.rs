//! Watches the first line of each request as it comes in, for the engine rewrites some before anyone else sees them.
//!
//! A target with a raw space, `<`, `>`, `"` or control character is percent-encoded by the engine and parsed again. What
//! was matched would then not be what was sent, so such a line is noticed here and refused later, where requests are.

use std::io;
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::{SslDigest, TlsRef};
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream, TimingDigest,
    UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::telemetry::ConnectionError;

/// The most of a head that the engine reads.
const LONGEST_HEAD: usize = 1_048_575;

/// Nothing of the line has come but the line ends that may precede it.
const AWAITED: u8 = 0;
/// Within the line, before its first space; so many spaces later, so much greater.
const BEGUN: u8 = 1;
/// A target and a version were each preceded by their space: another is one too many.
const LAST_SPACE: u8 = BEGUN + 2;
/// A carriage return came; only the end of the line may follow.
const RETURNED: u8 = 4;
/// The line is over and was one that the engine takes as it came, or not at all.
const PLAIN: u8 = 5;
/// The line has something in it that the engine would rewrite.
const ODD: u8 = 6;

/// What is known of the request that a connection is about to bring, or is bringing.
///
/// One task reads a connection of HTTP/1 and handles its requests, so nothing here orders anything.
#[derive(Debug, Default)]
pub(super) struct FirstLine {
    state: AtomicU8,
    /// Bytes that came since the request was awaited.
    received: AtomicUsize,
    /// No more will come.
    is_closed: AtomicBool,
    is_head_read: AtomicBool,
}

impl FirstLine {
    /// Awaits a request, the first or the next.
    pub(super) fn begin(&self) {
        self.state.store(AWAITED, Ordering::Relaxed);
        self.received.store(0, Ordering::Relaxed);
        self.is_head_read.store(false, Ordering::Relaxed);
    }

    /// Notes that the engine has parsed the head.
    pub(super) fn head_was_read(&self) {
        self.is_head_read.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_head_read(&self) -> bool {
        self.is_head_read.load(Ordering::Relaxed)
    }

    /// Whether the target that the engine shows is not the one that came.
    pub(super) fn was_rewritten(&self) -> bool {
        self.state.load(Ordering::Relaxed) == ODD
    }

    /// Why there was no request, where something came that did not become one.
    pub(super) fn failure(&self) -> Option<ConnectionError> {
        let received = self.received.load(Ordering::Relaxed);
        match (self.is_head_read(), received) {
            (true, _) | (false, 0) => None,
            (false, _) if self.is_closed.load(Ordering::Relaxed) => Some(ConnectionError::Closed),
            (false, received) if received > LONGEST_HEAD => Some(ConnectionError::HeadTooLarge),
            (false, _) => Some(ConnectionError::BadHead),
        }
    }

    fn see(&self, bytes: &[u8]) {
        if self.is_head_read() {
            return;
        }
        if bytes.is_empty() {
            self.is_closed.store(true, Ordering::Relaxed);
            return;
        }
        self.received.fetch_add(bytes.len(), Ordering::Relaxed);
        let mut state = self.state.load(Ordering::Relaxed);
        for byte in bytes {
            if state >= PLAIN {
                break;
            }
            state = after(state, *byte);
        }
        self.state.store(state, Ordering::Relaxed);
    }
}

fn after(state: u8, byte: u8) -> u8 {
    match (state, byte) {
        (AWAITED, b'\r' | b'\n') => AWAITED,
        (_, b'\n') => PLAIN,
        (RETURNED, _) => ODD,
        (_, b'\r') => RETURNED,
        (_, b'<' | b'>' | b'"' | 0x7f) | (LAST_SPACE, b' ') => ODD,
        (state, b' ') => state.max(BEGUN) + 1,
        (_, byte) if byte < b' ' => ODD,
        (state, _) => state.max(BEGUN),
    }
}

/// A connection whose first lines are watched. It is the connection itself in everything else.
#[derive(Debug)]
pub(super) struct Watched {
    stream: Stream,
    line: Arc<FirstLine>,
}

impl Watched {
    pub(super) fn new(stream: Stream, line: Arc<FirstLine>) -> Self {
        Self { stream, line }
    }
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buf))?;
        self.line.see(&buf.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[async_trait]
impl Shutdown for Watched {
    async fn shutdown(&mut self) {
        self.stream.shutdown().await;
    }
}

#[async_trait]
impl Peek for Watched {
    async fn try_peek(&mut self, buf: &mut [u8]) -> io::Result<bool> {
        self.stream.try_peek(buf).await
    }
}

impl UniqueID for Watched {
    fn id(&self) -> UniqueIDType {
        self.stream.id()
    }
}

impl Ssl for Watched {
    fn get_ssl(&self) -> Option<&TlsRef> {
        self.stream.get_ssl()
    }

    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.stream.get_ssl_digest()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.stream.selected_alpn_proto()
    }
}

impl GetTimingDigest for Watched {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.stream.get_timing_digest()
    }

    fn get_read_pending_time(&self) -> Duration {
        self.stream.get_read_pending_time()
    }

    fn get_write_pending_time(&self) -> Duration {
        self.stream.get_write_pending_time()
    }
}

impl GetProxyDigest for Watched {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.stream.get_proxy_digest()
    }

    fn set_proxy_digest(&mut self, digest: ProxyDigest) {
        self.stream.set_proxy_digest(digest);
    }
}

impl GetSocketDigest for Watched {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.stream.get_socket_digest()
    }

    fn set_socket_digest(&mut self, digest: SocketDigest) {
        self.stream.set_socket_digest(digest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_odd(line: &[u8]) -> bool {
        // Whole, and byte by byte as a slow client sends it: where it is cut must not matter.
        let (whole, cut) = (FirstLine::default(), FirstLine::default());
        whole.see(line);
        line.chunks(1).for_each(|byte| cut.see(byte));
        assert_eq!(whole.was_rewritten(), cut.was_rewritten(), "{}", line.escape_ascii());
        whole.was_rewritten()
    }

    #[test]
    fn lines_that_the_engine_would_rewrite_are_noticed() {
        for line in [
            &b"GET /a b HTTP/1.1\r\n"[..],
            b"GET /a HTTP/1.1 HTTP/1.1\r\n",
            b"GET  /a HTTP/1.1\r\n",
            b"\r\nGET /<a HTTP/1.1\r\n",
            b"GET /a> HTTP/1.1\n",
            b"GET /?q=\"a HTTP/1.1\r\n",
            b"GET /?q=\ta HTTP/1.1\r\n",
            b"GET /?q=\ra HTTP/1.1\r\n",
            b"GET /?q=\x00 HTTP/1.1\r\n",
            b"GET /?q=\x7f HTTP/1.1\r\n",
        ] {
            assert!(is_odd(line), "{}", line.escape_ascii());
        }
    }

    #[test]
    fn ordinary_lines_and_whatever_follows_them_are_let_be() {
        for line in [
            &b"GET /a HTTP/1.1\r\nuser-agent: a b c \"d\" <e>\r\n\r\n"[..],
            b"GET /a HTTP/1.1\nx: a b c \"d\"\n\n",
            b"\r\n\r\nPOST /a%20b?c='d' HTTP/1.0\r\n\r\n<body one two three>",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00",
        ] {
            assert!(!is_odd(line), "{}", line.escape_ascii());
        }
    }

    #[test]
    fn each_request_of_a_connection_is_judged_by_its_own_line() {
        let line = FirstLine::default();
        line.see(b"POST /a HTTP/1.1\r\n\r\n");
        line.head_was_read();
        line.see(b"a b c d \"body\"\n");
        assert!(!line.was_rewritten());
        line.begin();
        line.see(b"GET /a b HTTP/1.1\r\n");
        assert!(line.was_rewritten());
        line.begin();
        assert!(!line.was_rewritten());
    }

    #[test]
    fn what_came_and_became_no_request_is_told_apart() {
        let told = |parts: &[&[u8]]| {
            let line = FirstLine::default();
            parts.iter().for_each(|part| line.see(part));
            line.failure()
        };
        assert_eq!(told(&[]), None);
        assert_eq!(told(&[b""]), None, "a connection that is closed unused is no fault");
        assert_eq!(told(&[b"GET / HTTP/1.1\r\nhost : x\r\n\r\n"]), Some(ConnectionError::BadHead));
        assert_eq!(told(&[b"GET / HT", b""]), Some(ConnectionError::Closed));
        assert_eq!(told(&[&[b'a'; LONGEST_HEAD], b"bc"]), Some(ConnectionError::HeadTooLarge));
        let line = FirstLine::default();
        line.see(b"GET / HTTP/1.1\r\n\r\n");
        line.head_was_read();
        assert_eq!(line.failure(), None);
    }
}
