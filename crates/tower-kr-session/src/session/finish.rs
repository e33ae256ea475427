//! The end of a request: the commit before the head of the response leaves.

use std::{
    future::Future,
    pin::pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, Waker},
};

use super::{CLOSED, Inner, Session, UNTOUCHED, commit::Work, notes::Notes, state::State};
use crate::{
    delta::Instants,
    error::SessionError,
    settings::ErrorHook,
    transport::{self, CookieChange},
};
use http::HeaderMap;

/// What became of a session, and what the client has to be told even if that is an error: a token that
/// [`save`](Session::save) put into the store early is the only one that the client can go on with.
pub(crate) struct Committed {
    pub(crate) result: Result<(), SessionError>,
    pub(crate) cookie: Option<CookieChange>,
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
    Done(Committed),
    /// There is I/O to do, or a call is running; with what was taken from the notes, if that much could be done.
    Later(Option<Work>),
}

impl Session {
    /// Closes a session that was not used, without taking a lock. `false` if it was used.
    pub(crate) fn close_untouched(&self) -> bool {
        self.inner
            .phase
            .compare_exchange(UNTOUCHED, CLOSED, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// The request ends without a commit.
    pub(crate) fn abandon(&self) {
        if !self.close_untouched() {
            let mut notes = self.inner.notes();
            let first_contact = notes.first_contact;
            // What the handler noted dies with it: no handle that outlives it can store that.
            *notes = Notes {
                first_contact,
                head_sent: true,
                ..Notes::default()
            };
        }
    }

    /// Commits in place if that needs no I/O.
    pub(crate) fn commit_at_once(&self) -> AtOnce {
        let Ok(mut state) = self.inner.state.try_lock() else {
            return AtOnce::Later(None);
        };
        let (work, at) = self.inner.close();
        let needs_io = self.inner.shared.store.needs_io();
        if needs_io && (work.is_some() || state.check().is_err()) {
            return AtOnce::Later(work);
        }
        if needs_io && state.touch_is_due(at.now) {
            self.touch_in_background(at);
            return AtOnce::Done(Committed {
                result: Ok(()),
                cookie: state.cookie.take(),
            });
        }
        let commit = pin!(self.inner.commit(&mut state, work, at));
        match commit.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(committed) => AtOnce::Done(committed),
            // Without I/O, and with the state in hand, there is nothing to wait for.
            Poll::Pending => AtOnce::Done(Committed::failed(SessionError::Interrupted)),
        }
    }

    /// Commits; `work` is what [`commit_at_once`](Self::commit_at_once) took from the notes.
    pub(crate) async fn commit(&self, work: Option<Work>) -> Committed {
        let mut state = match self.inner.lock_state().await {
            Ok(state) => state,
            Err(error) => {
                self.abandon();
                return Committed::failed(error);
            }
        };
        let (noted, at) = self.inner.close();
        let committed = self.inner.commit(&mut state, work.or(noted), at).await;
        if committed.result.is_ok() && state.touch_is_due(at.now) {
            self.touch_in_background(at);
        }
        committed
    }

    /// The touch of a request that only read follows the response, without delaying it.
    fn touch_in_background(&self, at: Instants) {
        let inner = Arc::clone(&self.inner);
        let touch = async move {
            if let Ok(mut state) = inner.lock_state().await
                && state.touch_is_due(at.now)
            {
                inner.touch(&mut state, at).await;
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
        if error.is_temporary() {
            if let Some(suppressed) = shared.failure_log.permit(shared.now()) {
                tracing::error!(%error, suppressed, "could not commit a session");
            }
        } else {
            tracing::debug!(%error, "did not commit a session");
        }
    }
}

impl Inner {
    /// Takes what was noted. `closing`: the commit takes it, and from here on the head of the response is on its way.
    pub(super) fn take_work(&self, at: Instants, closing: bool) -> Option<Work> {
        let mut notes = self.notes();
        let work = (!notes.is_empty()).then(|| Work {
            values: std::mem::take(&mut notes.values),
            identity: std::mem::take(&mut notes.identity),
            at,
            head_sent: notes.head_sent,
            last: closing,
        });
        notes.head_sent |= closing;
        work
    }

    /// Takes what was noted, for the last time: from here on the head of the response is on its way. A request that has nothing
    /// to store asks no clock once more: a touch is judged by when it began.
    fn close(&self) -> (Option<Work>, Instants) {
        let (first_contact, idle) = {
            let notes = self.notes();
            (notes.first_contact, notes.is_empty())
        };
        let at = match first_contact {
            Some(first_contact) if idle => Instants::at(first_contact),
            first_contact => {
                let now = self.shared.now();
                Instants {
                    first_contact: first_contact.unwrap_or(now),
                    now,
                }
            }
        };
        (self.take_work(at, true), at)
    }

    /// Stores what the request noted.
    async fn commit(&self, state: &mut State, work: Option<Work>, at: Instants) -> Committed {
        let result = match (state.check(), work) {
            (Err(error), _) => Err(error),
            (Ok(()), Some(work)) => self.store_work(state, work).await,
            (Ok(()), None) => {
                if !self.shared.store.needs_io() && state.touch_is_due(at.now) {
                    self.touch(state, at).await;
                }
                Ok(())
            }
        };
        Committed {
            result,
            cookie: state.cookie.take(),
        }
    }
}
