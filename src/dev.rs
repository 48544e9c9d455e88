//! The embedded development identity server: speaks Kratos' public API over HTTP.
//!
//! It stands in for Ory Kratos where nobody wants to install one: in `portcullis dev`, and in tests, which misuse it
//! through its [`Switches`]. It is not for production and listens on loopback addresses only.
//!
//! Differences from a real Kratos: there is no WebAuthn (its script is served and says so), no social sign-in, no
//! admin API, no hooks but `session` and the verification mail after registration, and one identity schema. Settings
//! that needed a fresh login are shown again afterwards, not saved by themselves. A native
//! login or registration that asked for a session token exchange and has a `return_to` gets the second code in a
//! `redirect_browser_to` action; Kratos hands that code out in redirects of social sign-in only.

mod answer;
mod body;
mod changes;
mod credential;
mod demo;
mod flow;
mod identity;
mod lifecycle;
mod listener;
mod login;
mod logout;
mod mailbox;
mod node;
mod passwords;
mod recovery;
mod registration;
mod routes;
mod secret;
mod session;
mod sessions;
mod settings;
mod store;
mod switches;
#[cfg(test)]
mod tests;
mod text;
mod tokenizer;
mod totp;
mod verification;
mod visit;
mod world;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use url::Url;

pub use self::demo::ADMIN_ACCOUNT;
pub use self::demo::DEMO_ACCOUNT;
pub use self::demo::DemoAccount;
pub use self::demo::TOTP_ACCOUNT;
pub use self::passwords::Hashing;
pub use self::session::Aal;
pub use self::store::StoreError;
pub use self::switches::SignedIn;
pub use self::switches::Switches;

use self::listener::Peer;
use self::listener::Severable;
use self::world::World;

/// Which sessions whoami, the session list and settings accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RequiredAal {
    /// Any session.
    One,
    /// AAL2 from those who have a second factor; Kratos' default.
    #[default]
    HighestAvailable,
}

/// How the server is set up.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where to listen. Must be a loopback address; port 0 picks a free one.
    pub listen: SocketAddr,
    /// The address that browsers use, such as `http://127.0.0.1:4455/`. None: the server's own.
    pub base_url: Option<Url>,
    /// Where the pages live: `{ui_url}/login` and so on. None: `ui` under the base URL.
    pub ui_url: Option<Url>,
    /// Where browsers go after a flow without a `return_to`. None: the base URL.
    pub default_return_url: Option<Url>,
    /// What a `return_to` may start with, besides the base URL's `self-service`. Empty: the base URL.
    pub allowed_return_urls: Vec<Url>,
    /// A SQLite file that keeps accounts across restarts. None: in memory.
    pub data: Option<PathBuf>,
    /// Whether the [demo accounts](DEMO_ACCOUNT) exist.
    pub seed_demo_accounts: bool,
    /// Which sessions are strong enough.
    pub required_aal: RequiredAal,
    /// How long a session lives. Default: 24 hours.
    pub session_lifespan: Duration,
    /// How long a flow can be submitted. Default: one hour.
    pub flow_lifespan: Duration,
    /// How long a mailed code or link counts. Default: 15 minutes.
    pub code_lifespan: Duration,
    /// How old a login may be to change credentials. Default: one hour.
    pub privileged_session_max_age: Duration,
    /// What password hashes cost.
    pub hashing: Hashing,
    /// The names that `tokenize_as` accepts, each with the lifetime of its tokens. Default: `dev`, one minute.
    pub tokenizer_templates: Vec<(String, Duration)>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            base_url: None,
            ui_url: None,
            default_return_url: None,
            allowed_return_urls: Vec::new(),
            data: None,
            seed_demo_accounts: false,
            required_aal: RequiredAal::default(),
            session_lifespan: Duration::from_secs(24 * 60 * 60),
            flow_lifespan: Duration::from_secs(60 * 60),
            code_lifespan: Duration::from_secs(15 * 60),
            privileged_session_max_age: Duration::from_secs(60 * 60),
            hashing: Hashing::default(),
            tokenizer_templates: vec![("dev".to_owned(), Duration::from_secs(60))],
        }
    }
}

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Other machines must not reach it.
    #[error("the development identity server listens on loopback addresses only, and {0} is none")]
    NotLoopback(SocketAddr),
    /// The address is taken, or not ours.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, #[source] io::Error),
    /// The file of accounts.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The base URL cannot be built on.
    #[error("the base URL cannot be built on: {0}")]
    Url(#[source] url::ParseError),
    /// The system has no randomness.
    #[error("no key could be made")]
    Key,
}

/// A running server. Dropping it stops it, a moment later.
pub struct Server {
    address: SocketAddr,
    switches: Switches,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Server {
    /// Binds, loads and seeds accounts, and serves from a task of the current runtime.
    ///
    /// # Errors
    /// If the address is not a loopback address or taken, or the file of accounts cannot be used.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        if !options.listen.ip().is_loopback() {
            return Err(StartError::NotLoopback(options.listen));
        }
        let listener =
            TcpListener::bind(options.listen).await.map_err(|error| StartError::Listen(options.listen, error))?;
        let address = listener.local_addr().map_err(|error| StartError::Listen(options.listen, error))?;
        let own_url = Url::parse(&format!("http://{address}/")).map_err(StartError::Url)?;
        let world = Arc::new(World::new(&options, &own_url)?);
        if options.seed_demo_accounts {
            demo::seed(&world);
        }
        tracing::info!(%address, "development identity server listening, for this machine only; not for production");
        let severable = Severable { inner: listener, cut: Arc::clone(&world.behaviour.cut) };
        let service = routes::router(Arc::clone(&world)).into_make_service_with_connect_info::<Peer>();
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            let serving = axum::serve(severable, service).with_graceful_shutdown(async move {
                let _ = stopped.await;
            });
            if let Err(error) = serving.await {
                tracing::error!(%error, "development identity server stopped");
            }
        });
        Ok(Self { address, switches: Switches { world }, stop: Some(stop), task })
    }

    /// Where the server listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The server's own URL, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The switches for tests.
    pub fn switches(&self) -> &Switches {
        &self.switches
    }

    /// Takes no more requests, finishes those under way, and returns.
    pub async fn stop(mut self) {
        self.stop = None;
        self.switches.release();
        let _ = (&mut self.task).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // With `stop`, which goes next, the task ends by itself. What waits at the gate must not keep it.
        self.switches.release();
    }
}
