//! The published keys of an issuer: fetched, kept for a while, and fetched again when they grow old or one is missing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::watch;
use url::Url;

use crate::decision::authenticate::KeySource;
use crate::services::client::send;
use crate::tokens::jwt::VerifyingKey;

/// The most keys of one document that are looked at.
pub(crate) const MAX_KEYS: usize = 100;
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
    tries: Mutex<Tries>,
}

#[derive(Default)]
struct Tries {
    last: Option<Fetch>,
    /// When it was last tried because a key was missing.
    missed_at: Option<Instant>,
}

/// A fetch on its way, or the last one that ended.
#[derive(Clone)]
struct Fetch {
    end: watch::Receiver<Option<End>>,
    /// The one before it had failed.
    was_down: bool,
}

#[derive(Clone, Copy)]
struct End {
    has_keys: bool,
    at: Instant,
}

impl Fetch {
    /// How it ended, once it has; nothing where whoever fetched died.
    async fn end(mut self) -> Option<End> {
        self.end.wait_for(Option::is_some).await.ok().and_then(|end| *end)
    }

    fn is_running(&self) -> bool {
        self.end.borrow().is_none() && self.end.has_changed().is_ok()
    }

    /// Whether the issuer is away, as far as is known: it has failed, or follows one that did and has not ended.
    fn is_down(&self) -> bool {
        self.end.borrow().map_or(self.was_down, |end| !end.has_keys)
    }

    /// When it ended without keys.
    fn failed_at(&self) -> Option<Instant> {
        self.end.borrow().filter(|end| !end.has_keys).map(|end| end.at)
    }
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

    /// The keys, young enough where they can be had; nothing where there are none that may still be used. A request waits
    /// for them only where there are none, where they are too old and nobody has tried in vain to renew them, or where it
    /// needs newer ones.
    pub(crate) async fn keys(
        self: &Arc<Self>,
        client: &reqwest::Client,
        need: Need,
        refresh_after: Duration,
        timeout: Duration,
    ) -> Option<Arc<Keys>> {
        let known = self.keys.load_full();
        let From::Url(url) = &self.from else { return known };
        let is_usable = |keys: &Keys| keys.asked_at.elapsed() < refresh_after + MAX_STALE;
        let fetch = || self.fetch(client, url, need, timeout);
        if need == Need::Newer {
            let has_keys = fetch().end().await.is_some_and(|end| end.has_keys);
            // Who needs newer keys than could be fetched has none.
            return self.keys.load_full().filter(|keys| has_keys && is_usable(keys));
        }
        if let Some(keys) = known.filter(|keys| is_usable(keys)) {
            let age = keys.asked_at.elapsed();
            if age < refresh_after * 4 / 5 {
                return Some(keys);
            }
            let is_down = || self.tries.lock().last.as_ref().is_some_and(Fetch::is_down);
            if age < refresh_after || is_down() {
                fetch();
                return Some(keys);
            }
        }
        fetch().end().await;
        self.keys.load_full().filter(|keys| is_usable(keys))
    }

    /// Fetches, unless somebody does already or did a moment ago. In a task of its own: that the request which began it is
    /// gone strands nobody, and keeps nobody from finding a new key.
    fn fetch(self: &Arc<Self>, client: &reqwest::Client, url: &Url, need: Need, timeout: Duration) -> Fetch {
        let mut tries = self.tries.lock();
        let is_recent = |at: Option<Instant>, pause| at.is_some_and(|at| at.elapsed() < pause);
        if let Some(last) = &tries.last
            && (last.is_running()
                || is_recent(last.failed_at(), PAUSE)
                || (need == Need::Newer && last.failed_at().is_none() && is_recent(tries.missed_at, MISS_PAUSE)))
        {
            return last.clone();
        }
        if need == Need::Newer {
            tries.missed_at = Some(Instant::now());
        }
        let was_down = tries.last.as_ref().is_some_and(Fetch::is_down);
        let (sender, end) = watch::channel(None);
        let fetch = Fetch { end, was_down };
        tries.last = Some(fetch.clone());
        let (source, client, url) = (Arc::clone(self), client.clone(), url.clone());
        tokio::spawn(async move {
            let fetched = fetched(&client, &url, timeout).await;
            if let Err(cause) = &fetched {
                tracing::warn!(url = url.as_str(), %cause, "Keys of an issuer cannot be fetched");
            }
            let has_keys = fetched.is_ok();
            if let Ok(keys) = fetched {
                source.keys.store(Some(Arc::new(keys)));
            }
            sender.send_replace(Some(End { has_keys, at: Instant::now() }));
        });
        fetch
    }
}

async fn fetched(client: &reqwest::Client, url: &Url, timeout: Duration) -> Result<Keys, String> {
    let asked_at = Instant::now();
    let answer = send(client.get(url.clone()), timeout).await.map_err(|cause| cause.to_string())?;
    if answer.status != http::StatusCode::OK {
        return Err(format!("the answer is {}", answer.status));
    }
    parse(&answer.body, asked_at).ok_or_else(|| "the answer is no JWKS".to_owned())
}

/// How many keys a JWKS holds, of which kind.
pub(crate) struct Contents {
    pub(crate) all: usize,
    /// With which tokens can be checked.
    pub(crate) usable: usize,
    /// With which tokens can be signed, too.
    pub(crate) secret: usize,
}

impl Contents {
    /// Nothing where the document is no JWKS.
    pub(crate) fn of(document: &[u8]) -> Option<Self> {
        let Document { keys } = serde_json::from_slice(document).ok()?;
        let is_secret = |key: &&Value| ["d", "k"].iter().any(|part| key.get(part).is_some());
        Some(Self {
            all: keys.len(),
            secret: keys.iter().filter(is_secret).count(),
            usable: keys.into_iter().filter_map(usable).count(),
        })
    }
}

fn parse(document: &[u8], asked_at: Instant) -> Option<Keys> {
    let Document { keys } = serde_json::from_slice(document).ok()?;
    if keys.len() > MAX_KEYS {
        tracing::warn!(count = keys.len(), most = MAX_KEYS, "An issuer publishes more keys than are looked at");
    }
    let all = keys.into_iter().take(MAX_KEYS).filter_map(usable).collect();
    Some(Keys { all, asked_at })
}

/// A key, where it is of a kind that is known here: there may be others for others.
fn usable(key: Value) -> Option<VerifyingKey> {
    VerifyingKey::new(serde_json::from_value(key).ok()?)
}
