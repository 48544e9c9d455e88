//! A TCP listener whose connections can be cut, so that tests see a peer that vanishes.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;

use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;
use axum::serve::Listener;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;
use tokio::net::TcpListener;
use tokio::net::TcpStream;

pub(super) struct Severable {
    pub(super) inner: TcpListener,
    /// While true, every connection ends at its next byte.
    pub(super) cut: Arc<AtomicBool>,
}

pub(super) struct SeverableStream {
    inner: TcpStream,
    cut: Arc<AtomicBool>,
}

/// The other end's address.
#[derive(Clone, Copy)]
pub(super) struct Peer(pub(super) SocketAddr);

impl Listener for Severable {
    type Io = SeverableStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (SeverableStream, SocketAddr) {
        let (inner, peer) = Listener::accept(&mut self.inner).await;
        let _ = inner.set_nodelay(true);
        (SeverableStream { inner, cut: Arc::clone(&self.cut) }, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

impl Connected<IncomingStream<'_, Severable>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Severable>) -> Self {
        Self(*stream.remote_addr())
    }
}

impl SeverableStream {
    fn check(&self) -> io::Result<()> {
        if self.cut.load(Ordering::SeqCst) { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) }
    }
}

impl AsyncRead for SeverableStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.inner).poll_read(context, buffer);
        // Checked after the read: an idle connection is cut when the next request arrives on it.
        if read.is_ready() {
            self.check()?;
        }
        read
    }
}

impl AsyncWrite for SeverableStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
