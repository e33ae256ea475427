//! Changes of values that are atomic at the store, at once.

use std::time::Duration;

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    Session,
    notes::{Noted, Notes},
    read::decode,
    state::{State, View},
    with_state,
    write::encode,
};
use crate::{
    config::Shared,
    error::SessionError,
    model::{
        ApplyOutcome, Instants, Operation, increment, integer_bytes,
        key::{Key, KeyBuf},
    },
};

/// How often an `update` is tried while other requests keep changing the value.
const UPDATE_ATTEMPTS: u32 = 64;

/// How many of them follow each other without a pause.
const EAGER_ATTEMPTS: u32 = 4;

/// Where a value stands that an atomic change is about.
pub(super) enum Place {
    /// In the notes, or nowhere since no session is there.
    Notes,
    /// In the store.
    Store,
}

impl Session {
    /// Adds to the integer at `key` and returns the sum; an absent value counts as 0. No increment of any request is lost.
    ///
    /// What was noted before goes along to the store.
    ///
    /// # Errors
    /// If the store can't answer, the key is invalid, the value is no integer of 64 bits, the sum doesn't fit into one, the
    /// session would become too large, or it ended since this request looked at it.
    pub async fn increment(&self, key: impl Key<i64>, by: i64) -> Result<i64, SessionError> {
        let key = key.to_key()?;
        if let Some(sum) = self.add_now(&key, by) {
            return sum;
        }
        with_state!(self, |state, at| self.add(state, at, &key, by))
    }

    async fn add(
        &self,
        state: &mut State,
        at: Instants,
        key: &KeyBuf,
        by: i64,
    ) -> Result<i64, SessionError> {
        loop {
            match self.place(state, key, at).await? {
                Place::Store => {
                    let operation = Operation::Increment(by);
                    match self.operate(state, key, operation, at).await? {
                        Some(applied) => return state.added(key, applied),
                        // Nobody's session: the notes are the place now.
                        None => continue,
                    }
                }
                Place::Notes => return self.inner.notes().add(key, by),
            }
        }
    }

    /// Replaces the value at `key` by what `change` makes of it (`None`: no value), and returns the new one. No update of any
    /// request is lost: if another one changed the value meanwhile, `change` runs again on what that one left.
    ///
    /// Nothing is locked while `change` runs, so it may run several times and must have no effects of its own. What was noted
    /// before goes along to the store.
    ///
    /// ```
    /// # use tower_kr_session::{Session, SessionError, SessionKey};
    /// const CART: SessionKey<Vec<u32>> = SessionKey::new("cart");
    ///
    /// # async fn handler(session: Session) -> Result<(), SessionError> {
    /// let cart = session
    ///     .update(CART, |cart| {
    ///         let mut cart = cart.unwrap_or_default();
    ///         cart.push(42);
    ///         Some(cart)
    ///     })
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`increment`](Self::increment), if the value is of another type, or if other requests were faster in each of 64
    /// attempts ([`SessionError::Contended`]).
    pub async fn update<T: Serialize + DeserializeOwned>(
        &self,
        key: impl Key<T>,
        mut change: impl FnMut(Option<T>) -> Option<T>,
    ) -> Result<Option<T>, SessionError> {
        let key = key.to_key()?;
        self.exchange(&key, |old| {
            let new = change(decode(key.as_str(), old)?);
            let bytes = new.as_ref().map(|new| encode(&key, new)).transpose()?;
            Ok((bytes, new))
        })
        .await
    }

    /// Removes the value at `key` and returns it. Of several requests at the same time one gets it: right for messages that are
    /// shown once.
    ///
    /// # Errors
    /// As [`update`](Self::update).
    pub async fn take<T: DeserializeOwned>(
        &self,
        key: impl Key<T>,
    ) -> Result<Option<T>, SessionError> {
        let key = key.to_key()?;
        self.exchange(&key, |old| Ok((None, decode(key.as_str(), old)?)))
            .await
    }

    /// Compare-and-set until it succeeds.
    async fn exchange<R>(
        &self,
        key: &KeyBuf,
        mut change: impl FnMut(Option<&[u8]>) -> Result<(Option<Bytes>, R), SessionError>,
    ) -> Result<R, SessionError> {
        for attempt in 0..UPDATE_ATTEMPTS {
            self.pause_before(attempt).await;
            let (expected, fresh) =
                with_state!(self, |state, at| self.value_to_exchange(state, at, key))?;
            // Nothing is locked here: other calls, of this request too, go on while the closure runs.
            let (new, result) = change(expected.as_deref())?;
            // Nothing to write; but a value that was read a while ago has to be confirmed.
            let unchanged = fresh && new == expected;
            if unchanged
                || with_state!(self, |state, at| self
                    .compare_and_set(state, at, key, &expected, &new))?
            {
                return Ok(result);
            }
        }
        Err(SessionError::Contended {
            key: key.clone(),
            attempts: UPDATE_ATTEMPTS,
        })
    }

    /// The value, and whether it is the one of now (rather than of an earlier read).
    async fn value_to_exchange(
        &self,
        state: &mut State,
        at: Instants,
        key: &KeyBuf,
    ) -> Result<(Option<Bytes>, bool), SessionError> {
        match self.place(state, key, at).await? {
            Place::Notes => {
                let noted = self.inner.notes().value(key.as_str()).or_absent().cloned();
                Ok((noted, true))
            }
            Place::Store => {
                let fresh = state.stored(key.as_str()).is_none();
                self.know(state, key.as_str(), at).await?;
                let stored = state.stored(key.as_str()).flatten();
                Ok((stored.map(Bytes::copy_from_slice), fresh))
            }
        }
    }

    /// `false` if the value is not the expected one any more.
    async fn compare_and_set(
        &self,
        state: &mut State,
        at: Instants,
        key: &KeyBuf,
        expected: &Option<Bytes>,
        new: &Option<Bytes>,
    ) -> Result<bool, SessionError> {
        match self.place(state, key, at).await? {
            Place::Store => {
                let operation = Operation::CompareAndSet {
                    expected: expected.clone(),
                    new: new.clone(),
                };
                match self.operate(state, key, operation, at).await? {
                    Some(ApplyOutcome::Applied(_)) => {
                        state.note_written(key, new.clone());
                        Ok(true)
                    }
                    Some(_) => {
                        state.forget();
                        Ok(false)
                    }
                    // Nobody's session: look again, at the notes.
                    None => Ok(false),
                }
            }
            Place::Notes => {
                let mut notes = self.inner.notes();
                let unchanged = notes.value(key.as_str()).or_absent() == expected.as_ref();
                if unchanged {
                    notes.values.change(key.clone(), new.clone());
                }
                Ok(unchanged)
            }
        }
    }

    /// Spreads requests that fight for one value over time.
    async fn pause_before(&self, attempt: u32) {
        if attempt < EAGER_ATTEMPTS {
            return;
        }
        if !self.inner.shared.store.needs_io() {
            return tokio::task::yield_now().await;
        }
        let longest = 1_u64 << (attempt - EAGER_ATTEMPTS).min(5);
        let pause = rand::random_range(0..=longest);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }

    /// Where the value of `key` stands now; an error if the session can't be written to.
    async fn place(
        &self,
        state: &mut State,
        key: &KeyBuf,
        at: Instants,
    ) -> Result<Place, SessionError> {
        state.choose(&self.inner.shared, at).await?;
        let signing_in = self.inner.notes().identity.sign_in.is_some();
        if signing_in {
            // Whose session it is decides whether its values still count.
            state.load(&self.inner.shared, at).await?;
            self.leave_other_owner(state);
        }
        let notes = self.inner.notes();
        notes.place(&state.view, key)
    }

    /// Sends an operation and the noted values. `None`: there is no session, so it is to be done on the notes.
    async fn operate(
        &self,
        state: &mut State,
        key: &KeyBuf,
        operation: Operation,
        at: Instants,
    ) -> Result<Option<ApplyOutcome>, SessionError> {
        if state.token.is_none() {
            return Ok(None);
        }
        let taken = std::mem::take(&mut self.inner.notes().values);
        let mut delta = taken
            .clone()
            .into_delta(self.inner.shared.max_session_bytes);
        delta.operation = Some((key.clone(), operation));
        let applied = state.apply(&self.inner.shared, delta, at).await?;
        if let ApplyOutcome::Applied(_) = applied {
            state.remember(taken.changes());
            return Ok(Some(applied));
        }
        self.inner.notes().put_back(taken);
        state.not_operated(&self.inner.shared, applied)
    }
}

