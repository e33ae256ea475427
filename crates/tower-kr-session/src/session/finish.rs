//! The end of a request: the commit before the head of the response leaves.

use std::{
    mem,
    sync::{
        Arc, PoisonError,
        atomic::{Ordering, fence},
    },
};

use super::{Inner, Session, commit::Work, in_place, notes::Notes, state::State};
use crate::{
    config::{ErrorHook, Shared},
    error::SessionError,
    model::{Instants, Timestamp},
    transport::{self, CookieChange},
};
use http::HeaderMap;

/// What became of a session, and what the client has to be told even if that is an error: a token that
/// [`save`](Session::save) put into the store early is the only one that the client can go on with.
pub(crate) struct Committed {
    pub(crate) result: Result<(), SessionError>,
    pub(crate) cookie: Option<Box<CookieChange>>,
}

impl Committed {
    const fn failed(error: SessionError) -> Self {
        Self {
            result: Err(error),
            cookie: None,
        }
    }
}

/// How far a commit got without waiting.
pub(crate) enum AtOnce {
    /// Nobody used the session.
    Untouched,
    /// All is stored, and there is nothing to tell the client.
    Unchanged,
    Done(Committed),
    /// There is I/O to do, or a call is running.
    Later,
}

impl Session {
    /// Commits in place if that needs no I/O.
    pub(crate) fn commit_at_once(&mut self) -> AtOnce {
        if let Some(nothing) = self.nothing_to_do() {
            return nothing;
        }
        let mut touch = None;
        // Most often the handler's handles are gone by now, and nothing has to be locked.
        let at_once = match Arc::get_mut(&mut self.inner) {
            Some(inner) => inner.finish_alone(&mut touch),
            None => self.inner.finish(&mut touch),
        };
        if let Some(at) = touch {
            self.touch_in_background(at);
        }
        at_once
    }

    /// What becomes of a session that needs no commit: nobody used it, or nothing is left to do, and nobody has a handle any more. A
    /// request that only reads is spared 15 ns by this, of the 400 that the layer costs it, and one that does nothing 5 of 130.
    fn nothing_to_do(&self) -> Option<AtOnce> {
        let inner = &*self.inner;
        if Arc::strong_count(&self.inner) > 1 {
            return None;
        }
        // What the others did before they let go of their handles is seen from here on.
        fence(Ordering::Acquire);
        if inner.first_contact.get().is_none() {
            return Some(AtOnce::Untouched);
        }
        let settled = inner.settled.load(Ordering::Relaxed) && !inner.was_noted();
        settled.then_some(AtOnce::Unchanged)
    }

    /// The request ends without a commit.
    pub(crate) fn abandon(&self) {
        let mut notes = self.inner.notes();
        notes.head_sent = true;
        notes.abandoned = true;
        // What the handler noted dies with it: no handle that outlives it can store that.
        if !notes.is_empty() {
            notes.lose(SessionError::Interrupted);
        }
    }

    /// Commits what could not be committed [at once](Self::commit_at_once).
    pub(crate) async fn commit(&self) -> Committed {
        let shared = &self.inner.shared;
        let mut state = match self.inner.take_state().await {
            Ok(state) => state,
            Err(error) => {
                self.abandon();
                return Committed::failed(error);
            }
        };
        let first_contact = self.inner.first_contact.get();
        let first_contact = first_contact.unwrap_or_else(|| shared.now());
        let (work, at) = self.inner.notes().close(shared, first_contact);
        let committed = state.commit(shared, work).await;
        match &committed.result {
            Ok(()) if state.touch_is_due(at.now) => self.touch_in_background(at),
            Ok(()) => {}
            Err(error) => self.inner.notes().lose(error.clone()),
        }
        committed
    }

    /// The touch of a request that only read follows the response, without delaying it.
    fn touch_in_background(&self, at: Instants) {
        let inner = Arc::clone(&self.inner);
        let touch = async move {
            if let Ok(mut state) = inner.take_state().await
                && state.touch_is_due(at.now)
            {
                state.touch(&inner.shared, at).await;
            }
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(touch)),
            Err(error) => {
                tracing::warn!(%error, "a session can't be touched outside of a tokio runtime")
            }
        }
    }

    pub(crate) fn send(&self, change: &CookieChange, headers: &mut HeaderMap) {
        let inner = &self.inner;
        if let Err(error) = transport::send(change, headers, &inner.shared, inner.https) {
            // The template was checked at start and a token is always a cookie value: only a clock far off gets here.
            tracing::error!(%error, "could not write the session cookie");
        }
    }

    pub(crate) fn error_hook(&self) -> Option<&ErrorHook> {
        self.inner.shared.on_error.as_ref()
    }

    pub(crate) fn log_failure(&self, error: &SessionError) {
        let shared = &self.inner.shared;
        shared.events.commit_failed(error, shared.now());
    }
}

