//! Queues within this process, in which calls wait for their turn to change a session.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Mutex as Queue, OwnedMutexGuard};
use tower_kr_session::{SessionId, store::SecretHash};

/// A queue for each token in use, removed with its last call.
///
/// A session that gets many requests at once uses one connection, not the whole pool. The secret is
/// part of the key, so calls with a wrong secret wait for each other only.
#[derive(Default)]
pub(crate) struct Turns(Mutex<HashMap<Token, Arc<Queue<()>>>>);

type Token = (SessionId, [u8; 32]);

impl Turns {
    /// The turn to change this session with this secret.
    pub(crate) async fn with_token(&self, id: SessionId, secret: &SecretHash) -> TokenTurn<'_> {
        let token = (id, *secret.as_bytes());
        // Made before the wait, so that a call that is dropped while it waits leaves nothing
        // behind.
        let place = Place { turns: self, token };
        let queue = Arc::clone(self.queues().entry(token).or_default());
        TokenTurn {
            _queue: queue.lock_owned().await,
            _place: place,
        }
    }

    fn queues(&self) -> MutexGuard<'_, HashMap<Token, Arc<Queue<()>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A turn among the calls of one token.
pub(crate) struct TokenTurn<'a> {
    // Dropped before the place, so that only the map's reference is left if nobody waits.
    _queue: OwnedMutexGuard<()>,
    _place: Place<'a>,
}

struct Place<'a> {
    turns: &'a Turns,
    token: Token,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Entry::Occupied(queue) = self.turns.queues().entry(self.token)
            && Arc::strong_count(queue.get()) == 1
        {
            queue.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Duration, timeout};

    use super::*;

    const ID: SessionId = SessionId::from_bytes([1; 16]);

    fn secret(byte: u8) -> SecretHash {
        SecretHash::from_bytes([byte; 32])
    }

    #[tokio::test]
    async fn one_token_takes_turns_and_no_other_waits_for_it() {
        let turns = Turns::default();
        let first = turns.with_token(ID, &secret(1)).await;
        let _stranger = turns.with_token(ID, &secret(2)).await;
        let waits = timeout(Duration::from_millis(5), turns.with_token(ID, &secret(1))).await;
        assert!(waits.is_err());
        drop(first);
        drop(turns.with_token(ID, &secret(1)).await);
    }

    #[tokio::test]
    async fn a_queue_is_gone_with_its_last_call() {
        let turns = Turns::default();
        let first = turns.with_token(ID, &secret(1)).await;
        let dropped = timeout(Duration::from_millis(5), turns.with_token(ID, &secret(1))).await;
        assert!(dropped.is_err());
        assert_eq!(turns.queues().len(), 1, "the first call is still at it");
        drop(first);
        assert_eq!(turns.queues().len(), 0);
    }
}
