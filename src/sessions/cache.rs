//! The sessions that Kratos vouched for, bounded, and dropped at once when they are revoked.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use http::HeaderValue;
use moka::Expiry;
use parking_lot::Mutex;
use smallvec::SmallVec;

use crate::decision::session::{Caller, Session};
use crate::sessions::fingerprint::{Key, Print};
use crate::sessions::journal::{Journal, Mark, Sequence};
use crate::sessions::memo::Memo;

/// Refusals are kept this long at most: a user who has just signed in must not be turned away by them.
const NEGATIVE_TTL: Duration = Duration::from_secs(1);
/// Refusals have a bound of their own, so that a flood of made-up credentials pushes out no session.
const MAX_NEGATIVES: u64 = 10_000;
/// Revocations kept for look-ups in flight; more than these within [`LONGEST_LOOK_UP`] void all of them.
const MAX_REVOCATIONS: usize = 65_536;
/// No look-up takes longer: a wait for its turn, whoami, a health question, and that once more.
const LONGEST_LOOK_UP: Duration = Duration::from_secs(300);

/// A session, and what is known of the answer that brought it.
pub(crate) struct Entry {
    pub(crate) session: Arc<Session>,
    /// When Kratos was asked. The answer may tell of any moment since.
    pub(crate) asked_at: Instant,
    /// For how long it is good, counted from `asked_at`.
    pub(crate) good_for: Duration,
    /// For how long it may still serve when Kratos is away, counted from `asked_at`; at least `good_for`.
    pub(crate) kept_for: Duration,
    pub(crate) memo: Memo,
    refreshing: AtomicBool,
    has_cookies: AtomicBool,
    /// Session cookies that came with a background refresh, until a request takes them to the client.
    cookies: Mutex<Vec<HeaderValue>>,
    marks: SmallVec<[Mark; 4]>,
    /// Where in the order of revocations the look-up began.
    began: Sequence,
    serial: u64,
}

/// A refresh under way. There is one at a time; it ends when this is dropped, however that comes about.
pub(crate) struct Refreshing(Arc<Entry>);

impl Drop for Refreshing {
    fn drop(&mut self) {
        self.0.refreshing.store(false, Ordering::Release);
    }
}

impl Entry {
    pub(crate) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.asked_at)
    }

    /// Something for the first caller only: one refresh at a time.
    pub(crate) fn begin_refresh(self: &Arc<Self>) -> Option<Refreshing> {
        (!self.refreshing.swap(true, Ordering::AcqRel)).then(|| Refreshing(Arc::clone(self)))
    }

    /// The cookies to pass on, once.
    pub(crate) fn take_cookies(&self) -> Vec<HeaderValue> {
        if !self.has_cookies.load(Ordering::Acquire) {
            return Vec::new();
        }
        self.has_cookies.store(false, Ordering::Release);
        std::mem::take(&mut self.cookies.lock())
    }
}

/// What a look-up brought, before it is an entry.
pub(crate) struct Found {
    pub(crate) session: Arc<Session>,
    pub(crate) asked_at: Instant,
    pub(crate) good_for: Duration,
    pub(crate) kept_for: Duration,
    pub(crate) cookies: Vec<HeaderValue>,
}

/// The session was revoked after the look-up began: its answer is void.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Revoked;

/// A refusal of Kratos, and when it was asked.
#[derive(Clone)]
pub(crate) struct Negative {
    pub(crate) caller: Caller,
    pub(crate) asked_at: Instant,
}

/// Entries that are no longer kept, by their keys.
type Dropped = Vec<(Key, Arc<Entry>)>;

/// Positive and negative answers.
pub(crate) struct Cache {
    entries: moka::sync::Cache<Key, Arc<Entry>>,
    negatives: moka::sync::Cache<Key, Negative>,
    ledger: Mutex<Ledger>,
    /// Entries that moka has dropped. Its listener may run under the ledger's lock, so it only leaves a note here.
    dropped: Arc<Mutex<Dropped>>,
}

/// What must change together: which entries a mark stands for, and which marks were revoked.
struct Ledger {
    journal: Journal,
    index: HashMap<Mark, SmallVec<[(Key, u64); 1]>>,
    next_serial: u64,
}

struct UntilDropped;

impl Expiry<Key, Arc<Entry>> for UntilDropped {
    fn expire_after_create(&self, _: &Key, entry: &Arc<Entry>, now: Instant) -> Option<Duration> {
        Some(entry.kept_for.saturating_sub(entry.age(now)))
    }

    fn expire_after_update(&self, _: &Key, entry: &Arc<Entry>, now: Instant, _: Option<Duration>) -> Option<Duration> {
        Some(entry.kept_for.saturating_sub(entry.age(now)))
    }
}