impl Inner {
    /// Commits in place if that can be done; `touch` says whether one has to follow.
    fn finish(&self, touch: &mut Option<Instants>) -> AtOnce {
        let mut notes = self.notes();
        let Some(first_contact) = self.first_contact.get() else {
            notes.head_sent = true;
            return AtOnce::Untouched;
        };
        drop(notes);
        self.state
            .with(|state| state.finish(&self.shared, &mut self.notes(), first_contact, touch))
            .unwrap_or(AtOnce::Later)
    }

    /// The same where nobody else can have a handle.
    fn finish_alone(&mut self, touch: &mut Option<Instants>) -> AtOnce {
        let notes = self.notes.get_mut();
        let notes = notes.unwrap_or_else(PoisonError::into_inner);
        let Some(first_contact) = self.first_contact.get() else {
            return AtOnce::Untouched;
        };
        match self.state.get_mut() {
            Some(state) => state.finish(&self.shared, notes, first_contact, touch),
            None => AtOnce::Later,
        }
    }
}

impl Notes {
    /// Takes what was noted. `closing`: the commit takes it, and from here on the head of the response is on its way.
    pub(super) fn take_work(&mut self, at: Instants, closing: bool) -> Work {
        let head_sent = self.head_sent;
        self.head_sent |= closing;
        Work {
            values: mem::take(&mut self.values),
            identity: mem::take(&mut self.identity),
            at,
            head_sent,
            withheld: self.withheld,
            last: closing,
        }
    }

    /// Takes what was noted, if that is anything, for the last time.
    fn close(&mut self, shared: &Shared, first_contact: Timestamp) -> (Option<Work>, Instants) {
        let at = self.closing_time(shared, first_contact);
        let work = (!self.is_empty()).then(|| self.take_work(at, true));
        self.head_sent = true;
        (work, at)
    }

    /// A request that has nothing to store asks no clock once more: whether a touch is due is judged by when it began.
    fn closing_time(&self, shared: &Shared, first_contact: Timestamp) -> Instants {
        if self.is_empty() {
            return Instants::at(first_contact);
        }
        Instants {
            first_contact,
            now: shared.now(),
        }
    }
}

impl State {
    fn finish(
        &mut self,
        shared: &Shared,
        notes: &mut Notes,
        first_contact: Timestamp,
        touch: &mut Option<Instants>,
    ) -> AtOnce {
        let at = notes.closing_time(shared, first_contact);
        let result = match (shared.store.immediate(), self.check()) {
            (Some(store), Ok(())) if !notes.is_empty() => self.store_now(shared, store, notes, at),
            (Some(_), Ok(())) if self.touch_is_due(at.now) => in_place(async {
                self.touch(shared, at).await;
                Ok(())
            }),
            (Some(_), checked) => checked,
            (None, Ok(())) if notes.is_empty() => {
                *touch = self.touch_is_due(at.now).then_some(at);
                Ok(())
            }
            // What is noted stays where it is until the commit has the state, or a note made meanwhile would be between two stools.
            (None, _) => return AtOnce::Later,
        };
        notes.head_sent = true;
        if let Err(error) = &result {
            // Nothing that was not stored may be stored later.
            notes.lose(error.clone());
        }
        if result.is_ok() && self.cookie.is_none() {
            return AtOnce::Unchanged;
        }
        AtOnce::Done(self.committed(result))
    }

    /// Stores what the request noted.
    async fn commit(&mut self, shared: &Shared, work: Option<Work>) -> Committed {
        let result = match (self.check(), work) {
            (Ok(()), Some(work)) => self.store(shared, work).await,
            (checked, _) => checked,
        };
        self.committed(result)
    }

    fn committed(&mut self, result: Result<(), SessionError>) -> Committed {
        Committed {
            result,
            cookie: self.cookie.take(),
        }
    }
}
