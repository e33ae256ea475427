//! The one place where a request calls the store.
//!
//! Calls that ask the store take turns, from the plan to the moment when the answer is taken in.
//! Without turns, an older snapshot that comes late would hide a newer write of the same request.

use std::{
    future::Future,
    mem,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use tokio::sync::Notify;

use super::{request::Request, view::View};
use crate::{
    config::{Config, Head},
    error::SessionError,
    model::{ApplyOutcome, Delta, Instants, Owner, Record, SessionId, Token, TokenState},
    store::{CreateOutcome, RemoveOutcome, SessionSummary, StoreError, erased::Answer},
    transport::Candidates,
};

/// What a call finds out before it asks the store.
type Check = fn(&mut Request) -> Result<(), SessionError>;

/// The session of one request; all its handles share it.
pub(super) struct Inner {
    pub(super) config: Arc<Config>,
    pub(super) head: Head,
    /// Locked for moments only: never while the store works, nor while code of the application
    /// runs.
    request: Mutex<Request>,
    /// Where calls wait for their turn, since the first one that had to. From then on every call
    /// goes through it: a handle in steady use can't hold up the commit.
    line: OnceLock<Box<Line>>,
}

#[derive(Default)]
struct Line {
    /// The first in the line has this; the others wait for it in order.
    first: tokio::sync::Mutex<()>,
    turn_ended: Notify,
}

impl Inner {
    #[inline]
    pub(super) fn new(config: Arc<Config>, candidates: Candidates, head: Head) -> Self {
        let loads_anew = config.store.answers_at_once();
        let request = Request::new(candidates, config.max_session_bytes, loads_anew);
        Self {
            config,
            head,
            request: Mutex::new(request),
            line: OnceLock::new(),
        }
    }

    pub(super) fn request(&self) -> MutexGuard<'_, Request> {
        // A panic can't leave half a decision behind.
        self.request.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn request_mut(&mut self) -> &mut Request {
        let request = self.request.get_mut();
        request.unwrap_or_else(PoisonError::into_inner)
    }

    /// The session's id, if it is known and nobody holds the lock.
    pub(super) fn try_id(&self) -> Option<SessionId> {
        self.request.try_lock().ok()?.id()
    }

    /// The request, at the time of a call that only notes something.
    pub(super) fn contact(&self) -> MutexGuard<'_, Request> {
        let now = self.config.now();
        let mut request = self.request();
        request.contact(now, self.config.token_name());
        request
    }

    /// Waits for this call's turn.
    ///
    /// # Errors
    /// If an earlier call of this request failed or was dropped, or has not ended within the I/O
    /// timeout: one that was polled once and is kept without being polled on.
    pub(super) async fn turn(&self) -> Result<Turn<'_>, SessionError> {
        self.turn_if(Request::check).await
    }

    /// As [`turn`](Self::turn), for a call that finds out what became of earlier ones.
    pub(super) async fn turn_to_reload(&self) -> Result<Turn<'_>, SessionError> {
        self.turn_if(Request::check_to_reload).await
    }

    async fn turn_if(&self, check: Check) -> Result<Turn<'_>, SessionError> {
        let (at, checked) = self.try_turn(check);
        if let Some(checked) = checked {
            let turn = Turn { inner: self, at };
            return checked.map(|()| turn);
        }
        let turn = self.turn_at(at).await?;
        check(&mut self.request())?;
        Ok(turn)
    }

    /// Begins the turn if nobody else has it or waits for it: what most calls find takes one lock.
    fn try_turn(&self, check: Check) -> (Instants, Option<Result<(), SessionError>>) {
        let now = self.config.now();
        let mut request = self.request();
        let at = request.contact(now, self.config.token_name());
        let begins = self.line.get().is_none() && request.begin_turn();
        (at, begins.then(|| check(&mut request)))
    }

    /// As [`turn`](Self::turn), without a look at what became of earlier calls.
    pub(super) async fn turn_at(&self, at: Instants) -> Result<Turn<'_>, SessionError> {
        if self.line.get().is_some() || !self.request().begin_turn() {
            // Apart, since it is rare and would make each call's future larger.
            let wait = Box::pin(tokio::time::timeout(self.config.io_timeout, self.wait()));
            let waited = wait.await;
            waited.map_err(|_| SessionError::Store(StoreError::TimedOut))?;
        }
        Ok(Turn { inner: self, at })
    }

    async fn wait(&self) {
        let line = self.line.get_or_init(Box::default);
        let _first = line.first.lock().await;
        while !self.request().begin_turn() {
            line.turn_ended.notified().await;
        }
    }

    /// Lets work that the response need not wait for go on beside the request, unless the store
    /// answers at once or nothing goes on after a response.
    pub(super) async fn beside(&self, work: impl Future<Output = ()> + Send + 'static) {
        let waits = self.config.store.answers_at_once() || self.config.await_touch;
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) if !waits => drop(runtime.spawn(work)),
            _ => work.await,
        }
    }
}

