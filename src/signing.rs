//! Signs what the gateway says of a caller, so that services need not trust the network in between.

pub mod keys;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use http::HeaderValue;
use jsonwebtoken::Header;
use moka::sync::Cache;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::decision::id_token::Assertion;
use crate::hashing::KeyedHash;
use crate::signing::keys::SigningKey;

/// The most that all tokens which are kept may weigh, in bytes, about. Signing with RSA takes a millisecond.
const CAPACITY: u64 = 64 * 1024 * 1024;
/// What a token weighs besides its text.
const OVERHEAD: usize = 256;
/// No token is good for less.
const SHORTEST: Duration = Duration::from_secs(1);
/// The longest that one is kept, whatever its own life.
const LONGEST_KEPT: Duration = Duration::from_secs(3600);

/// Whose name the gateway signs in, and with what.
#[derive(Debug, Default)]
pub struct Settings {
    /// The claim `iss`.
    pub issuer: String,
    /// The first signs, all are published.
    pub keys: Vec<SigningKey>,
}

/// Signs tokens, and keeps them for as long as they are more than half good. A clone is the same.
#[derive(Clone)]
pub struct Signer {
    shared: Arc<Shared>,
}

struct Shared {
    settings: ArcSwap<Settings>,
    tokens: Cache<u128, (HeaderValue, SystemTime)>,
    hash: KeyedHash,
}

