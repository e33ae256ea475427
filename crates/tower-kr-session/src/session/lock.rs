//! The lock of a request's state: one call at a time has it, also while the store works.

use std::{
    future::poll_fn,
    mem,
    ops::{Deref, DerefMut},
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Poll, Waker},
};

use super::state::State;
use crate::transport::Candidates;

pub(super) struct StateLock(Mutex<Slot>);

enum Slot {
    /// No call has needed it yet: most requests never do, so it is not even made.
    Fresh(Candidates),
    Here(Box<State>),
    /// A call took it along; who waits for it.
    Away(Vec<Waker>),
}

impl Slot {
    /// Puts `self` away and gives the state, if it is here.
    fn take(&mut self) -> Option<Box<State>> {
        match mem::replace(self, Self::Away(Vec::new())) {
            Self::Fresh(candidates) => Some(Box::new(State::new(candidates))),
            Self::Here(state) => Some(state),
            Self::Away(waiting) => {
                *self = Self::Away(waiting);
                None
            }
        }
    }

    fn state(&mut self) -> Option<&mut State> {
        if let Self::Fresh(_) = self {
            let state = self.take()?;
            *self = Self::Here(state);
        }
        match self {
            Self::Here(state) => Some(state),
            Self::Fresh(_) | Self::Away(_) => None,
        }
    }
}

impl StateLock {
    pub(super) const fn new(candidates: Candidates) -> Self {
        Self(Mutex::new(Slot::Fresh(candidates)))
    }

    /// Runs `call` on the state, under the lock. `None` if another call took the state along.
    pub(super) fn with<R>(&self, call: impl FnOnce(&mut State) -> R) -> Option<R> {
        self.slot().state().map(call)
    }

    /// As [`with`](Self::with), if nobody has the lock at this moment.
    pub(super) fn try_with<R>(&self, call: impl FnOnce(&mut State) -> R) -> Option<R> {
        self.0.try_lock().ok()?.state().map(call)
    }

    pub(super) fn get_mut(&mut self) -> Option<&mut State> {
        let slot = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        slot.state()
    }

    /// Takes the state along, as soon as no other call has it.
    pub(super) async fn take(&self) -> Taken<'_> {
        poll_fn(|context| {
            let mut slot = self.slot();
            if let Some(state) = slot.take() {
                return Poll::Ready(self.taken(state));
            }
            if let Slot::Away(waiting) = &mut *slot
                && !waiting.iter().any(|other| other.will_wake(context.waker()))
            {
                waiting.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await
    }

    /// Takes the state along, if no other call has it.
    pub(super) fn try_take(&self) -> Option<Taken<'_>> {
        let state = self.slot().take()?;
        Some(self.taken(state))
    }

    const fn taken(&self, state: Box<State>) -> Taken<'_> {
        Taken {
            lock: self,
            state: Some(state),
        }
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        // A panic of a value's own code, while it is read, leaves the state as it was.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The state, until this is dropped.
pub(super) struct Taken<'a> {
    lock: &'a StateLock,
    /// `None` only while it is dropped.
    state: Option<Box<State>>,
}

impl Deref for Taken<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        self.state.as_ref().expect("it is put back last")
    }
}

impl DerefMut for Taken<'_> {
    fn deref_mut(&mut self) -> &mut State {
        self.state.as_mut().expect("it is put back last")
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let Some(state) = self.state.take() else {
            return;
        };
        let left = mem::replace(&mut *self.lock.slot(), Slot::Here(state));
        if let Slot::Away(waiting) = left {
            waiting.into_iter().for_each(Waker::wake);
        }
    }
}
