//! Calls of one process on one key take turns, so that they don't write past each other in vain.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

use super::door::StoreKey;

/// So many that threads rarely meet.
const SHARDS: usize = 64;

pub(super) struct Turns {
    shards: Box<[Mutex<Vec<Busy>>]>,
}

/// A key that somebody is at work on, and who waits for it, in order.
struct Busy {
    key: StoreKey,
    waiting: VecDeque<oneshot::Sender<()>>,
}

/// The only one at work on a key.
pub(super) struct Turn<'a> {
    turns: &'a Turns,
    key: StoreKey,
}

/// Waits to be told of its turn.
struct Waiting<'a> {
    turns: &'a Turns,
    key: StoreKey,
    told: oneshot::Receiver<()>,
}

impl Turns {
    pub(super) fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
        }
    }

    /// Waits until nobody else is at work on this key.
    pub(super) async fn take(&self, key: &StoreKey) -> Turn<'_> {
        if let Some(told) = self.line_up(key) {
            let mut waiting = Waiting {
                turns: self,
                key: *key,
                told,
            };
            // The other end is kept until it tells.
            let _ = (&mut waiting.told).await;
        }
        Turn {
            turns: self,
            key: *key,
        }
    }

    /// Takes the turn, or a place in the line.
    fn line_up(&self, key: &StoreKey) -> Option<oneshot::Receiver<()>> {
        let mut shard = self.shard(key);
        match shard.iter_mut().find(|busy| busy.key == *key) {
            Some(busy) => {
                let (tell, told) = oneshot::channel();
                busy.waiting.push_back(tell);
                Some(told)
            }
            None => {
                shard.push(Busy {
                    key: *key,
                    waiting: VecDeque::new(),
                });
                None
            }
        }
    }

    /// Gives the turn to the next one that still waits.
    fn pass_on(&self, key: &StoreKey) {
        while let Some(next) = self.next(key) {
            if next.send(()).is_ok() {
                return;
            }
        }
    }

    fn next(&self, key: &StoreKey) -> Option<oneshot::Sender<()>> {
        let mut shard = self.shard(key);
        let place = shard.iter().position(|busy| busy.key == *key)?;
        let next = shard[place].waiting.pop_front();
        if next.is_none() {
            shard.swap_remove(place);
        }
        next
    }

    fn shard(&self, key: &StoreKey) -> MutexGuard<'_, Vec<Busy>> {
        let shard = key.choose(&self.shards).lock();
        shard.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.pass_on(&self.key);
    }
}

impl Drop for Waiting<'_> {
    /// A call that is dropped while it waits may have been told already.
    fn drop(&mut self) {
        self.told.close();
        if self.told.try_recv().is_ok() {
            self.turns.pass_on(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::Future,
        pin::{Pin, pin},
        task::{Context, Poll, Waker},
    };

    use super::*;
    use crate::model::SessionId;

    const KEY: StoreKey = StoreKey::session(SessionId::from_bytes([1; 16]));
    const OTHER: StoreKey = StoreKey::session(SessionId::from_bytes([2; 16]));

    fn busy(turns: &Turns) -> usize {
        let shards = turns.shards.iter();
        shards.map(|shard| shard.lock().unwrap().len()).sum()
    }

    fn poll<F: Future>(call: Pin<&mut F>) -> Option<F::Output> {
        match call.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }

    #[test]
    fn a_second_call_waits_and_one_for_another_key_does_not() {
        let turns = Turns::new();
        {
            let first = poll(pin!(turns.take(&KEY))).unwrap();
            let mut second = pin!(turns.take(&KEY));
            assert!(poll(second.as_mut()).is_none());
            assert!(poll(pin!(turns.take(&OTHER))).is_some());
            assert_eq!(busy(&turns), 1);
            drop(first);
            assert!(poll(second).is_some());
        }
        assert_eq!(busy(&turns), 0);
    }

    #[test]
    fn calls_that_are_dropped_while_they_wait_leave_nothing_behind() {
        let turns = Turns::new();
        let first = poll(pin!(turns.take(&KEY))).unwrap();
        {
            let mut waiting = pin!(turns.take(&KEY));
            assert!(poll(waiting.as_mut()).is_none());
            // Its turn has come, but it is dropped before it knows.
            drop(first);
        }
        assert_eq!(busy(&turns), 0);
        assert!(poll(pin!(turns.take(&KEY))).is_some());
    }
}