impl Cache {
    pub(crate) fn new(max_entries: u64) -> Self {
        let dropped = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&dropped);
        Self {
            entries: moka::sync::Cache::builder()
                .max_capacity(max_entries)
                .expire_after(UntilDropped)
                .eviction_listener(move |key: Arc<Key>, entry, _| notes.lock().push((*key, entry)))
                .build(),
            negatives: moka::sync::Cache::builder().max_capacity(MAX_NEGATIVES).time_to_live(NEGATIVE_TTL).build(),
            ledger: Mutex::new(Ledger {
                journal: Journal::new(MAX_REVOCATIONS, LONGEST_LOOK_UP),
                index: HashMap::new(),
                next_serial: 0,
            }),
            dropped,
        }
    }

    pub(crate) fn get(&self, key: Key) -> Option<Arc<Entry>> {
        self.entries.get(&key)
    }

    pub(crate) fn negative(&self, key: Key) -> Option<Negative> {
        self.negatives.get(&key)
    }

    /// How many sessions are kept, about.
    pub(crate) fn len(&self) -> u64 {
        self.entries.run_pending_tasks();
        self.entries.entry_count()
    }

    /// The place in the order of revocations at which a look-up begins.
    pub(crate) fn sequence(&self) -> Sequence {
        self.ledger.lock().journal.sequence()
    }

    /// Whether `entry` was revoked since its look-up began, be it that the look-up has landed already.
    pub(crate) fn voids(&self, entry: &Entry) -> bool {
        self.ledger.lock().journal.voids(entry.began, &entry.marks)
    }

    /// Keeps what a look-up brought, unless it was revoked since `began`.
    ///
    /// The check and the insertion are one step under the ledger's lock: between them no request may see the entry.
    pub(crate) fn insert(
        &self,
        key: Key,
        prints: &[Print],
        began: Sequence,
        found: Found,
    ) -> Result<Arc<Entry>, Revoked> {
        let mut marks = prints.iter().map(|print| Mark::Credential(*print)).collect::<SmallVec<[Mark; 4]>>();
        marks.push(Mark::Session(found.session.id));
        marks.push(Mark::Identity(found.session.identity));

        let mut ledger = self.ledger.lock();
        if ledger.journal.voids(began, &marks) {
            return Err(Revoked);
        }
        ledger.tidy(&self.dropped);
        // A look-up that began later may have answered sooner; the newer answer stays.
        if let Some(newer) = self.entries.get(&key).filter(|entry| entry.asked_at > found.asked_at) {
            return Ok(newer);
        }
        let serial = ledger.next_serial;
        ledger.next_serial += 1;
        for mark in &marks {
            ledger.index.entry(*mark).or_default().push((key, serial));
        }
        let entry = Arc::new(Entry {
            session: found.session,
            asked_at: found.asked_at,
            good_for: found.good_for,
            kept_for: found.kept_for,
            memo: Memo::default(),
            refreshing: AtomicBool::new(false),
            has_cookies: AtomicBool::new(!found.cookies.is_empty()),
            cookies: Mutex::new(found.cookies),
            marks,
            began,
            serial,
        });
        self.negatives.invalidate(&key);
        self.entries.insert(key, Arc::clone(&entry));
        Ok(entry)
    }

    /// Keeps a refusal for a moment, and drops the session that it refuses.
    pub(crate) fn refuse(
        &self,
        key: Key,
        prints: &[Print],
        began: Sequence,
        negative: Negative,
    ) -> Result<(), Revoked> {
        let marks = prints.iter().map(|print| Mark::Credential(*print)).collect::<SmallVec<[Mark; 4]>>();
        let ledger = self.ledger.lock();
        if ledger.journal.voids(began, &marks) {
            return Err(Revoked);
        }
        if self.entries.get(&key).is_none_or(|entry| entry.asked_at <= negative.asked_at) {
            self.entries.invalidate(&key);
            self.negatives.insert(key, negative);
        }
        Ok(())
    }

    /// Forgets everything that any of `marks` stands for, and voids the look-ups in flight that might bring it back.
    pub(crate) fn forget(&self, marks: &[Mark], keys: &[Key]) {
        let now = Instant::now();
        let mut ledger = self.ledger.lock();
        for mark in marks {
            ledger.journal.record(*mark, now);
            if *mark == Mark::All {
                self.entries.invalidate_all();
                self.negatives.invalidate_all();
                ledger.index.clear();
                continue;
            }
            for (key, _) in ledger.index.remove(mark).unwrap_or_default() {
                self.entries.invalidate(&key);
            }
        }
        for key in keys {
            self.entries.invalidate(key);
            self.negatives.invalidate(key);
        }
        ledger.tidy(&self.dropped);
    }
}

impl Ledger {
    /// Strikes what moka has dropped out of the index.
    fn tidy(&mut self, dropped: &Mutex<Dropped>) {
        for (key, entry) in std::mem::take(&mut *dropped.lock()) {
            for mark in &entry.marks {
                if let Some(entries) = self.index.get_mut(mark) {
                    entries.retain(|listed| *listed != (key, entry.serial));
                    if entries.is_empty() {
                        self.index.remove(mark);
                    }
                }
            }
        }
    }
}
