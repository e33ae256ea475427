//! The session, as a handler sees it.

mod atomic;
mod commit;
mod contact;
mod finish;
mod identity;
mod immediate;
mod lock;
mod missing;
mod notes;
mod read;
mod sign_in;
mod state;
mod write;

use std::{
    fmt,
    future::Future,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
};

pub(crate) use self::finish::{AtOnce, Committed};
pub use self::identity::Status;
use self::{
    contact::FirstContact,
    lock::{StateLock, Taken},
    notes::Notes,
    state::State,
};
use crate::{
    config::Shared, error::SessionError, model::Instants, store::StoreError, transport::Candidates,
};

/// The session of a request. A clone is the same session.
///
/// Nothing is loaded until the first read, and nothing is stored until the response is ready; a request that doesn't use its
/// session costs the store nothing. `.await` stands exactly where I/O may happen:
///
/// | call | when it reaches the store |
/// |---|---|
/// | [`get`](Self::get), [`contains_key`](Self::contains_key), [`keys`](Self::keys), [`id`](Self::id), [`status`](Self::status), [`owner`](Self::owner), … | the first one loads the session; later ones are answered from it |
/// | [`insert`](Self::insert), [`remove`](Self::remove), [`clear`](Self::clear) | noted; stored in one commit before the response leaves |
/// | [`increment`](Self::increment), [`update`](Self::update), [`take`](Self::take) | at once and atomic: nothing is lost between requests |
/// | [`sign_in`](Self::sign_in), [`rotate`](Self::rotate), [`destroy`](Self::destroy) | noted; done in the commit |
/// | [`save`](Self::save) | commits now |
///
/// Values are JSON of any serde type; the `_bytes` calls take and give raw bytes. Two requests that `insert` at the same key: the
/// last one wins. Two requests that change different keys never undo each other.
///
/// ```
/// use tower_kr_session::{Session, SessionError, SessionKey};
///
/// const VISITS: SessionKey<i64> = SessionKey::new("visits");
///
/// async fn visits(session: Session) -> Result<String, SessionError> {
///     let visits = session.increment(VISITS, 1).await?;
///     Ok(format!("You were here {visits} times"))
/// }
/// ```
#[derive(Clone)]
pub struct Session {
    inner: Arc<Inner>,
    detached: bool,
}

pub(crate) struct Inner {
    shared: Arc<Shared>,
    https: bool,
    first_contact: FirstContact,
    /// Whether anybody looked at the notes: until then they say nothing, and a read need not lock them.
    noted: AtomicBool,
    notes: Mutex<Notes>,
    /// Whether the last call left nothing for a commit to do, besides what is noted.
    settled: AtomicBool,
    /// One call at a time has it, also while the store works: so a load happens once, and what a call takes along from the notes
    /// can't be missed by a read.
    state: StateLock,
}

/// Runs a call on the state: in place if the store needs no I/O, or else as a future of its own, which keeps the one of the handler
/// small.
macro_rules! with_state {
    ($session:expr, |$state:ident, $at:ident| $call:expr) => {
        match $session.at_once(|$state, $at| $crate::session::in_place($call)) {
            Some(answer) => answer,
            None => {
                let waiting = async {
                    let (mut taken, $at) = $session.begin().await?;
                    let $state = &mut *taken;
                    $call.await
                };
                Box::pin(waiting).await
            }
        }
    };
}
use with_state;

