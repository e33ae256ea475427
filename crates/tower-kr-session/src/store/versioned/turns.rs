//! Calls of one process on one key take turns, so that they don't write past each other in vain.
//!
//! Those that bring a secret take turns with those that bring the same one: whoever has a wrong one
//! takes no place in the line of the session's holder.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

use super::door::StoreKey;
use crate::model::SecretHash;

/// So many that threads rarely meet.
const SHARDS: usize = 64;

pub(super) struct Turns {
    shards: Box<[Mutex<Vec<Busy>>]>,
}

/// What calls take turns at: a key, and the secret that they bring for it.
#[derive(Clone, Copy, PartialEq)]
struct Line(StoreKey, Option<SecretHash>);

/// A line that somebody is at work for, and who waits in it, in order.
struct Busy {
    line: Line,
    waiting: VecDeque<oneshot::Sender<()>>,
}

/// The only one of its line at work.
pub(super) struct Turn<'a> {
    turns: &'a Turns,
    line: Line,
}

/// Waits to be told of its turn.
struct Waiting<'a> {
    turns: &'a Turns,
    line: Line,
    told: oneshot::Receiver<()>,
}

impl Turns {
    pub(super) fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
        }
    }

    /// Waits until nobody else is at work on this key, among the calls that bring this secret.
    pub(super) async fn take(&self, key: &StoreKey, secret: Option<&SecretHash>) -> Turn<'_> {
        let line = Line(*key, secret.copied());
        if let Some(told) = self.line_up(line) {
            let mut waiting = Waiting {
                turns: self,
                line,
                told,
            };
            // The other end is kept until it tells.
            let _ = (&mut waiting.told).await;
        }
        Turn { turns: self, line }
    }

    /// Takes the turn, or a place in the line.
    fn line_up(&self, line: Line) -> Option<oneshot::Receiver<()>> {
        let mut shard = self.shard(&line);
        match shard.iter_mut().find(|busy| busy.line == line) {
            Some(busy) => {
                let (tell, told) = oneshot::channel();
                busy.waiting.push_back(tell);
                Some(told)
            }
            None => {
                shard.push(Busy {
                    line,
                    waiting: VecDeque::new(),
                });
                None
            }
        }
    }

    /// Gives the turn to the next one that still waits.
    fn pass_on(&self, line: &Line) {
        while let Some(next) = self.next(line) {
            if next.send(()).is_ok() {
                return;
            }
        }
    }

    fn next(&self, line: &Line) -> Option<oneshot::Sender<()>> {
        let mut shard = self.shard(line);
        let place = shard.iter().position(|busy| busy.line == *line)?;
        let next = shard[place].waiting.pop_front();
        if next.is_none() {
            shard.swap_remove(place);
        }
        next
    }

    fn shard(&self, line: &Line) -> MutexGuard<'_, Vec<Busy>> {
        let shard = line.0.choose(&self.shards).lock();
        shard.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.pass_on(&self.line);
    }
}

impl Drop for Waiting<'_> {
    /// A call that is dropped while it waits may have been told already.
    fn drop(&mut self) {
        self.told.close();
        if self.told.try_recv().is_ok() {
            self.turns.pass_on(&self.line);
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
    const MINE: Option<&SecretHash> = Some(&SecretHash::from_bytes([1; 32]));
    const WRONG: Option<&SecretHash> = Some(&SecretHash::from_bytes([2; 32]));

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
    fn a_second_call_waits_and_one_for_another_key_or_with_another_secret_does_not() {
        let turns = Turns::new();
        {
            let first = poll(pin!(turns.take(&KEY, MINE))).unwrap();
            let mut second = pin!(turns.take(&KEY, MINE));
            assert!(poll(second.as_mut()).is_none());
            assert!(poll(pin!(turns.take(&OTHER, MINE))).is_some());
            assert!(poll(pin!(turns.take(&KEY, WRONG))).is_some());
            assert!(poll(pin!(turns.take(&KEY, None))).is_some());
            assert_eq!(busy(&turns), 1);
            drop(first);
            assert!(poll(second).is_some());
        }
        assert_eq!(busy(&turns), 0);
    }

    #[test]
    fn calls_that_are_dropped_while_they_wait_leave_nothing_behind() {
        let turns = Turns::new();
        let first = poll(pin!(turns.take(&KEY, MINE))).unwrap();
        {
            let mut waiting = pin!(turns.take(&KEY, MINE));
            assert!(poll(waiting.as_mut()).is_none());
            // Its turn has come, but it is dropped before it knows.
            drop(first);
        }
        assert_eq!(busy(&turns), 0);
        assert!(poll(pin!(turns.take(&KEY, MINE))).is_some());
    }
}