/// The turn of a call to ask the store.
pub(super) struct Turn<'a> {
    pub(super) inner: &'a Inner,
    /// The times by which the call is judged.
    pub(super) at: Instants,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.request().has_turn = false;
        if let Some(line) = self.inner.line.get() {
            line.turn_ended.notify_one();
        }
    }
}

impl Turn<'_> {
    pub(super) fn request(&self) -> MutexGuard<'_, Request> {
        self.inner.request()
    }

    pub(super) fn config(&self) -> &Config {
        &self.inner.config
    }

    /// Loads until the request knows enough for `decide` to return something.
    pub(super) async fn know<T>(
        &self,
        mut decide: impl FnMut(&mut Request) -> Result<Option<T>, SessionError>,
    ) -> Result<T, SessionError> {
        loop {
            if let Some(known) = decide(&mut self.request())? {
                return Ok(known);
            }
            self.load().await?;
        }
    }

    /// Makes sure that the record is here, if there is one. A load may be dropped: the next call
    /// asks anew.
    pub(super) async fn load(&self) -> Result<(), SessionError> {
        let mut next = self.request().to_load();
        while let Some(token) = next {
            let answer = self.config().store.load(token.id(), self.at.first_contact);
            let answer = answer.within(self.config().io_timeout).await;
            let record = answer.map_err(|error| self.request().fail(error))?;
            let state = self.judge(token, record.as_deref())?;
            let mut request = self.request();
            let ambiguous = request.loaded(token, state, record);
            next = request.to_load();
            drop(request);
            if ambiguous {
                let what = "cookies of several live sessions";
                self.config().events.ambiguous(what, self.at.now);
            }
        }
        Ok(())
    }

    /// How a token stands to the record of its id.
    fn judge(&self, token: Token, record: Option<&Record>) -> Result<TokenState, SessionError> {
        let state = match record {
            Some(record) => record.token_state(token.secret_hash(), self.at),
            None => TokenState::Missing,
        };
        // If the request has seen the session alive, whoever ended it meanwhile reported that.
        if state == TokenState::Missing && !self.request().seen_alive {
            let events = &self.config().events;
            events.opened_nothing(token.id(), record, self.at);
        }
        #[cfg(feature = "device-bound")]
        if let (TokenState::Current, Some(record)) = (state, record) {
            return self.judge_device(token, record);
        }
        Ok(state)
    }

    /// Sends a delta for the session of this token.
    pub(super) async fn apply(
        &self,
        token: &Token,
        delta: &mut Delta,
    ) -> Result<ApplyOutcome, SessionError> {
        self.request().before_write(delta);
        let (id, secret) = (token.id(), token.secret_hash());
        let answer = self.config().store.apply(id, secret, delta, self.at);
        let outcome = self.change(answer).await?;
        match &outcome {
            ApplyOutcome::Applied(receipt) => {
                self.config().wrote(self.at.now);
                self.request().applied(*token, delta, receipt);
            }
            ApplyOutcome::Missing => Box::pin(self.missing(*token)).await,
            ApplyOutcome::Superseded => self.request().view = View::Superseded,
            _ => {}
        }
        Ok(outcome)
    }

    pub(super) fn create(
        &self,
        id: SessionId,
        record: Record,
    ) -> impl Future<Output = Result<CreateOutcome, SessionError>> {
        self.change(self.config().store.create(id, record, self.at.now))
    }

    /// Removes the session of this token.
    pub(super) async fn remove(&self, token: &Token) -> Result<RemoveOutcome, SessionError> {
        let outcome = self.send_removal(token).await?;
        match outcome {
            RemoveOutcome::Removed => {}
            RemoveOutcome::Missing => Box::pin(self.missing(*token)).await,
            RemoveOutcome::Superseded => self.request().view = View::Superseded,
        }
        Ok(outcome)
    }

    /// Ends the sessions of the request's other cookies, and those that seemed over, as far as the
    /// tokens prove that they may be ended.
    pub(super) async fn end_others(&self) -> Result<(), SessionError> {
        let tokens = self.request().take_others();
        for token in tokens {
            if self.send_removal(&token).await? == RemoveOutcome::Removed {
                self.config().events.destroyed(token.id());
            }
        }
        Ok(())
    }

    pub(super) async fn send_removal(&self, token: &Token) -> Result<RemoveOutcome, SessionError> {
        let (id, secret) = (token.id(), token.secret_hash());
        let answer = self.config().store.remove(id, Some(secret), self.at);
        self.change(answer).await
    }

    /// Removes sessions of which this request doesn't have the tokens.
    pub(super) async fn remove_each(
        &self,
        ids: &[SessionId],
    ) -> Result<Vec<RemoveOutcome>, SessionError> {
        self.change(self.config().store.remove_each(ids, self.at))
            .await
    }

    /// Some sessions of an owner. It is part of a sign-in: dropped half-way, that is half done.
    pub(super) async fn list_up_to(
        &self,
        owner: &Owner,
        most: usize,
    ) -> Result<Vec<SessionSummary>, SessionError> {
        let store = &self.config().store;
        self.change(store.list_up_to(owner, most, self.at.now))
            .await
    }

    /// One session, if it is alive and of this owner. It is part of a sign-in too.
    pub(super) async fn find_owned(
        &self,
        owner: &Owner,
        id: SessionId,
    ) -> Result<Option<SessionSummary>, SessionError> {
        let now = self.at.now;
        let record = self.change(self.config().store.load(id, now)).await?;
        let record = record.filter(|record| record.owner.as_ref() == Some(owner));
        Ok(record.map(|record| SessionSummary::new(id, &record, now)))
    }

    /// Waits for the answer to a call that must not be dropped unnoticed: the request remembers it
    /// as in flight until it is answered.
    async fn change<T>(&self, answer: Answer<'_, T>) -> Result<T, SessionError> {
        let answer = match answer {
            Answer::Now(answer) => answer,
            Answer::Later(call) => {
                let before = mem::replace(&mut self.request().in_flight, true);
                let answer = call.within(self.config().io_timeout).await;
                self.request().in_flight = before;
                answer
            }
        };
        answer.map_err(|error| self.request().fail(error))
    }

    /// Takes in that a change or a removal found nothing, and finds out what it missed: a session
    /// that is over, or one whose secret is another, which is a sign of theft. That is for the
    /// operator alone: the client's answer neither depends on it nor waits for it.
    #[cold]
    async fn missing(&self, token: Token) {
        self.request().missing(token);
        if self.request().seen_alive {
            return;
        }
        let (config, at) = (Arc::clone(&self.inner.config), self.at);
        let look = async move {
            let answer = config.store.load(token.id(), at.first_contact);
            // Without an answer it counts as what it mostly is.
            let record = answer.within(config.io_timeout).await.ok().flatten();
            let events = &config.events;
            events.opened_nothing(token.id(), record.as_deref(), at);
        };
        self.inner.beside(look).await;
    }
}
