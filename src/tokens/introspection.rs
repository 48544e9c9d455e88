//! Opaque tokens: whoever issued one is asked about it (RFC 7662), and only a yes is kept.

use std::hash::Hasher as _;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::StatusCode;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use moka::sync::Cache;
use serde_json::Value;
use siphasher::sip128::{Hasher128 as _, SipHasher13};
use url::form_urlencoded;

use crate::decision::authenticate::Introspection;
use crate::decision::authenticate::Verification;
use crate::decision::token::Token;
use crate::services::client::send;
use crate::services::flights::Flights;
use crate::services::horizon::Horizon;
use crate::tokens::claims::{self, Conditions};
use crate::tokens::document;
use crate::tokens::jwt::LONGEST;
use crate::tokens::{Checked, Known};

/// The most that all tokens together may weigh, in bytes of the answers about them, about.
const CAPACITY: u64 = 64 * 1024 * 1024;
/// What a byte of an answer weighs once it is read, and what an answer weighs besides.
const UNFOLDED: u32 = 8;
const OVERHEAD: u32 = 512;
/// No answer is good for longer, whatever its `ttl`.
const LONGEST_KEPT: Duration = Duration::from_secs(24 * 3600);

/// So many answers with a no are remembered, for as long as an older question may still be on its way.
const MOST_REFUSED: u64 = 10_000;
const LONGEST_QUESTION: Duration = Duration::from_secs(300);

/// Hash of a token and of the settings that it was judged by.
type Key = u128;

/// What was asked about tokens, and is being asked.
pub(crate) struct Introspections {
    good: Cache<Key, Kept>,
    /// When it was last answered with a no: no yes is kept to what was asked before.
    refused: Cache<Key, Instant>,
    flights: Arc<Flights<Key, Result<Kept, Refused>>>,
    hash_key: (u64, u64),
    horizon: Horizon,
}

#[derive(Clone)]
struct Kept {
    token: Arc<Token>,
    weight: u32,
    asked_at: Instant,
}

#[derive(Clone)]
enum Refused {
    Invalid(String),
    Unknown(String),
}

impl Default for Introspections {
    fn default() -> Self {
        Self {
            good: Cache::builder()
                .max_capacity(CAPACITY)
                .weigher(|_, kept: &Kept| kept.weight)
                .time_to_live(LONGEST_KEPT)
                .build(),
            refused: Cache::builder().max_capacity(MOST_REFUSED).time_to_live(LONGEST_QUESTION).build(),
            flights: Arc::default(),
            hash_key: (rand::random(), rand::random()),
            horizon: Horizon::default(),
        }
    }
}

impl Introspections {
    pub(crate) async fn check(
        &self,
        known: &Arc<Known>,
        settings: &Introspection,
        token: &[u8],
        within: Option<Duration>,
    ) -> Checked {
        if token.len() > LONGEST {
            return Checked::Invalid("it is too long".to_owned());
        }
        let key = self.key(known.generation, token);
        if let Some(kept) = self.good.get(&key) {
            let age = kept.asked_at.elapsed();
            let is_over = kept.token.expires_at.is_some_and(|end| end <= SystemTime::now());
            if age < settings.ttl
                && !self.horizon.hides(kept.asked_at)
                && within.is_none_or(|within| age < within)
                && !is_over
            {
                return Checked::Good(kept.token, age);
            }
        }
        let question = {
            let (known, token) = (Arc::clone(known), token.to_vec());
            let (good, refused) = (self.good.clone(), self.refused.clone());
            async move {
                let answer = ask(&known, &token).await;
                if let Err(Refused::Invalid(_)) = &answer {
                    refused.insert(key, Instant::now());
                    good.invalidate(&key);
                }
                answer
            }
        };
        // Whoever needs a new answer must not take one to a question that was asked before.
        let oldest = within.map_or(settings.ttl, |within| within.min(settings.ttl));
        let now = Instant::now();
        let shared = self.flights.share_since(key, now.checked_sub(oldest).unwrap_or(now), question).await;
        let answer = shared.unwrap_or_else(|| Err(Refused::Unknown("the question came to a bad end".to_owned())));
        match answer {
            Ok(kept) => {
                self.keep(key, &kept, settings.ttl);
                Checked::Good(kept.token, Duration::ZERO)
            }
            Err(Refused::Invalid(why)) => Checked::Invalid(why),
            Err(Refused::Unknown(cause)) => Checked::Unknown(cause),
        }
    }