impl Signer {
    pub fn new(settings: Settings) -> Self {
        let shared = Shared {
            settings: ArcSwap::from_pointee(settings),
            tokens: Cache::builder().max_capacity(CAPACITY).weigher(weight).time_to_live(LONGEST_KEPT).build(),
            hash: KeyedHash::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Takes other keys or another name, from the next token on.
    pub fn reconfigure(&self, settings: Settings) {
        self.shared.settings.store(Arc::new(settings));
    }

    /// The public halves of all keys.
    pub fn published(&self) -> Value {
        keys::published(&self.shared.settings.load().keys)
    }

    /// The header value that carries a token which says all this, at `now`; nothing where there is no key.
    pub fn sign(&self, assertion: &Assertion, now: SystemTime) -> Option<HeaderValue> {
        let settings = self.shared.settings.load();
        let key = settings.keys.first()?;
        let print = self.print(&settings.issuer, key, assertion);
        if let Some((token, renew_at)) = self.shared.tokens.get(&print)
            && now < renew_at
        {
            return Some(token);
        }
        // A token says nothing of a caller beyond the session that it speaks of. One that ended just now, by clocks that
        // differ, is good for this request.
        let life = assertion.ends_at.map_or(Duration::MAX, |end| end.duration_since(now).unwrap_or_default());
        let life = life.max(SHORTEST).min(assertion.ttl);
        let mut header = Header::new(key.algorithm());
        header.kid = Some(key.id().to_owned());
        let token = jsonwebtoken::encode(&header, &claims(&settings.issuer, assertion, now, life), key.private())
            .inspect_err(|error| tracing::error!(%error, "A token cannot be signed"))
            .ok()?;
        let mut value = HeaderValue::try_from(format!("{}{token}", assertion.prefix)).ok()?;
        value.set_sensitive(true);
        self.shared.tokens.insert(print, (value.clone(), now + life / 2));
        Some(value)
    }

    /// All that the token says and who signs it.
    fn print(&self, issuer: &str, key: &SigningKey, assertion: &Assertion) -> u128 {
        self.shared.hash.of(|parts| {
            for text in [issuer, key.id(), &assertion.subject, &assertion.claims, assertion.prefix] {
                parts.add(text);
            }
            for audience in &*assertion.audience {
                parts.add(audience.as_bytes());
            }
            parts.add(assertion.ttl.as_millis().to_be_bytes());
            let end = assertion.ends_at.and_then(|end| end.duration_since(SystemTime::UNIX_EPOCH).ok());
            parts.add_number(end.unwrap_or_default().as_secs());
        })
    }
}

fn weight(_: &u128, (token, _): &(HeaderValue, SystemTime)) -> u32 {
    u32::try_from(token.len() + OVERHEAD).unwrap_or(u32::MAX)
}

/// The claims: those of the rule, then ours, which no rule can overrule.
fn claims(issuer: &str, assertion: &Assertion, now: SystemTime, life: Duration) -> Map<String, Value> {
    let mut claims = match serde_json::from_str(&assertion.claims) {
        Ok(Value::Object(claims)) => claims,
        Ok(_) | Err(_) => Map::new(),
    };
    let seconds = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let audience = match &*assertion.audience {
        [] => None,
        [one] => Some(json!(one)),
        several => Some(json!(several)),
    };
    claims.extend(audience.map(|audience| ("aud".to_owned(), audience)));
    claims.insert("iss".to_owned(), json!(issuer));
    claims.insert("sub".to_owned(), json!(assertion.subject));
    claims.insert("iat".to_owned(), json!(seconds(now)));
    claims.insert("nbf".to_owned(), json!(seconds(now)));
    claims.insert("exp".to_owned(), json!(seconds(now + life)));
    claims.insert("jti".to_owned(), json!(Uuid::new_v4()));
    claims
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::jwk::Jwk;
    use jsonwebtoken::{DecodingKey, Validation};

    use super::*;
    use crate::signing::keys::{KeyKind, generate};

    fn settings(kinds: &[KeyKind]) -> Settings {
        let key = |kind: &KeyKind| SigningKey::parse(generate(*kind).unwrap().as_bytes()).unwrap();
        Settings { issuer: "https://gateway.test".to_owned(), keys: kinds.iter().map(key).collect() }
    }

    fn assertion() -> Assertion {
        Assertion {
            subject: "ann".to_owned(),
            audience: vec!["orders".into()].into(),
            claims: r#"{"email":"ann@example.com","iss":"mallory"}"#.to_owned(),
            ttl: Duration::from_secs(300),
            ends_at: None,
            prefix: "Bearer ",
        }
    }

    /// What a service reads that fetched the keys.
    fn read(signer: &Signer, value: &HeaderValue) -> Map<String, Value> {
        let token = value.to_str().unwrap().strip_prefix("Bearer ").unwrap();
        let header = jsonwebtoken::decode_header(token).unwrap();
        let published = signer.published();
        let key = published["keys"].as_array().unwrap().iter().find(|key| key["kid"] == header.kid.as_deref().unwrap());
        let key: Jwk = serde_json::from_value(key.unwrap().clone()).unwrap();
        let mut validation = Validation::new(header.alg);
        validation.set_audience(&["orders"]);
        validation.set_issuer(&["https://gateway.test"]);
        let key = DecodingKey::from_jwk(&key).unwrap();
        jsonwebtoken::decode::<Map<String, Value>>(token, &key, &validation).unwrap().claims
    }

    #[test]
    fn every_algorithm_signs_what_the_published_keys_verify() {
        for kind in [KeyKind::EdDsa, KeyKind::Es256, KeyKind::Rs256] {
            let signer = Signer::new(settings(&[kind]));
            let claims = read(&signer, &signer.sign(&assertion(), SystemTime::now()).unwrap());
            assert_eq!((&claims["sub"], &claims["email"]), (&json!("ann"), &json!("ann@example.com")));
            assert_eq!(claims["iss"], "https://gateway.test", "no rule speaks in another name");
            assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 300);
            assert!(claims["jti"].as_str().unwrap().len() == 36);
        }
    }

    #[test]
    fn a_token_is_handed_on_again_while_it_is_more_than_half_good() {
        let signer = Signer::new(settings(&[KeyKind::Es256]));
        let now = SystemTime::now();
        let first = signer.sign(&assertion(), now).unwrap();
        assert_eq!(signer.sign(&assertion(), now + Duration::from_secs(149)).unwrap(), first);
        assert_ne!(signer.sign(&assertion(), now + Duration::from_secs(150)).unwrap(), first);
        for other in [
            Assertion { subject: "bob".to_owned(), ..assertion() },
            Assertion { claims: "{}".to_owned(), ..assertion() },
            Assertion { audience: vec![].into(), ..assertion() },
            Assertion { ttl: Duration::from_secs(301), ..assertion() },
            Assertion { ends_at: Some(now + Duration::from_secs(900)), ..assertion() },
        ] {
            assert_ne!(signer.sign(&other, now).unwrap(), first, "{other:?}");
        }
    }

    #[test]
    fn no_token_outlives_the_session_that_it_speaks_of() {
        let signer = Signer::new(settings(&[KeyKind::Es256]));
        let now = SystemTime::now();
        let short = Assertion { ends_at: Some(now + Duration::from_secs(60)), ..assertion() };
        let claims = read(&signer, &signer.sign(&short, now).unwrap());
        assert!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap() <= 60);
        // Clocks differ a little, so a caller may have ended just now: that is no reason for a long life.
        let ended = Assertion { ends_at: Some(now - Duration::from_secs(3)), ..assertion() };
        let claims = read(&signer, &signer.sign(&ended, now).unwrap());
        assert!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap() <= 1);
    }

    #[test]
    fn a_new_key_signs_at_once_and_the_old_one_stays_published() {
        let (mut old, new) = (settings(&[KeyKind::Es256]), settings(&[KeyKind::EdDsa]));
        let signer = Signer::new(Settings { keys: vec![], ..settings(&[]) });
        assert!(signer.sign(&assertion(), SystemTime::now()).is_none(), "without a key nothing is signed");
        let pem = generate(KeyKind::Es256).unwrap();
        old.keys = vec![SigningKey::parse(pem.as_bytes()).unwrap()];
        signer.reconfigure(old);
        let before = signer.sign(&assertion(), SystemTime::now()).unwrap();
        let keys = new.keys.into_iter().chain([SigningKey::parse(pem.as_bytes()).unwrap()]).collect();
        signer.reconfigure(Settings { issuer: new.issuer, keys });
        let after = signer.sign(&assertion(), SystemTime::now()).unwrap();
        assert_ne!(before, after);
        assert_eq!(read(&signer, &before)["sub"], "ann");
        assert_eq!(read(&signer, &after)["sub"], "ann");
    }
}
