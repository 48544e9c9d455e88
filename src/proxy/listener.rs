//! The listener: bound before anything else starts, served on the one runtime that everything shares.

use std::fs::File;
use std::io;
use std::io::BufReader;
use std::net::SocketAddr;
use std::os::fd::IntoRawFd as _;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use pingora::listeners::tls::TlsSettings;
use pingora::listeners::{L4BufferSettings, ListenerConfig, TlsAccept};
use pingora::proxy::http_proxy;
use pingora::server::configuration::ServerConf;
use pingora::server::{Fds, ListenFds, ShutdownWatch};
use pingora::services::Service as _;
use pingora::services::listening::Service;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio::net::{TcpListener, TcpSocket};

use crate::proxy::Gateway;
use crate::proxy::app::Connections;
use crate::proxy::settings::Tls;

/// How many connections may wait to be accepted. The kernel's own bound applies too.
const BACKLOG: u32 = 4096;

/// How much is read from a client at once. The engine's default would cost 64 KiB for every idle connection.
const READ_BUFFER: usize = 16 * 1024;

/// How much is gathered before it is written to a client.
const WRITE_BUFFER: usize = 8 * 1024;

/// How many idle connections to services are kept, for each thread.
const IDLE_UPSTREAM_CONNECTIONS: usize = 256;

/// A listening socket.
pub(crate) struct Bound {
    listener: std::net::TcpListener,
    address: SocketAddr,
}

/// Why a certificate cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{}: {reason}", file.display())]
    File { file: PathBuf, reason: String },
    #[error("the certificate and its key: {0}")]
    Key(#[from] rustls::Error),
}

impl Bound {
    /// Listens on `address`. Must be called within a runtime.
    ///
    /// # Errors
    /// Where the address is taken or not ours: said at once, not after retries.
    pub(crate) fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // A restart need not wait for the connections of the one before.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG)?.into_std()?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Where it listens; with the port that was found where port 0 was asked for.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The listener for those who accept by themselves.
    ///
    /// # Errors
    /// Outside a runtime.
    pub(crate) fn into_tokio(self) -> io::Result<TcpListener> {
        TcpListener::from_std(self.listener)
    }
}

/// A certificate that is fit to be served.
#[derive(Clone)]
pub(crate) struct Certificate(Arc<SingleCertAndKey>);

impl Certificate {
    /// Reads a certificate chain and its key.
    ///
    /// # Errors
    /// Where a file cannot be read, holds nothing of the kind, or the key is not the certificate's.
    pub(crate) fn read(tls: &Tls) -> Result<Self, TlsError> {
        let fault = |file: &PathBuf, reason: String| TlsError::File { file: file.clone(), reason };
        let open =
            |file: &PathBuf| File::open(file).map(BufReader::new).map_err(|error| fault(file, error.to_string()));
        let chain = CertificateDer::pem_reader_iter(open(&tls.certificate)?)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| fault(&tls.certificate, error.to_string()))?;
        if chain.is_empty() {
            return Err(fault(&tls.certificate, "no certificate in it".to_owned()));
        }
        let key =
            PrivateKeyDer::from_pem_reader(open(&tls.key)?).map_err(|error| fault(&tls.key, error.to_string()))?;
        let pair = CertifiedKey::from_der(chain, key, &ring::default_provider())?;
        Ok(Self(Arc::new(SingleCertAndKey::from(pair))))
    }
}

/// Nothing is to be done between a handshake and the first request.
struct NoCallbacks;

#[async_trait]
impl TlsAccept for NoCallbacks {}

/// Accepts and serves connections until `shutdown` says true, then closes the listener and every idle connection.
/// Requests that have begun go on.
///
/// Runs on the runtime of its caller, not on one of the engine's: a connection lives and dies with the runtime that
/// opened it, and look-ups, health checks and requests share theirs.
///
/// # Errors
/// Where the engine takes no certificate at all.
pub(crate) async fn serve(
    gateway: Gateway,
    bound: Bound,
    certificate: Option<Certificate>,
    shutdown: ShutdownWatch,
) -> pingora::Result<()> {
    let conf = ServerConf {
        threads: gateway.settings.threads,
        upstream_keepalive_pool_size: IDLE_UPSTREAM_CONNECTIONS,
        ..ServerConf::default()
    };
    let (settings, metrics) = (gateway.settings.clone(), Arc::clone(&gateway.metrics));
    let connections = Connections::new(http_proxy(&Arc::new(conf), gateway), metrics, &settings);

    // The engine finds listeners by what they are called; the address is as good a name as any.
    let name = bound.address.to_string();
    let mut config = ListenerConfig::tcp(name.as_str()).l4_buffer(L4BufferSettings::new(READ_BUFFER, WRITE_BUFFER));
    if let Some(Certificate(resolver)) = certificate {
        let mut tls = TlsSettings::with_callbacks(Box::new(NoCallbacks))?;
        tls.set_cert_resolver(resolver);
        tls.enable_h2();
        config = config.tls(tls);
    }
    let mut service = Service::new("portcullis".to_owned(), connections);
    service.add_listener(config);
    let mut sockets = Fds::new();
    sockets.add(name, bound.listener.into_raw_fd());
    let sockets: ListenFds = Arc::new(parking_lot::Mutex::new(sockets));
    service.start_service(Some(sockets), shutdown, 1).await;
    Ok(())
}
