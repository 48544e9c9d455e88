//! Bounds how long the head of a request may take in total, for the engine bounds each read of it only, and counts what
//! never became a request.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream, ServerApp};
use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::H2Options;
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;
use tokio::time::{sleep, timeout};

use crate::proxy::Gateway;
use crate::proxy::first_line::{FirstLine, Watched};
use crate::proxy::settings::Settings;
use crate::telemetry::{ConnectionError, Metrics};

/// What a client with HTTP/2 prior knowledge says first.
const PREFACE_LENGTH: usize = 24;

tokio::task_local! {
    /// What is known of the request that this task, which is its connection's, waits for or handles.
    static FIRST_LINE: Arc<FirstLine>;
}

/// Says that the head was read in time. Called in the engine's first phase.
pub(super) fn head_was_read() {
    // Requests of HTTP/2 have tasks of their own, in which nobody waits for it.
    let _ = FIRST_LINE.try_with(|line| line.head_was_read());
}

/// Whether the engine shows another target than the client sent. Asked while the request is handled.
pub(super) fn target_was_rewritten() -> bool {
    FIRST_LINE.try_with(|line| line.was_rewritten()).unwrap_or(false)
}

/// What the listener hands connections to.
pub(super) struct Connections {
    requests: Arc<Requests>,
    /// HTTP/2 with prior knowledge is listened for.
    h2c: bool,
}

/// What connections hand requests to.
struct Requests {
    proxy: Arc<HttpProxy<Gateway>>,
    options: HttpServerOptions,
    metrics: Arc<Metrics>,
    head_timeout: Duration,
    idle_timeout: Duration,
}

impl Connections {
    pub(super) fn new(proxy: HttpProxy<Gateway>, metrics: Arc<Metrics>, settings: &Settings) -> Self {
        let mut options = HttpServerOptions::default();
        options.h2c = settings.h2c;
        options.h2_idle_timeout = Some(settings.idle_timeout);
        let requests = Requests {
            proxy: Arc::new(proxy),
            options,
            metrics,
            head_timeout: settings.header_timeout,
            idle_timeout: settings.idle_timeout,
        };
        Self { requests: Arc::new(requests), h2c: settings.h2c }
    }
}

#[async_trait]
impl ServerApp for Connections {
    async fn process_new(self: &Arc<Self>, mut stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        if self.h2c && stream.get_ssl_digest().is_none() {
            // The engine waits for the preface without end. Peeked at here first, it is there when the engine looks.
            let peeked = timeout(self.requests.head_timeout, stream.try_peek(&mut [0; PREFACE_LENGTH])).await;
            if peeked.is_err() {
                self.requests.metrics.connection_error(ConnectionError::TimedOut);
                return None;
            }
        }
        let line = Arc::new(FirstLine::default());
        let watched = Box::new(Watched::new(stream, Arc::clone(&line)));
        FIRST_LINE.scope(line, self.requests.process_new(watched, shutdown)).await
    }

    async fn cleanup(&self) {
        self.requests.http_cleanup().await;
    }
}

#[async_trait]
impl HttpServerApp for Requests {
    async fn process_new_http(
        self: &Arc<Self>,
        mut session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        if session.is_http2() {
            return self.proxy.process_new_http(session, shutdown).await;
        }
        let is_reused = session.take_connection_user_context().is_some();
        if !is_reused && session.get_keepalive().is_some() {
            session.set_keepalive(Some(whole_seconds(self.head_timeout)));
        }
        let limit = if is_reused { self.idle_timeout + self.head_timeout } else { self.head_timeout };
        // The connection's task has it from its start.
        let line = FIRST_LINE.with(Arc::clone);
        line.begin();
        let exchange = self.proxy.process_new_http(session, shutdown);
        tokio::pin!(exchange);
        let reused = tokio::select! {
            biased;
            reused = &mut exchange => reused,
            () = sleep(limit) => {
                if !line.is_head_read() {
                    self.metrics.connection_error(ConnectionError::TimedOut);
                    // Dropping the exchange closes the connection.
                    return None;
                }
                exchange.await
            }
        };
        if let Some(error) = line.failure() {
            self.metrics.connection_error(error);
        }
        reused
    }

    fn h2_options(&self) -> Option<H2Options> {
        self.proxy.h2_options()
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        Some(&self.options)
    }

    async fn http_cleanup(&self) {
        self.proxy.http_cleanup().await;
    }
}

/// The engine counts in seconds, and takes none for "for ever".
pub(super) fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs().max(1)
}
