//! Questions on their way: whoever asks the same meanwhile waits for the one answer.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::watch;

/// The questions on their way, by what decides about their answers.
pub(crate) struct Flights<K, V> {
    running: Mutex<HashMap<K, Flight<V>>>,
}

/// A question on its way.
struct Flight<V> {
    began_at: Instant,
    answer: watch::Receiver<Option<V>>,
}

/// The end of a question. Dropped without an answer, it tells those who wait that there will be none.
struct Landing<K: Eq + Hash, V> {
    flights: Arc<Flights<K, V>>,
    key: K,
    answer: watch::Receiver<Option<V>>,
}

impl<K: Eq + Hash, V> Drop for Landing<K, V> {
    fn drop(&mut self) {
        let mut running = self.flights.running.lock();
        // A later question may have taken its place.
        if running.get(&self.key).is_some_and(|flight| flight.answer.same_channel(&self.answer)) {
            running.remove(&self.key);
        }
    }
}

impl<K, V> Default for Flights<K, V> {
    fn default() -> Self {
        Self { running: Mutex::default() }
    }
}

impl<K, V> Flights<K, V>
where
    K: Copy + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// The answer to `question`, or to an equal one that is on its way for `max_age` at most; nothing where it came to a
    /// bad end.
    ///
    /// It is asked in a task of its own: that the one who began it is gone strands nobody.
    pub(crate) async fn share(
        self: &Arc<Self>,
        key: K,
        max_age: Duration,
        question: impl Future<Output = V> + Send + 'static,
    ) -> Option<V> {
        let mut receiver = {
            let mut running = self.running.lock();
            let is_young = |flight: &&Flight<V>| flight.began_at.elapsed() <= max_age;
            match running.get(&key).filter(is_young) {
                Some(flight) => flight.answer.clone(),
                None => {
                    let (sender, answer) = watch::channel(None);
                    running.insert(key, Flight { began_at: Instant::now(), answer: answer.clone() });
                    let landing = Landing { flights: Arc::clone(self), key, answer: answer.clone() };
                    tokio::spawn(async move {
                        let answer = question.await;
                        // Whoever asks from here on asks anew.
                        drop(landing);
                        sender.send_replace(Some(answer));
                    });
                    answer
                }
            }
        };
        receiver.wait_for(Option::is_some).await.ok().and_then(|answer| answer.clone())
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    const LONG: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn one_question_answers_all_who_ask_meanwhile() {
        let flights = Arc::new(Flights::<u8, u8>::default());
        let (sender, receiver) = oneshot::channel();
        let first = flights.share(1, LONG, async { receiver.await.unwrap() });
        tokio::pin!(first);
        assert!(futures_util::poll!(&mut first).is_pending());
        let second = flights.share(1, LONG, async { 9 });
        tokio::pin!(second);
        assert!(futures_util::poll!(&mut second).is_pending());
        assert_eq!(flights.share(2, LONG, async { 9 }).await, Some(9));
        sender.send(7).unwrap();
        assert_eq!((first.await, second.await), (Some(7), Some(7)));
        assert_eq!(flights.share(1, LONG, async { 8 }).await, Some(8), "from here on it is another question");
    }

    #[tokio::test]
    async fn a_bad_end_strands_nobody() {
        let flights = Arc::new(Flights::<u8, u8>::default());
        let (sender, receiver) = oneshot::channel::<u8>();
        drop(sender);
        assert_eq!(flights.share(1, LONG, async { receiver.await.unwrap() }).await, None);
        assert_eq!(flights.share(1, LONG, async { 8 }).await, Some(8));
    }

    #[tokio::test]
    async fn who_needs_a_newer_answer_joins_no_older_question() {
        let flights = Arc::new(Flights::<u8, u8>::default());
        let (sender, receiver) = oneshot::channel();
        let first = flights.share(1, LONG, async { receiver.await.unwrap() });
        tokio::pin!(first);
        assert!(futures_util::poll!(&mut first).is_pending());
        let (newer_sender, newer_receiver) = oneshot::channel();
        let newer = flights.share(1, Duration::ZERO, async { newer_receiver.await.unwrap() });
        tokio::pin!(newer);
        assert!(futures_util::poll!(&mut newer).is_pending());
        sender.send(7).unwrap();
        assert_eq!(first.await, Some(7));
        let joined = flights.share(1, LONG, async { 9 });
        tokio::pin!(joined);
        assert!(futures_util::poll!(&mut joined).is_pending(), "the end of the older one does not end the newer one");
        newer_sender.send(8).unwrap();
        assert_eq!((newer.await, joined.await), (Some(8), Some(8)));
    }
}
