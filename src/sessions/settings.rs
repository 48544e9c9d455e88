//! What operators decide about sessions: where Kratos is, and how long its word is good.

use std::time::Duration;

use url::Url;

use crate::sessions::whoami::ClientError;

/// Settings of the session look-up and its cache.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// Kratos' public API, without a path.
    pub kratos: Url,
    /// PEM certificates of a private authority that vouches for an https Kratos, instead of the system's.
    pub authority: Option<Box<[u8]>>,
    /// The template by which Kratos makes a signed token of a session. Default: it is not asked for one.
    pub tokenize_as: Option<String>,
    /// How long one whoami call may take, and how long a first look-up waits for its turn. Default 2 s.
    pub timeout: Duration,
    /// How long an answer is good; the longest a revocation made behind our back can go unnoticed. Default 30 s.
    pub ttl: Duration,
    /// From this age on an answer is served and refreshed in the background. At or above `ttl`: never. Default 2/3 of it.
    pub refresh_after: Duration,
    /// How long past `ttl` a known session outlives an outage of Kratos. Default: not at all.
    pub stale_if_error: Duration,
    /// How many sessions are kept. Default 100,000.
    pub max_entries: u64,
}

impl Settings {
    /// The defaults, for a Kratos at `kratos`.
    pub fn new(kratos: Url) -> Self {
        let ttl = Duration::from_secs(30);
        Self {
            kratos,
            authority: None,
            tokenize_as: None,
            timeout: Duration::from_secs(2),
            ttl,
            refresh_after: ttl * 2 / 3,
            stale_if_error: Duration::ZERO,
            max_entries: 100_000,
        }
    }

    /// A client for Kratos. It carries other people's credentials, so it follows no redirect and keeps no cookie.
    ///
    /// # Errors
    /// Where the authority's certificates cannot be read.
    pub fn client(&self) -> Result<reqwest::Client, ClientError> {
        let mut client = reqwest::Client::builder()
            // A redirect is no answer about a session.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(self.timeout)
            // Kratos itself closes idle connections after 120 s.
            .pool_idle_timeout(Duration::from_secs(60))
            .user_agent(concat!("portcullis/", env!("CARGO_PKG_VERSION")));
        if let Some(authority) = &self.authority {
            client = client.tls_certs_only(reqwest::Certificate::from_pem_bundle(authority)?);
        }
        Ok(client.build()?)
    }
}
