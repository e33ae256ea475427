//! The calls that most requests make, on a store that answers at once: as their twins with futures, and a third of their cost, most
//! of which was copying nested futures and what they hold.

use std::{mem, sync::atomic::Ordering};

use super::{
    Inner, Session,
    atomic::{Place, not_added},
    commit::{begin, persistent_until},
    in_place,
    notes::{Notes, ValueNotes},
    state::{State, View},
};
use crate::{
    config::Shared,
    error::SessionError,
    model::{ApplyOutcome, Delta, Instants, Operation, key::KeyBuf},
    store::ImmediateStore,
};

impl Session {
    /// Gives the value at a key to `found`. `None` if that takes a future.
    pub(super) fn find_now(
        &self,
        name: &str,
        found: &mut dyn FnMut(Option<&[u8]>),
    ) -> Option<Result<(), SessionError>> {
        let inner = &*self.inner;
        let store = inner.shared.store.immediate()?;
        // The caller's closure runs under the lock of the state, but not under the notes': what decodes a value can't use the session.
        inner.state.with(|state| {
            state.check()?;
            let at = inner.contact();
            if inner.was_noted() {
                return in_place(self.find(state, at, name, found));
            }
            if state.stored(name).is_none() {
                state.load_now(&inner.shared, store, at)?;
            }
            inner.set_settled(state, at);
            found(state.stored(name).flatten());
            Ok(())
        })
    }

    /// Adds to an integer. `None` if that takes a future.
    pub(super) fn add_now(&self, key: &KeyBuf, by: i64) -> Option<Result<i64, SessionError>> {
        let inner = &*self.inner;
        let store = inner.shared.store.immediate()?;
        let sum = inner.state.with(|state| {
            state.check()?;
            let at = inner.contact();
            let mut taken = ValueNotes::default();
            if inner.was_noted() || !matches!(state.view, View::Alive(_) | View::Unknown) {
                let mut notes = inner.notes();
                if notes.identity.sign_in.is_some() || !state.is_identified() {
                    return Ok(None);
                }
                if let Place::Notes = notes.place(&state.view, key)? {
                    return notes.add(key, by).map(Some);
                }
                taken = mem::take(&mut notes.values);
            }
            let mut delta = taken.into_delta(inner.shared.max_session_bytes);
            delta.operation = Some((key.clone(), Operation::Increment(by)));
            let applied = state.apply_now(&inner.shared, store, &delta, at)?;
            if let ApplyOutcome::Applied(receipt) = applied {
                inner.set_settled(state, at);
                return Ok(Some(receipt.incremented.unwrap_or_default()));
            }
            inner.notes().put_back(ValueNotes::of_delta(delta));
            match state.not_operated(&inner.shared, applied)? {
                Some(refused) => Err(not_added(key, &refused)),
                None => Ok(None),
            }
        })?;
        sum.transpose()
    }
}

impl Inner {
    /// Spares the commit the question whether there is something to do.
    fn set_settled(&self, state: &State, at: Instants) {
        let settled = state.is_settled(at.first_contact);
        self.settled.store(settled, Ordering::Relaxed);
    }
}

impl State {
    fn load_now(
        &mut self,
        shared: &Shared,
        store: &dyn ImmediateStore,
        at: Instants,
    ) -> Result<(), SessionError> {
        let Some(id) = self.unloaded() else {
            return in_place(self.choose(shared, at));
        };
        self.loaded(shared, store.load_now(id, at.first_contact), at)
    }

    pub(super) fn apply_now(
        &mut self,
        shared: &Shared,
        store: &dyn ImmediateStore,
        delta: &Delta,
        at: Instants,
    ) -> Result<ApplyOutcome, SessionError> {
        // The store edits values in place if nobody shares them. What was written need not be remembered: to load it anew is cheap.
        if !delta.is_touch() {
            self.forget();
        }
        let Some(token) = &self.token else {
            return Ok(ApplyOutcome::Missing);
        };
        let answer = store.apply_now(token.id(), &token.secret_hash(), delta, at);
        if let Ok(ApplyOutcome::Missing) = answer {
            self.ask_what_is_missing(shared, at);
        }
        self.applied(delta.clear, answer)
    }

    /// Stores what was noted, which is something.
    pub(super) fn store_now(
        &mut self,
        shared: &Shared,
        store: &dyn ImmediateStore,
        notes: &mut Notes,
        at: Instants,
    ) -> Result<(), SessionError> {
        let plain = notes.identity.is_empty() && self.is_identified();
        match self.view {
            View::Alive(_) | View::Unknown if plain => {
                let values = mem::take(&mut notes.values);
                let delta = values.into_delta(shared.max_session_bytes);
                let applied = self.apply_now(shared, store, &delta, at)?;
                if let ApplyOutcome::Applied(_) = applied {
                    return Ok(());
                }
                notes.values = ValueNotes::of_delta(delta);
                in_place(self.refused(shared, notes.take_work(at, true), applied))
            }
            View::Absent { .. } if plain => {
                let mut work = notes.take_work(at, true);
                let Some((new, record)) = begin(shared, &mut work)? else {
                    return Ok(());
                };
                let until = persistent_until(&record);
                let created = store.create_now(new.token.id(), record, at.now);
                let created = self.answered(created)?;
                self.started(shared, created, new, until, &work)
            }
            _ => in_place(self.store(shared, notes.take_work(at, true))),
        }
    }
}
