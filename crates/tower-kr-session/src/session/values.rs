//! Reading values, and changing them at the store at once.

use std::time::Duration;

use bytes::Bytes;

use super::{
    ask::{Inner, Turn},
    request::{Lookup, Place, Request},
};
use crate::{
    error::SessionError,
    model::{ApplyOutcome, Delta, Operation, Token, key::KeyBuf},
};

/// How often an `update` is tried while other requests keep changing the value.
const UPDATE_ATTEMPTS: u32 = 64;

/// How many of them follow each other without a pause.
const EAGER_ATTEMPTS: u32 = 4;

impl Inner {
    /// Gives the value at a key to `found`, which may use the session: nothing is locked meanwhile.
    pub(super) async fn read<R>(
        &self,
        key: &str,
        found: impl FnOnce(Option<&[u8]>) -> R,
    ) -> Result<R, SessionError> {
        let lookup = self.turn().await?.look_up(key).await?;
        Ok(lookup.get(key, found))
    }

    pub(super) async fn increment(&self, key: &KeyBuf, by: i64) -> Result<i64, SessionError> {
        let turn = self.turn().await?;
        loop {
            let placed = turn.place(key, |request| request.notes_mut().add(key, by));
            let (token, mut delta) = match placed.await? {
                Ok(placed) => placed,
                Err(sum) => return Ok(sum),
            };
            delta.operation = Some((key.clone(), Operation::Increment(by)));
            match turn.operate(token, &mut delta).await? {
                Some(ApplyOutcome::Applied(receipt)) => {
                    return Ok(receipt.incremented.unwrap_or_default());
                }
                Some(refused) => return Err(SessionError::not_added(key, &refused)),
                // There is no session: the notes are the place now.
                None => {}
            }
        }
    }

    /// Compare-and-set until it succeeds. `change` may use the session, and may run several times.
    pub(super) async fn exchange<R>(
        &self,
        key: &KeyBuf,
        mut change: impl FnMut(Option<&[u8]>) -> Result<(Option<Bytes>, R), SessionError>,
    ) -> Result<R, SessionError> {
        for attempt in 0..UPDATE_ATTEMPTS {
            self.pause_before(attempt).await;
            let (expected, fresh) = self.turn().await?.value_to_exchange(key).await?;
            let (new, result) = change(expected.as_deref())?;
            // Nothing to write; but a value that was read a while ago has to be confirmed.
            let unchanged = fresh && new == expected;
            if unchanged
                || self
                    .turn()
                    .await?
                    .compare_and_set(key, expected, new)
                    .await?
            {
                return Ok(result);
            }
        }
        Err(SessionError::Contended {
            key: key.clone(),
            attempts: UPDATE_ATTEMPTS,
        })
    }

    /// Spreads requests that fight for one value over time.
    async fn pause_before(&self, attempt: u32) {
        let Some(longest) = longest_pause(attempt) else {
            return;
        };
        if self.config.store.answers_at_once() {
            return tokio::task::yield_now().await;
        }
        let pause = rand::random_range(0..=longest);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
}

/// How long the pause before an attempt may be, in milliseconds.
fn longest_pause(attempt: u32) -> Option<u64> {
    let pauses = attempt.checked_sub(EAGER_ATTEMPTS)?;
    Some(1 << pauses.min(5))
}

impl Turn<'_> {
    async fn look_up(&self, key: &str) -> Result<Lookup, SessionError> {
        self.know(|request| Ok(request.look_up(key))).await
    }

    /// Finds out where an operation on this key belongs: at the store, under this token, together
    /// with the values noted before; or on the notes, where `on_notes` does it.
    async fn place<R>(
        &self,
        key: &KeyBuf,
        mut on_notes: impl FnMut(&mut Request) -> Result<R, SessionError>,
    ) -> Result<Result<(Token, Delta), R>, SessionError> {
        let placed = self.know(|request| match request.place(key.as_str())? {
            None => Ok(None),
            Some(Place::Store(token)) => Ok(Some(Ok((token, request.take_values())))),
            Some(Place::Notes) => on_notes(request).map(|done| Some(Err(done))),
        });
        placed.await
    }

    /// Sends an operation and the values noted before. Returns `None` if there is no session.
    async fn operate(
        &self,
        token: Token,
        delta: &mut Delta,
    ) -> Result<Option<ApplyOutcome>, SessionError> {
        let outcome = self.apply(&token, delta).await?;
        if let ApplyOutcome::Applied(_) = outcome {
            return Ok(Some(outcome));
        }
        let mut request = self.request();
        request.put_back(delta.take_values());
        request.refused_operation(outcome)
    }

    /// The value, and whether it is the one of now (rather than of an earlier read).
    async fn value_to_exchange(&self, key: &KeyBuf) -> Result<(Option<Bytes>, bool), SessionError> {
        let place = self.know(|request| request.place(key.as_str())).await?;
        let in_store = matches!(place, Place::Store(_));
        let known = self.request().look_up(key.as_str()).is_some();
        let lookup = self.look_up(key.as_str()).await?;
        Ok((
            lookup.get(key.as_str(), |value| value.map(Bytes::copy_from_slice)),
            !in_store || !known,
        ))
    }

    /// Returns whether the value was still the expected one.
    async fn compare_and_set(
        &self,
        key: &KeyBuf,
        expected: Option<Bytes>,
        new: Option<Bytes>,
    ) -> Result<bool, SessionError> {
        let placed = self.place(key, |request| {
            let lookup = request.look_up(key.as_str());
            let unchanged = matches!(lookup, Some(Lookup::Found(value)) if value == expected);
            if unchanged {
                request.notes_mut().put(key.clone(), new.clone());
            }
            Ok(unchanged)
        });
        let (token, mut delta) = match placed.await? {
            Ok(placed) => placed,
            Err(unchanged) => return Ok(unchanged),
        };
        let operation = Operation::CompareAndSet { expected, new };
        delta.operation = Some((key.clone(), operation));
        let outcome = self.operate(token, &mut delta).await?;
        let done = matches!(outcome, Some(ApplyOutcome::Applied(_)));
        if !done {
            // Look again: at the store, or at the notes if there is no session.
            self.request().forget_values();
        }
        Ok(done)
    }
}

impl Lookup {
    fn get<R>(&self, key: &str, found: impl FnOnce(Option<&[u8]>) -> R) -> R {
        match self {
            Self::Found(value) => found(value.as_deref()),
            Self::Record(record) => found(record.values.get(key)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_some_attempts_without_a_pause_pauses_grow_up_to_32_milliseconds() {
        let pauses = [0, 3, 4, 5, 6, 7, 8, 9, 10, 63].map(longest_pause);
        let expected = [0, 0, 1, 2, 4, 8, 16, 32, 32, 32];
        assert_eq!(pauses.map(Option::unwrap_or_default), expected);
    }
}
