//! Answers that let pass: kept for as long as they are good, and never past a no to the same question.

use std::time::{Duration, Instant};

use moka::sync::Cache;

use crate::hashing::{KeyedHash, Parts};
use crate::services::horizon::Horizon;

/// The most that all answers together may weigh, in bytes, about.
const CAPACITY: u64 = 64 * 1024 * 1024;
/// What a byte of an answer weighs once it is read, and what an answer weighs besides.
const UNFOLDED: usize = 8;
const OVERHEAD: usize = 1024;
/// No answer is good for longer, whatever its `ttl`.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// So many answers with a no are remembered, for as long as an older question may still be on its way.
const MOST_REFUSED: u64 = 10_000;
const LONGEST_QUESTION: Duration = Duration::from_secs(300);

/// Hash of everything that decides about an answer.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Key(u128);

/// What was said, until it is too old.
pub(crate) struct Answers<V> {
    good: Cache<Key, Kept<V>>,
    /// When it was last answered with a no: no yes is kept to what was asked before.
    refused: Cache<Key, Instant>,
    hash: KeyedHash,
    horizon: Horizon,
}

#[derive(Clone)]
struct Kept<V> {
    value: V,
    weight: u32,
    asked_at: Instant,
}

impl<V: Clone + Send + Sync + 'static> Default for Answers<V> {
    fn default() -> Self {
        let weigh = |_: &Key, kept: &Kept<V>| kept.weight;
        Self {
            good: Cache::builder().max_capacity(CAPACITY).weigher(weigh).time_to_live(LONGEST).build(),
            refused: Cache::builder().max_capacity(MOST_REFUSED).time_to_live(LONGEST_QUESTION).build(),
            hash: KeyedHash::default(),
            horizon: Horizon::default(),
        }
    }
}

impl<V: Clone + Send + Sync + 'static> Answers<V> {
    /// The key of what `fill` adds. Another one after all was forgotten, so that nobody joins what is on its way.
    pub(crate) fn key(&self, fill: impl FnOnce(&mut Parts)) -> Key {
        Key(self.hash.of(|parts| {
            parts.add_number(self.horizon.mark());
            fill(parts);
        }))
    }

    /// The answer if it is younger than `ttl` and `within`, with its age.
    pub(crate) fn get(&self, key: Key, ttl: Duration, within: Option<Duration>) -> Option<(V, Duration)> {
        let kept = self.good.get(&key)?;
        let age = kept.asked_at.elapsed();
        (!self.horizon.hides(kept.asked_at) && age < ttl && within.is_none_or(|within| age < within))
            .then_some((kept.value, age))
    }

    /// Keeps an answer to what was asked at `asked_at`, read from so many bytes; unless more is known since.
    pub(crate) fn keep(&self, key: Key, value: V, length: usize, asked_at: Instant) {
        if self.good.get(&key).is_some_and(|newer| newer.asked_at > asked_at) {
            return;
        }
        let weight = u32::try_from(length * UNFOLDED + OVERHEAD).unwrap_or(u32::MAX);
        self.good.insert(key, Kept { value, weight, asked_at });
        // Looked at last: a no that is noted later takes the answer away itself.
        if self.refused.get(&key).is_some_and(|refused_at| refused_at > asked_at) {
            self.good.invalidate(&key);
        }
    }

    /// The answer is no: none that was asked for until now is good any more.
    pub(crate) fn refuse(&self, key: Key) {
        self.refused.insert(key, Instant::now());
        self.good.invalidate(&key);
    }

    /// All that was kept, and all that was asked until now.
    pub(crate) fn forget(&self) {
        self.horizon.forget();
        self.good.invalidate_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(10);
    const SHORT: Duration = Duration::from_secs(4);

    fn ago(seconds: u64) -> Instant {
        Instant::now() - Duration::from_secs(seconds)
    }

    #[test]
    fn an_answer_is_good_for_its_time_and_for_those_who_need_no_newer_one() {
        let answers = Answers::default();
        let key = answers.key(|parts| parts.add("a"));
        assert!(answers.get(key, LONG, None).is_none());
        answers.keep(key, 1, 0, ago(5));
        assert!(answers.get(key, LONG, None).is_some_and(|(_, age)| age >= Duration::from_secs(5)));
        assert!(answers.get(key, SHORT, None).is_none());
        assert!(answers.get(key, LONG, Some(SHORT)).is_none());
        answers.keep(key, 2, 0, ago(1));
        answers.keep(key, 1, 0, ago(3));
        assert_eq!(answers.get(key, LONG, None).map(|(value, _)| value), Some(2), "the older one came late");
    }

    #[test]
    fn a_no_ends_every_yes_that_was_asked_for_before() {
        let answers = Answers::default();
        let key = answers.key(|parts| parts.add("a"));
        let on_its_way = Instant::now();
        answers.keep(key, 1, 0, ago(1));
        std::thread::sleep(Duration::from_millis(1));
        answers.refuse(key);
        assert!(answers.get(key, LONG, None).is_none());
        answers.keep(key, 1, 0, on_its_way);
        assert!(answers.get(key, LONG, None).is_none(), "it was asked before, kept after");
        std::thread::sleep(Duration::from_millis(1));
        answers.keep(key, 1, 0, Instant::now());
        assert!(answers.get(key, LONG, None).is_some());
    }

    #[test]
    fn what_was_asked_before_all_was_forgotten_does_not_count() {
        let answers = Answers::default();
        let (before, asked_at) = (answers.key(|parts| parts.add("a")), Instant::now());
        answers.keep(before, 1, 0, asked_at);
        std::thread::sleep(Duration::from_millis(1));
        answers.forget();
        let after = answers.key(|parts| parts.add("a"));
        assert_ne!(before, after, "nobody joins what is on its way");
        for key in [before, after] {
            answers.keep(key, 1, 0, asked_at);
            assert!(answers.get(key, LONG, None).is_none(), "it was asked before, kept after");
        }
        answers.keep(after, 1, 0, Instant::now());
        assert!(answers.get(after, LONG, None).is_some());
    }
}
