//! Equal questions that are under way at once: asked once, and answered to all.
//!
//! A container that asks the same a hundred times before the answer comes would have a hundred questions under way outside, and whoever guesses
//! answers a hundred chances (RFC 5452 §5).

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OnceCell;

/// What is under way, by question.
pub(super) struct UnderWay<K, A>(Mutex<HashMap<K, Arc<OnceCell<A>>>>);

/// One who waits for an answer. The last to go takes the question away.
struct Waiting<'a, K: Eq + Hash, A> {
    all: &'a UnderWay<K, A>,
    key: K,
    answer: Arc<OnceCell<A>>,
}

impl<K, A> Default for UnderWay<K, A> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash + Clone, A: Clone> UnderWay<K, A> {
    /// The answer: of whoever asks already, or found out here. Should that one give up, the next one takes over.
    pub(super) async fn ask(&self, key: K, find_out: impl Future<Output = A>) -> A {
        let answer = self.locked().entry(key.clone()).or_default().clone();
        let waiting = Waiting { all: self, key, answer };
        waiting.answer.get_or_init(|| find_out).await.clone()
    }
}

impl<K, A> UnderWay<K, A> {
    fn locked(&self) -> MutexGuard<'_, HashMap<K, Arc<OnceCell<A>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash, A> Drop for Waiting<'_, K, A> {
    fn drop(&mut self) {
        let mut under_way = self.all.locked();
        // The map's and ours: nobody else waits, and nobody can begin to while we hold the lock.
        if Arc::strong_count(&self.answer) == 2 {
            under_way.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;
    use tokio::select;
    use tokio::task::yield_now;

    use super::*;

    #[tokio::test]
    async fn equal_questions_are_asked_once_and_forgotten_when_they_are_answered() {
        let (under_way, asked) = (UnderWay::default(), AtomicUsize::new(0));
        let ask = |key: &'static str| {
            under_way.ask(key, async {
                asked.fetch_add(1, Ordering::Relaxed);
                yield_now().await;
                key.len()
            })
        };

        let answers = join_all(["one", "one", "three", "one"].map(ask)).await;

        assert_eq!((answers, asked.load(Ordering::Relaxed)), (vec![3, 3, 5, 3], 2));
        assert!(under_way.locked().is_empty());
    }

    #[tokio::test]
    async fn who_gives_up_leaves_the_question_to_who_still_waits() {
        let under_way: UnderWay<_, u8> = UnderWay::default();
        let patient = under_way.ask("a", async { 7 });
        {
            let impatient = under_way.ask("a", pending());
            select! {
                biased;
                _ = impatient => unreachable!("it never ends"),
                () = yield_now() => {}
            }
        }

        assert_eq!(patient.await, 7);
        assert!(under_way.locked().is_empty());
    }
}