    /// Keeps a yes, unless the answer to a later question is known.
    fn keep(&self, key: Key, kept: &Kept, ttl: Duration) {
        if ttl.is_zero() || self.good.get(&key).is_some_and(|newer| newer.asked_at > kept.asked_at) {
            return;
        }
        self.good.insert(key, kept.clone());
        // Looked at last: a no that is noted later takes the yes away itself.
        if self.refused.get(&key).is_some_and(|refused_at| refused_at > kept.asked_at) {
            self.good.invalidate(&key);
        }
    }

    /// All that was kept, and all that was asked until now.
    pub(crate) fn forget(&self) {
        self.horizon.forget();
        self.good.invalidate_all();
    }

    fn key(&self, generation: u64, token: &[u8]) -> Key {
        let mut hasher = SipHasher13::new_with_keys(self.hash_key.0, self.hash_key.1);
        hasher.write_u64(generation);
        hasher.write_u64(self.horizon.mark());
        hasher.write(token);
        hasher.finish128().as_u128()
    }
}

async fn ask(known: &Known, token: &[u8]) -> Result<Kept, Refused> {
    let unknown = |cause: String| Refused::Unknown(cause);
    let (Some(client), Verification::Introspection(settings)) = (&known.client, &known.issuer.verification) else {
        return Err(unknown("its certificates cannot be read".to_owned()));
    };
    let Ok(token) = std::str::from_utf8(token) else { return Err(Refused::Invalid("it is no text".to_owned())) };
    let form = form_urlencoded::Serializer::new(String::new())
        .append_pair("token", token)
        .append_pair("token_type_hint", "access_token")
        .finish();
    let mut request = client
        .post(settings.url.clone())
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(ACCEPT, "application/json")
        .body(form);
    if let Some(authorization) = &settings.authorization {
        request = request.header(AUTHORIZATION, authorization);
    }
    if !known.circuit.admits(Instant::now()) {
        return Err(unknown("it was away a moment ago".to_owned()));
    }
    let slot = tokio::time::timeout(settings.timeout, known.slots.acquire()).await;
    let Ok(Ok(_slot)) = slot else { return Err(unknown("too many questions are on their way to it".to_owned())) };
    let asked_at = Instant::now();
    let answer = send(request, settings.timeout).await.map_err(|cause| {
        known.circuit.failed(Instant::now());
        unknown(cause.to_string())
    })?;
    known.circuit.succeeded();
    if answer.status != StatusCode::OK {
        return Err(unknown(format!("introspection answers {}", answer.status)));
    }
    let claims = document::object(&answer.body)
        .ok_or_else(|| unknown("introspection answers no JSON object, or one that says something twice".to_owned()))?;
    match claims.get("active") {
        Some(Value::Bool(true)) => {}
        Some(Value::Bool(false)) => return Err(Refused::Invalid("its issuer says that it is not active".to_owned())),
        Some(_) | None => return Err(unknown("introspection does not say whether it is active".to_owned())),
    }
    // Issuers look up refresh tokens, too, and Hydra says which it was: those are for the issuer alone.
    match claims.get("token_use") {
        None | Some(Value::Null) => {}
        Some(Value::String(used_as)) if used_as.is_empty() || used_as == "access_token" => {}
        Some(_) => return Err(Refused::Invalid("it is no access token".to_owned())),
    }
    let conditions = Conditions {
        issuers: &settings.issuers,
        audience: &settings.audience,
        leeway: settings.leeway,
        must_end: false,
    };
    let invalid = |why: claims::Unfit| Refused::Invalid(why.to_string());
    claims::check(&claims, &conditions, SystemTime::now()).map_err(invalid)?;
    let token = claims::token(claims, &known.issuer.subject, known.issuer.subject_is_identity).map_err(invalid)?;
    let length = u32::try_from(answer.body.len()).unwrap_or(u32::MAX);
    let weight = length.saturating_mul(UNFOLDED).saturating_add(OVERHEAD);
    Ok(Kept { token: Arc::new(token), weight, asked_at })
}
