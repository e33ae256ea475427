//! The end of a request: the commit before the head of the response leaves.

use std::{
    future::Future,
    pin::pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, Waker},
};

use http::HeaderMap;
use tokio::sync::MutexGuard as StateGuard;

use super::{CLOSED, Inner, Session, UNTOUCHED, commit::Work, state::State};
use crate::{
    delta::Instants,
    error::SessionError,
    settings::ErrorHook,
    transport::{self, CookieChange},
};

/// What became of a session, and what the client has to be told even if that is an error: a token that
/// [`save`](Session::save) put into the store early is the only one that the client can go on with.
pub(crate) struct Committed {
    pub(crate) result: Result<(), SessionError>,
    pub(crate) cookie: Option<CookieChange>,
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
            self.inner.notes().head_sent = true;
        }
    }

    /// Commits in place if that needs no I/O.
    pub(crate) fn commit_at_once(&self) -> Option<Committed> {
        let state = self.inner.state.try_lock().ok()?;
        if self.inner.shared.store.needs_io() && self.inner.has_io_to_do(&state) {
            return None;
        }
        let commit = pin!(self.inner.commit(state));
        match commit.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(committed) => Some(committed),
            // Without I/O, and with the state in hand, there is nothing to wait for.
            Poll::Pending => Some(Committed {
                result: Err(SessionError::Interrupted),
                cookie: None,
            }),
        }
    }

    pub(crate) async fn commit(&self) -> Committed {
        let state = self.inner.state.lock().await;
        let committed = self.inner.commit(state).await;
        if committed.result.is_ok() {
            self.touch_in_background().await;
        }
        committed
    }

    /// The touch of a request that only read follows the response, without delaying it.
    async fn touch_in_background(&self) {
        let inner = Arc::clone(&self.inner);
        let touch = async move {
            let mut state = inner.state.lock().await;
            let now = inner.shared.now();
            if state.touch_is_due(inner.last_contact().now) {
                inner.touch(&mut state, now).await;
            }
        };
        if self.inner.shared.store.needs_io() {
            match tokio::runtime::Handle::try_current() {
                Ok(runtime) => drop(runtime.spawn(touch)),
                Err(_) => touch.await,
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

    fn has_io_to_do(&self, state: &State) -> bool {
        !self.notes().is_empty()
            || state.touch_is_due(self.last_contact().now)
            || state.is_poisoned()
    }

    /// Stores what the request noted, and closes the session.
    async fn commit(&self, mut state: StateGuard<'_, State>) -> Committed {
        let at = self.last_contact();
        let work = self.take_work(at, true);
        let result = match (state.check(), work) {
            (Err(error), _) => Err(error),
            (Ok(()), Some(work)) => self.store_work(&mut state, work).await,
            (Ok(()), None) => {
                if !self.shared.store.needs_io() && state.touch_is_due(at.now) {
                    self.touch(&mut state, at.now).await;
                }
                Ok(())
            }
        };
        Committed {
            result,
            cookie: state.cookie.take(),
        }
    }

    /// The times by which the commit is judged. A request that has nothing to store asks no clock once more: whether a touch is
    /// due was decided when it read.
    fn last_contact(&self) -> Instants {
        let notes = self.notes();
        match notes.first_contact {
            Some(first_contact) if notes.is_empty() => Instants::at(first_contact),
            first_contact => {
                let now = self.shared.now();
                Instants {
                    first_contact: first_contact.unwrap_or(now),
                    now,
                }
            }
        }
    }
}
