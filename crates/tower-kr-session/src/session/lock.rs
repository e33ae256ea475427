//! The lock of a request's state: one call at a time has it, also while the store works.

use std::{
    mem,
    ops::{Deref, DerefMut},
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

use tokio::sync::{Mutex as Turns, MutexGuard as Turn};

use super::state::State;
use crate::transport::Candidates;

pub(super) struct StateLock {
    slot: Mutex<Slot>,
    /// Calls that wait get their turns in the order in which they came: a handle in steady use must not hold up the commit. Calls
    /// that are made in place need none.
    /// Made for the first of them, since each request pays for what its handle holds.
    turns: OnceLock<Box<Turns<()>>>,
}

enum Slot {
    /// No call has needed it yet: most requests never do, so it is not even made.
    Fresh(Candidates),
    Here(State),
    /// The call whose turn it is took it along.
    Away,
}

impl Slot {
    fn state(&mut self) -> Option<&mut State> {
        if let Self::Fresh(candidates) = self {
            *self = Self::Here(State::new(candidates));
        }
        match self {
            Self::Here(state) => Some(state),
            Self::Fresh(_) | Self::Away => None,
        }
    }

    fn take(&mut self) -> Option<State> {
        self.state()?;
        match mem::replace(self, Self::Away) {
            Self::Here(state) => Some(state),
            Self::Fresh(_) | Self::Away => None,
        }
    }
}

impl StateLock {
    pub(super) const fn new(candidates: Candidates) -> Self {
        Self {
            slot: Mutex::new(Slot::Fresh(candidates)),
            turns: OnceLock::new(),
        }
    }

    /// Runs `call` on the state, under the lock. `None` if another call took the state along.
    pub(super) fn with<R>(&self, call: impl FnOnce(&mut State) -> R) -> Option<R> {
        self.slot().state().map(call)
    }

    /// As [`with`](Self::with), if nobody has the lock at this moment.
    pub(super) fn try_with<R>(&self, call: impl FnOnce(&mut State) -> R) -> Option<R> {
        self.slot.try_lock().ok()?.state().map(call)
    }

    pub(super) fn get_mut(&mut self) -> Option<&mut State> {
        let slot = self.slot.get_mut().unwrap_or_else(PoisonError::into_inner);
        slot.state()
    }

    /// Takes the state along, when it is this call's turn.
    pub(super) async fn take(&self) -> Taken<'_> {
        let turn = self.turns().lock().await;
        self.taken(turn)
    }

    /// Takes the state along, if no other call has it or waits for it.
    pub(super) fn try_take(&self) -> Option<Taken<'_>> {
        let turn = self.turns().try_lock().ok()?;
        Some(self.taken(turn))
    }

    fn taken<'a>(&'a self, turn: Turn<'a, ()>) -> Taken<'a> {
        Taken {
            lock: self,
            state: self.slot().take(),
            _turn: turn,
        }
    }

    fn turns(&self) -> &Turns<()> {
        self.turns.get_or_init(Box::default)
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        // A panic of a value's own code, while it is read, leaves the state as it was.
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The state, until this is dropped. Then it is put back before the turn ends.
pub(super) struct Taken<'a> {
    lock: &'a StateLock,
    /// `None` only while it is dropped: whoever has the turn has the state.
    state: Option<State>,
    _turn: Turn<'a, ()>,
}

impl Deref for Taken<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        self.state.as_ref().expect("whose turn it is has the state")
    }
}

impl DerefMut for Taken<'_> {
    fn deref_mut(&mut self) -> &mut State {
        self.state.as_mut().expect("whose turn it is has the state")
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if let Some(state) = self.state.take() {
            *self.lock.slot() = Slot::Here(state);
        }
    }
}