impl Session {
    pub(crate) fn new(
        shared: Arc<Shared>,
        candidates: Candidates,
        https: bool,
        withheld: bool,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                shared,
                https,
                first_contact: FirstContact::none(),
                noted: AtomicBool::new(false),
                notes: Mutex::new(Notes {
                    withheld,
                    ..Notes::default()
                }),
                settled: AtomicBool::new(false),
                state: StateLock::new(candidates),
            }),
            detached: false,
        }
    }

    /// Stores everything noted so far, now: to know that it is stored before going on, or from a stream or socket whose response
    /// head has left (see [`detach`](Self::detach)).
    ///
    /// # Errors
    /// As the commit at the end of the request: if the store can't answer, the session would become too large, or it ended or
    /// changed its token since this request looked at it. What was noted is then dropped, and nothing of it is stored. If the
    /// session can't start for want of [consent](crate::SessionLayer::consent_when), the values that were noted stay for this request.
    ///
    /// On a handle that outlives its request also, once, if what was noted went with the request: with the error of a commit that was
    /// refused, or [`SessionError::Interrupted`] if the client left before the response.
    pub async fn save(&self) -> Result<(), SessionError> {
        with_state!(self, |state, at| self.save_now(state, at))
    }

    async fn save_now(&self, state: &mut State, at: Instants) -> Result<(), SessionError> {
        let (kept, work) = {
            let mut notes = self.inner.notes();
            if let Some(lost) = notes.lost.take() {
                return Err(*lost);
            }
            if notes.is_empty() {
                return Ok(());
            }
            let kept = notes.withheld.then(|| notes.values.clone());
            (kept, notes.take_work(at, false))
        };
        let saved = state.store(&self.inner.shared, work).await;
        if let (Err(SessionError::NoConsent), Some(kept)) = (&saved, kept) {
            // The request goes on with what it noted.
            self.inner.notes().values.put_back(kept);
        }
        saved
    }

    /// A handle for work that outlives the response: a stream, a socket, a spawned task. On it, changes of values and
    /// [`destroy`](Self::destroy) can be noted after the response head has left, and whoever does so calls
    /// [`save`](Self::save). Without it they are an error then, since nothing would store them.
    ///
    /// ```
    /// # use tower_kr_session::{Session, SessionError};
    /// # async fn handler(session: Session) -> Result<(), SessionError> {
    /// let session = session.detach();
    /// tokio::spawn(async move {
    ///     session.insert("progress", &100)?;
    ///     session.save().await
    /// });
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn detach(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            detached: true,
        }
    }

    /// Takes the state along for a call that may wait.
    async fn begin(&self) -> Result<(Taken<'_>, Instants), SessionError> {
        let at = self.inner.contact();
        let mut state = self.inner.take_state().await?;
        state.check()?;
        Ok((state, at))
    }

    /// Makes a call in place. `None` if it has to wait, for the store or for another call.
    fn at_once<R>(
        &self,
        call: impl FnOnce(&mut State, Instants) -> Result<R, SessionError>,
    ) -> Option<Result<R, SessionError>> {
        if self.inner.shared.store.needs_io() {
            return None;
        }
        self.inner.state.with(|state| {
            let at = self.inner.contact();
            state.check()?;
            call(state, at)
        })
    }

    /// The notes, to add to them.
    fn write(&self) -> Result<MutexGuard<'_, Notes>, SessionError> {
        let notes = self.inner.notes_to_change();
        if notes.head_sent && !self.detached {
            return Err(SessionError::ResponseSent(
                "a change would not be stored; take `session.detach()` and call `save` on it",
            ));
        }
        Ok(notes)
    }

    /// The notes, to add what needs a cookie.
    fn write_identity(&self) -> Result<MutexGuard<'_, Notes>, SessionError> {
        let notes = self.inner.notes_to_change();
        if notes.head_sent {
            return Err(SessionError::ResponseSent("no cookie can be sent any more"));
        }
        Ok(notes)
    }
}

impl Inner {
    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.noted.store(true, Ordering::Relaxed);
        // A panic can't leave half a note behind.
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the notes may say anything. Whoever comes after a note sees that it was made, by whatever made him come after it.
    fn was_noted(&self) -> bool {
        self.noted.load(Ordering::Relaxed)
    }

    /// The state, as soon as no other call of this request has it. That one may be a future that was polled once and is kept
    /// without being polled on, so the wait has an end.
    async fn take_state(&self) -> Result<Taken<'_>, SessionError> {
        if let Some(state) = self.state.try_take() {
            return Ok(state);
        }
        let wait = tokio::time::timeout(self.shared.io_timeout, self.state.take());
        Box::pin(wait)
            .await
            .map_err(|_| SessionError::Store(StoreError::TimedOut))
    }

    /// The times by which a call is judged: now, and when the request first used its session. A handle that outlives the request is
    /// judged by the time of each call alone, or it could bring back what expired since.
    fn contact(&self) -> Instants {
        self.settled.store(false, Ordering::Relaxed);
        let now = self.shared.now();
        if self.was_noted() && self.notes().head_sent {
            return Instants::at(now);
        }
        Instants {
            first_contact: self.first_contact.get_or_set(now),
            now,
        }
    }

    /// The notes, to add to them: no clock is read for what only waits for the commit, once there was a first contact.
    fn notes_to_change(&self) -> MutexGuard<'_, Notes> {
        if self.first_contact.get().is_none() {
            self.first_contact.get_or_set(self.shared.now());
        }
        self.notes()
    }
}

/// The result of a call that has nothing to wait for: the store needs no I/O, and the state is in hand.
fn in_place<T>(call: impl Future<Output = Result<T, SessionError>>) -> Result<T, SessionError> {
    match pin!(call).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => Err(SessionError::Interrupted),
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.inner.state.try_with(|state| state.id()).flatten();
        f.debug_struct("Session")
            .field("id", &id)
            .finish_non_exhaustive()
    }
}
