//! Answers that let pass, for as long as their service's `ttl` says.

use std::hash::Hasher as _;
use std::time::{Duration, Instant};

use moka::sync::Cache as Moka;
use siphasher::sip128::{Hasher128 as _, SipHasher13};

use crate::decision::call::{Question, Said};
use crate::services::horizon::Horizon;

/// The most that all answers together may weigh, in bytes, about.
const CAPACITY: u64 = 64 * 1024 * 1024;
/// What a byte of a body weighs once it is read, and what an answer weighs besides.
const UNFOLDED: usize = 8;
const OVERHEAD: usize = 1024;
/// No answer is good for longer, whatever its `ttl`.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Hash of everything that decides about an answer.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Key(u128);

#[derive(Clone)]
struct Kept {
    said: Said,
    weight: u32,
    asked_at: Instant,
}

pub(crate) struct Cache {
    answers: Moka<Key, Kept>,
    hash_key: (u64, u64),
    horizon: Horizon,
}

impl Cache {
    pub(crate) fn new() -> Self {
        let answers =
            Moka::builder().max_capacity(CAPACITY).weigher(|_, kept: &Kept| kept.weight).time_to_live(LONGEST);
        Self { answers: answers.build(), hash_key: (rand::random(), rand::random()), horizon: Horizon::default() }
    }

    /// Each part goes in with its length, so that no two questions read alike.
    pub(crate) fn key(&self, question: &Question, generation: u64) -> Key {
        let mut hasher = SipHasher13::new_with_keys(self.hash_key.0, self.hash_key.1);
        let mut part = |bytes: &[u8]| {
            hasher.write_u64(bytes.len() as u64);
            hasher.write(bytes);
        };
        part(question.service.name.as_bytes());
        part(&generation.to_be_bytes());
        part(&self.horizon.mark().to_be_bytes());
        part(question.method.as_str().as_bytes());
        part(question.url.as_bytes());
        part(question.body.as_deref().unwrap_or_default().as_bytes());
        part(question.caller.as_deref().unwrap_or_default().as_bytes());
        for (name, value) in &question.headers {
            part(name.as_str().as_bytes());
            part(value.as_bytes());
        }
        Key(hasher.finish128().as_u128())
    }

    /// The answer of `key` if it is younger than all of `bounds`, with its age.
    pub(crate) fn get(&self, key: Key, ttl: Duration, within: Option<Duration>) -> Option<Said> {
        let Kept { mut said, asked_at, .. } = self.answers.get(&key)?;
        said.age = asked_at.elapsed();
        (!self.horizon.hides(asked_at) && said.age < ttl && within.is_none_or(|within| said.age < within))
            .then_some(said)
    }

    /// All that was kept, and all that was asked until now.
    pub(crate) fn forget(&self) {
        self.horizon.forget();
        self.answers.invalidate_all();
    }

    pub(crate) fn keep(&self, key: Key, said: Said, asked_at: Instant) {
        let headers = said.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum::<usize>();
        let weight = u32::try_from(said.length * UNFOLDED + headers + OVERHEAD).unwrap_or(u32::MAX);
        self.answers.insert(key, Kept { said, weight, asked_at });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use cel::Value;
    use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

    use super::*;
    use crate::decision::call::Service;

    fn question() -> Question {
        let service = Service {
            name: "keto".into(),
            timeout: Duration::from_secs(1),
            retries: 0,
            ttl: Duration::from_secs(10),
            authorization: None,
            authority: None,
        };
        Question {
            service: Arc::new(service),
            method: Method::POST,
            url: "http://keto/check".to_owned(),
            headers: vec![(HeaderName::from_static("x-a"), HeaderValue::from_static("b"))],
            body: Some("{}".to_owned()),
            caller: None,
        }
    }

    fn said(asked_at: Instant) -> Said {
        Said {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: Value::Null,
            length: 0,
            age: Duration::ZERO,
            asked_at,
        }
    }

    #[test]
    fn everything_that_decides_is_in_the_key() {
        let cache = Cache::new();
        let key = cache.key(&question(), 1);
        assert_eq!(cache.key(&question(), 1), key);
        let mut other_service = (*question().service).clone();
        other_service.name = "opa".into();
        let header = |name, value| vec![(HeaderName::from_static(name), HeaderValue::from_static(value))];
        for (other, generation) in [
            (question(), 2),
            (Question { service: Arc::new(other_service), ..question() }, 1),
            (Question { method: Method::GET, ..question() }, 1),
            (Question { url: "http://keto/check?a".to_owned(), ..question() }, 1),
            (Question { body: Some("{ }".to_owned()), ..question() }, 1),
            (Question { body: None, ..question() }, 1),
            (Question { caller: Some("ann".to_owned()), ..question() }, 1),
            (Question { headers: header("x-a", "c"), ..question() }, 1),
            (Question { headers: header("x-ab", ""), ..question() }, 1),
            (Question { headers: Vec::new(), ..question() }, 1),
            (Question { url: "http://keto/chec".to_owned(), body: Some("k{}".to_owned()), ..question() }, 1),
        ] {
            assert_ne!(cache.key(&other, generation), key, "{other:?}");
        }
        assert_ne!(Cache::new().key(&question(), 1), key, "each process has its own");
    }

    #[test]
    fn an_answer_is_good_for_its_time_and_for_those_who_need_no_newer_one() {
        let cache = Cache::new();
        let key = cache.key(&question(), 1);
        let (long, short) = (Duration::from_secs(10), Duration::from_secs(4));
        let asked_at = Instant::now() - Duration::from_secs(5);
        assert!(cache.get(key, long, None).is_none());
        cache.keep(key, said(asked_at), asked_at);
        assert!(cache.get(key, long, None).is_some_and(|said| said.age >= Duration::from_secs(5)));
        assert!(cache.get(key, short, None).is_none());
        assert!(cache.get(key, long, Some(short)).is_none());
    }

    #[test]
    fn what_was_asked_before_all_was_forgotten_does_not_count() {
        let cache = Cache::new();
        let (before, asked_at) = (cache.key(&question(), 1), Instant::now());
        cache.keep(before, said(asked_at), asked_at);
        std::thread::sleep(Duration::from_millis(1));
        cache.forget();
        let after = cache.key(&question(), 1);
        assert_ne!(before, after, "nobody joins what is on its way");
        for key in [before, after] {
            cache.keep(key, said(asked_at), asked_at);
            assert!(cache.get(key, Duration::from_secs(10), None).is_none(), "it was asked before, kept after");
        }
        cache.keep(after, said(Instant::now()), Instant::now());
        assert!(cache.get(after, Duration::from_secs(10), None).is_some());
    }
}
