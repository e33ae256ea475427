//! Calls of one process on one key take turns, so that they don't write past each other in vain.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::door::StoreKey;

/// So many that threads rarely meet.
const SHARDS: usize = 64;

type Queue = Arc<tokio::sync::Mutex<()>>;

pub(super) struct Turns {
    shards: Box<[Mutex<HashMap<StoreKey, Queue>>]>,
    hasher: RandomState,
}

impl Turns {
    pub(super) fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
        }
    }

    /// Does the work when nobody else is at work on this key, in the order of the calls.
    pub(super) async fn alone<T>(&self, key: &StoreKey, work: impl Future<Output = T>) -> T {
        let place = self.place(*key);
        let _turn = place.queue.lock().await;
        work.await
    }

    fn place(&self, key: StoreKey) -> Place<'_> {
        let queue = Arc::clone(self.shard(&key).entry(key).or_default());
        Place {
            turns: self,
            key,
            queue,
        }
    }

    fn shard(&self, key: &StoreKey) -> MutexGuard<'_, HashMap<StoreKey, Queue>> {
        let hash = self.hasher.hash_one(key);
        // The remainder fits whatever the hash.
        let shard = &self.shards[(hash % SHARDS as u64) as usize];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the queue of a key; the last one to leave takes the queue along.
struct Place<'a> {
    turns: &'a Turns,
    key: StoreKey,
    queue: Queue,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut shard = self.turns.shard(&self.key);
        // Ours and the map's: whoever comes finds the map locked.
        if Arc::strong_count(&self.queue) == 2 {
            shard.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::{pending, poll_fn},
        pin::pin,
        task::Poll,
    };

    use super::*;
    use crate::model::SessionId;

    const KEY: StoreKey = StoreKey::session(SessionId::from_bytes([1; 16]));
    const OTHER: StoreKey = StoreKey::session(SessionId::from_bytes([2; 16]));

    fn queues(turns: &Turns) -> usize {
        let shards = turns.shards.iter();
        shards.map(|shard| shard.lock().unwrap().len()).sum()
    }

    /// Polls once; whether it is done.
    async fn step(mut work: std::pin::Pin<&mut impl Future<Output = ()>>) -> bool {
        poll_fn(|context| Poll::Ready(work.as_mut().poll(context).is_ready())).await
    }

    #[tokio::test]
    async fn a_second_call_waits_and_one_for_another_key_does_not() {
        let turns = Turns::new();
        {
            let mut first = Box::pin(turns.alone(&KEY, pending()));
            assert!(!step(first.as_mut()).await);
            let mut second = pin!(turns.alone(&KEY, async {}));
            assert!(!step(second.as_mut()).await);
            assert!(step(pin!(turns.alone(&OTHER, async {}))).await);
            assert_eq!(queues(&turns), 1);
            drop(first);
            assert!(
                step(second).await,
                "a call that is dropped gives up its turn"
            );
        }
        assert_eq!(queues(&turns), 0);
    }

    #[tokio::test]
    async fn calls_that_are_dropped_while_they_wait_leave_nothing_behind() {
        let turns = Turns::new();
        {
            let mut holder = Box::pin(turns.alone(&KEY, pending()));
            assert!(!step(holder.as_mut()).await);
            let mut waiting = Box::pin(turns.alone(&KEY, async {}));
            assert!(!step(waiting.as_mut()).await);
            // Its turn has come, but it is dropped before it knows.
            drop(holder);
            drop(waiting);
        }
        assert_eq!(queues(&turns), 0);
        turns.alone(&KEY, async {}).await;
    }
}