impl Notes {
    /// Where the value of `key` stands now; an error if the session can't be written to.
    pub(super) fn place(&self, view: &View, key: &KeyBuf) -> Result<Place, SessionError> {
        let signing_in = self.identity.sign_in.is_some();
        match view {
            View::Ambiguous => Err(SessionError::AmbiguousCookie),
            _ if matches!(self.value(key.as_str()), Noted::Value(_)) => Ok(Place::Notes),
            View::Alive(_) | View::Unknown | View::Several(_) => Ok(Place::Store),
            _ if self.head_sent => {
                Err(SessionError::ResponseSent("a session can't start any more"))
            }
            View::Absent { .. } => Ok(Place::Notes),
            View::Superseded | View::Ended if signing_in => Ok(Place::Notes),
            View::Superseded => Err(SessionError::Superseded),
            View::Ended => Err(SessionError::Ended),
        }
    }

    /// Adds to a value that stands in the notes, or nowhere.
    pub(super) fn add(&mut self, key: &KeyBuf, by: i64) -> Result<i64, SessionError> {
        let noted = self.value(key.as_str()).or_absent();
        match increment(noted.map(|value| &value[..]), by) {
            Ok(sum) => {
                self.values.change(key.clone(), Some(integer_bytes(sum)));
                Ok(sum)
            }
            Err(failed) => Err(not_added(key, &failed)),
        }
    }
}

impl State {
    /// The sum that the store made.
    pub(super) fn added(
        &mut self,
        key: &KeyBuf,
        applied: ApplyOutcome,
    ) -> Result<i64, SessionError> {
        let ApplyOutcome::Applied(receipt) = applied else {
            return Err(not_added(key, &applied));
        };
        let sum = receipt.incremented.unwrap_or_default();
        self.note_written(key, Some(integer_bytes(sum)));
        Ok(sum)
    }

    /// What it means that the store did not do an operation. `None`: there is no session.
    pub(super) fn not_operated(
        &mut self,
        shared: &Shared,
        refused: ApplyOutcome,
    ) -> Result<Option<ApplyOutcome>, SessionError> {
        match refused {
            ApplyOutcome::Missing if self.seen_alive => {
                self.view = View::Ended;
                Err(SessionError::Ended)
            }
            ApplyOutcome::Missing => {
                self.view = View::Absent { expired: true };
                Ok(None)
            }
            ApplyOutcome::Superseded => {
                self.view = View::Superseded;
                Err(SessionError::Superseded)
            }
            ApplyOutcome::TooLarge { size } => Err(shared.too_large(size)),
            refused => Ok(Some(refused)),
        }
    }
}

pub(super) fn not_added(key: &KeyBuf, refused: &ApplyOutcome) -> SessionError {
    let key = key.clone();
    match refused {
        ApplyOutcome::NotAnInteger => SessionError::NotAnInteger { key },
        _ => SessionError::Overflow { key },
    }
}
