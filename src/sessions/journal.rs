//! What was revoked lately, in order: no look-up that began before may bring it back.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::sessions::fingerprint::Print;

/// What can be revoked.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Mark {
    All,
    Credential(Print),
    Identity(Uuid),
    Session(Uuid),
}

/// Where in the order of revocations a look-up began.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Sequence(u64);

/// The revocations that some look-up in flight might not have seen.
pub(crate) struct Journal {
    records: VecDeque<Record>,
    /// The number of the next record.
    next: u64,
    capacity: usize,
    /// Longer than any look-up takes.
    keep: Duration,
}

struct Record {
    at: Instant,
    mark: Mark,
    number: u64,
}

impl Journal {
    pub(crate) fn new(capacity: usize, keep: Duration) -> Self {
        Self { records: VecDeque::new(), next: 0, capacity, keep }
    }

    /// The place at which a look-up that begins now will have seen all revocations before.
    pub(crate) fn sequence(&self) -> Sequence {
        Sequence(self.next)
    }

    pub(crate) fn record(&mut self, mark: Mark, now: Instant) {
        while self.records.front().is_some_and(|oldest| now.duration_since(oldest.at) > self.keep) {
            self.records.pop_front();
        }
        if self.records.len() == self.capacity {
            self.records.pop_front();
        }
        self.records.push_back(Record { at: now, mark, number: self.next });
        self.next += 1;
    }

    /// Whether any of `marks` was revoked since `began`. True also where that is no longer known.
    pub(crate) fn voids(&self, began: Sequence, marks: &[Mark]) -> bool {
        if began.0 >= self.next {
            return false;
        }
        let oldest = self.records.front().map_or(self.next, |record| record.number);
        began.0 < oldest
            || self
                .records
                .iter()
                .rev()
                .take_while(|record| record.number >= began.0)
                .any(|record| record.mark == Mark::All || marks.contains(&record.mark))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(number: u128) -> Mark {
        Mark::Session(Uuid::from_u128(number))
    }

    #[test]
    fn a_look_up_is_void_from_the_revocation_of_its_session_on() {
        let now = Instant::now();
        let mut journal = Journal::new(8, Duration::from_secs(9));
        let before = journal.sequence();
        journal.record(mark(1), now);
        let after = journal.sequence();
        assert!(journal.voids(before, &[mark(2), mark(1)]));
        assert!(!journal.voids(before, &[mark(2)]));
        assert!(!journal.voids(after, &[mark(1)]));
    }

    #[test]
    fn all_voids_everything_in_flight() {
        let mut journal = Journal::new(8, Duration::from_secs(9));
        let before = journal.sequence();
        journal.record(Mark::All, Instant::now());
        assert!(journal.voids(before, &[]));
    }

    #[test]
    fn what_the_journal_has_lost_is_void() {
        let now = Instant::now();
        let mut journal = Journal::new(2, Duration::from_secs(9));
        let before = journal.sequence();
        for number in 0..3 {
            journal.record(mark(number), now);
        }
        assert!(journal.voids(before, &[mark(9)]), "the first record is gone");

        let mut journal = Journal::new(8, Duration::from_secs(9));
        let before = journal.sequence();
        journal.record(mark(1), now);
        let between = journal.sequence();
        journal.record(mark(2), now + Duration::from_secs(10));
        assert!(journal.voids(before, &[mark(9)]), "older than any look-up may be");
        assert!(!journal.voids(between, &[mark(9)]));
    }
}
