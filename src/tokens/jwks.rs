//! The published keys of an issuer: fetched, kept for a while, and fetched again when they grow old or one is missing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;
use url::Url;

use crate::decision::authenticate::KeySource;
use crate::services::client::send;
use crate::tokens::jwt::VerifyingKey;

/// The most keys of one document.
const MAX_KEYS: usize = 100;
/// How long keys outlive the time after which they should have been fetched anew.
const MAX_STALE: Duration = Duration::from_secs(3600);
/// How long nobody tries again after a fetch that failed.
const PAUSE: Duration = Duration::from_secs(1);
/// How long nobody looks again for a key that was missing: the next id may be made up.
const MISS_PAUSE: Duration = Duration::from_secs(5);

/// One place where keys are published.
pub(crate) struct Source {
    from: From,
    keys: ArcSwapOption<Keys>,
    /// Who holds it is fetching.
    tries: Mutex<Tries>,
}

#[derive(Default)]
struct Tries {
    /// When it was last tried without success.
    failed_at: Option<Instant>,
    /// When it was last tried because a key was missing.
    missed_at: Option<Instant>,
}

enum From {
    Url(Url),
    /// They were written into a file, and do not change.
    File,
}

/// Keys, and when they were asked for.
pub(crate) struct Keys {
    pub(crate) all: Vec<VerifyingKey>,
    asked_at: Instant,
}

/// How old keys may be for the one who asks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Need {
    Usual,
    /// One was missing.
    Newer,
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

impl Source {
    pub(crate) fn new(source: &KeySource) -> Self {
        let tries = Mutex::default();
        match source {
            KeySource::Url(url) => Self { from: From::Url(url.clone()), keys: ArcSwapOption::empty(), tries },
            KeySource::File(document) => {
                let keys = parse(document, Instant::now()).map(Arc::new);
                Self { from: From::File, keys: ArcSwapOption::new(keys), tries }
            }
        }
    }

    /// The keys, young enough where they can be had; nothing where there are none that may still be used.
    pub(crate) async fn keys(
        &self,
        client: &reqwest::Client,
        need: Need,
        refresh_after: Duration,
        timeout: Duration,
    ) -> Option<Arc<Keys>> {
        let known = self.keys.load_full();
        let From::Url(url) = &self.from else { return known };
        let began = Instant::now();
        let is_young = |keys: &Keys| need == Need::Usual && keys.asked_at.elapsed() < refresh_after;
        if known.as_deref().is_some_and(is_young) {
            return known;
        }
        // Whoever comes meanwhile waits here, and finds what the first one brought.
        let mut tries = self.tries.lock().await;
        let is_enough = self.keys.load().as_deref().is_some_and(|keys| is_young(keys) || keys.asked_at >= began);
        let is_over = |at: Option<Instant>, pause| at.is_none_or(|at| at.elapsed() >= pause);
        let may_look = need == Need::Usual || is_over(tries.missed_at, MISS_PAUSE);
        if !is_enough && may_look && is_over(tries.failed_at, PAUSE) {
            if need == Need::Newer {
                tries.missed_at = Some(Instant::now());
            }
            tries.failed_at = match fetch(client, url, timeout).await {
                Ok(keys) => {
                    self.keys.store(Some(Arc::new(keys)));
                    None
                }
                Err(cause) => {
                    tracing::warn!(url = url.as_str(), %cause, "Keys of an issuer cannot be fetched");
                    Some(Instant::now())
                }
            };
        }
        // Who needs newer keys than could be fetched has none.
        let is_known = need == Need::Usual || tries.failed_at.is_none();
        drop(tries);
        if !is_known {
            return None;
        }
        self.keys.load_full().filter(|keys| keys.asked_at.elapsed() < refresh_after + MAX_STALE)
    }
}

async fn fetch(client: &reqwest::Client, url: &Url, timeout: Duration) -> Result<Keys, String> {
    let asked_at = Instant::now();
    let answer = send(client.get(url.clone()), timeout).await.map_err(|cause| cause.to_string())?;
    if answer.status != http::StatusCode::OK {
        return Err(format!("the answer is {}", answer.status));
    }
    parse(&answer.body, asked_at).ok_or_else(|| "the answer is no JWKS".to_owned())
}

/// Whether a document is a JWKS with at least one key that can be used.
pub(crate) fn is_jwks(document: &[u8]) -> bool {
    parse(document, Instant::now()).is_some_and(|keys| !keys.all.is_empty())
}

/// Keys of a kind that is not known here are passed over: there may be others for others.
fn parse(document: &[u8], asked_at: Instant) -> Option<Keys> {
    let Document { keys } = serde_json::from_slice(document).ok()?;
    let keys = keys.into_iter().take(MAX_KEYS);
    let all = keys.filter_map(|key| VerifyingKey::new(serde_json::from_value(key).ok()?)).collect();
    Some(Keys { all, asked_at })
}
