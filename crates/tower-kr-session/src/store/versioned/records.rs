//! Records behind the small door: read, written and ended one at a time.

use std::time::Duration;

use bytes::Bytes;

use super::{
    door::{StoreKey, StoreValue, ValueClass, Version, VersionedStore},
    turns::Turns,
};
use crate::{
    model::{DecodeError, Instants, Owner, Record, SessionId, Timestamp},
    store::StoreError,
};

/// How often a change is tried anew because somebody else changed the same key meanwhile. Calls of
/// one process take turns, so it takes as many other processes to come to this.
const TRIES: usize = 64;

/// How many of the tries follow each other without a pause.
const EAGER_TRIES: usize = 4;

/// The store, and the turns that this process takes at it.
pub(super) struct Records<S> {
    pub(super) store: S,
    pub(super) turns: Turns,
}

/// What was left of a session that a revocation had to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// It was alive, and is gone.
    Alive,
    /// It was dead or had no owner yet, and is gone.
    Dead,
    /// There was none.
    Missing,
    /// It is somebody else's, and was left alone.
    OfAnother,
}

impl<S: VersionedStore> Records<S> {
    pub(super) fn new(store: S) -> Self {
        Self {
            store,
            turns: Turns::new(),
        }
    }

    /// Reads a record, dead or alive. A corrupt one is logged, kept, and reads as absent.
    pub(super) async fn read(
        &self,
        id: SessionId,
    ) -> Result<Option<(Version, Record)>, StoreError> {
        let Some((version, bytes)) = self.store.get(&StoreKey::session(id)).await? else {
            return Ok(None);
        };
        match Record::decode(&bytes) {
            Ok(record) => Ok(Some((version, record))),
            Err(DecodeError::UnknownVersion { version }) => {
                Err(StoreError::UnknownVersion { version })
            }
            Err(DecodeError::Corrupt) => {
                tracing::warn!(session = %id, "a corrupt session record is kept and counts as missing");
                Ok(None)
            }
        }
    }

    /// Writes a record over the expected version, or a new one.
    pub(super) async fn write(
        &self,
        id: SessionId,
        expected: Option<Version>,
        record: &Record,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let class = match record.owner {
            None => ValueClass::Anonymous,
            Some(_) => ValueClass::Owned,
        };
        let value = StoreValue::new(Bytes::from(record.encode()), class);
        let keep_for = record.reclaim_at().saturating_duration_since(now);
        let key = StoreKey::session(id);
        self.store.put_if(&key, expected, value, keep_for).await
    }

    /// Ends a session of this user, or one that was about to become theirs: a sign-in on its way,
    /// which writes over the version that it has read, then finds nothing to write over.
    pub(super) async fn end(
        &self,
        owner: &Owner,
        id: SessionId,
        now: Timestamp,
    ) -> Result<Ended, StoreError> {
        let mut tries = Tries::new();
        loop {
            let Some((version, record)) = self.read(id).await? else {
                return Ok(Ended::Missing);
            };
            let theirs = match &record.owner {
                Some(held) if held != owner => return Ok(Ended::OfAnother),
                held => held.is_some(),
            };
            let key = StoreKey::session(id);
            if self.store.delete_if(&key, version).await? {
                let alive = theirs && !record.is_expired(Instants::at(now));
                return Ok(if alive { Ended::Alive } else { Ended::Dead });
            }
            tries.again().await?;
        }
    }
}

/// A bounded number of tries.
pub(super) struct Tries(usize);

impl Tries {
    pub(super) const fn new() -> Self {
        Self(1)
    }

    /// After somebody else was faster: lets others go on, and allows one more try or none.
    pub(super) async fn again(&mut self) -> Result<(), StoreError> {
        if self.0 == TRIES {
            return Err(StoreError::unavailable(format!(
                "nothing was written: in {TRIES} tries other processes always changed the same key first"
            )));
        }
        self.0 += 1;
        match longest_pause(self.0) {
            None => tokio::task::yield_now().await,
            // Spread over time, or one process could always be the faster one.
            Some(longest) => {
                let pause = Duration::from_millis(rand::random_range(0..=longest));
                tokio::time::sleep(pause).await;
            }
        }
        Ok(())
    }
}

/// How long the pause before a try may be, in milliseconds.
fn longest_pause(number: usize) -> Option<u64> {
    let pauses = number
        .checked_sub(EAGER_TRIES)
        .filter(|pauses| *pauses > 0)?;
    Some(1 << pauses.min(5))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_change_is_tried_64_times_and_given_up() {
        let mut tries = Tries::new();
        for _ in 1..64 {
            tries.again().await.unwrap();
        }
        let given_up = tries.again().await.unwrap_err();
        assert!(given_up.to_string().contains("in 64 tries"), "{given_up}");
    }

    #[test]
    fn after_some_tries_without_a_pause_pauses_grow_up_to_32_milliseconds() {
        let pauses = [2, 4, 5, 6, 7, 8, 9, 10, 64].map(longest_pause);
        let expected = [0, 0, 2, 4, 8, 16, 32, 32, 32];
        assert_eq!(pauses.map(Option::unwrap_or_default), expected);
    }
}
