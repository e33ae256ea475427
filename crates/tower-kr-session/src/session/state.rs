//! What a request knows of its session, and its dialogue with the store.

use std::sync::Arc;

use bytes::Bytes;

use crate::{
    config::Shared,
    error::SessionError,
    model::{
        ApplyOutcome, Delta, Instants, Owner, Record, SessionId, SignIn, Timestamp, Token,
        TokenState, change, key::KeyBuf, token_text::TokenText,
    },
    store::{CreateOutcome, RemoveOutcome, SessionSummary, StoreError},
    transport::{Candidates, CookieChange},
};

/// The state that only one call of a request has at a time; it stays with the call while the store works.
pub(super) struct State {
    pub(super) view: View,
    /// The session's token, if it is known.
    pub(super) token: Option<Token>,
    /// What the response has to tell the client.
    pub(super) cookie: Option<Box<CookieChange>>,
    /// Whether this request has seen the session alive: then a later "missing" means that it ended meanwhile.
    pub(super) seen_alive: bool,
    /// Whether this request started the session.
    pub(super) started: bool,
    /// Whether this request has already moved the idle deadline.
    pub(super) touched: bool,
    /// Values that this request wrote at once, over what the snapshot has; sorted by key, no key twice.
    written: Vec<(KeyBuf, Option<Bytes>)>,
    /// A call is with the store. If it is still set when the next call begins, that one was dropped, and nobody knows whether
    /// it was done.
    in_flight: bool,
    /// The same for all calls that store the notes: they were taken, so also a read among them must not be dropped in silence.
    pub(super) storing: bool,
    poison: Option<Box<SessionError>>,
}

/// What a request knows of its session.
pub(super) enum View {
    /// There is a token, and nothing was asked yet.
    Unknown,
    /// There are several that may be the session's, and nothing was asked yet.
    Several(Box<[TokenText]>),
    /// It lives. The record is there once something was read.
    Alive(Option<Arc<Record>>),
    /// There is none: no cookie, or (`expired`) a well-formed token without a live record.
    Absent { expired: bool },
    /// The token was rotated away moments ago.
    Superseded,
    /// Several sessions are live under the cookies of the request.
    Ambiguous,
    /// It was alive when this request looked, and is gone.
    Ended,
}

impl State {
    pub(super) fn new(candidates: &Candidates) -> Self {
        let mut token = None;
        let view = match candidates {
            Candidates::None => View::Absent { expired: false },
            Candidates::One(text) => {
                token = Some(Token::decode(text));
                View::Unknown
            }
            Candidates::Several(texts) => View::Several(texts.clone()),
            Candidates::TooMany => View::Ambiguous,
        };
        Self {
            view,
            token,
            cookie: None,
            seen_alive: false,
            started: false,
            touched: false,
            written: Vec::new(),
            in_flight: false,
            storing: false,
            poison: None,
        }
    }

    /// # Errors
    /// If an earlier call failed or was dropped, so that nobody knows what the store has.
    pub(super) fn check(&mut self) -> Result<(), SessionError> {
        if self.in_flight || self.storing {
            self.in_flight = false;
            self.storing = false;
            self.poison = Some(Box::new(SessionError::Interrupted));
        }
        match &self.poison {
            None => Ok(()),
            Some(error) => Err(SessionError::clone(error)),
        }
    }

    pub(super) fn id(&self) -> Option<SessionId> {
        match self.view {
            View::Alive(_) => self.token.as_ref().map(Token::id),
            _ => None,
        }
    }

    /// What the store has at a key, as far as this request knows; `None` if it has to [`load`](Self::load) first.
    pub(super) fn stored(&self, key: &str) -> Option<Option<&[u8]>> {
        match &self.view {
            View::Alive(record) => match self
                .written
                .binary_search_by(|(name, _)| name.as_str().cmp(key))
            {
                Ok(index) => Some(self.written[index].1.as_deref()),
                Err(_) => record.as_ref().map(|record| record.values.get(key)),
            },
            View::Unknown | View::Several(_) => None,
            View::Absent { .. } | View::Superseded | View::Ambiguous | View::Ended => Some(None),
        }
    }

    /// Values that this request wrote at once, over what the record has.
    pub(super) fn written(&self) -> &[(KeyBuf, Option<Bytes>)] {
        &self.written
    }

    /// The record, once it was loaded.
    pub(super) fn record(&self) -> Option<&Record> {
        match &self.view {
            View::Alive(record) => record.as_deref(),
            _ => None,
        }
    }

    /// Whether the record, as far as it was loaded, is that of another user than the one who signs in.
    pub(super) fn is_of_other_owner(&self, sign_in: Option<&SignIn>) -> bool {
        let owner = self.record().and_then(|record| record.owner.as_ref());
        matches!((sign_in, owner), (Some(sign_in), Some(owner)) if sign_in.owner != *owner)
    }

    /// Forgets all values, so that the next read asks the store.
    pub(super) fn forget(&mut self) {
        self.forget_record();
        self.written.clear();
    }

    /// Lets go of the snapshot.
    pub(super) fn forget_record(&mut self) {
        if let View::Alive(record) = &mut self.view {
            *record = None;
        }
    }

    /// Whether this request only read, and found the idle deadline stale.
    pub(super) fn touch_is_due(&self, now: Timestamp) -> bool {
        !self.touched
            && match &self.view {
                View::Alive(Some(record)) => record.touch_is_due(now),
                // A change let go of the record, and was refused.
                View::Alive(None) => true,
                _ => false,
            }
    }

    /// Whether a request that noted nothing has nothing to commit.
    pub(super) fn is_settled(&self, now: Timestamp) -> bool {
        let unknown = self.in_flight || self.storing || self.poison.is_some();
        !unknown && self.cookie.is_none() && !self.touch_is_due(now)
    }

    /// Makes sure that it is known whether there is a session.
    pub(super) async fn find_out(
        &mut self,
        shared: &Shared,
        at: Instants,
    ) -> Result<(), SessionError> {
        match self.view {
            View::Unknown | View::Several(_) => self.load(shared, at).await,
            _ => Ok(()),
        }
    }

    /// Makes sure that the record is here, if there is one.
    pub(super) async fn load(&mut self, shared: &Shared, at: Instants) -> Result<(), SessionError> {
        let Some(id) = self.unloaded() else {
            return self.choose(shared, at).await;
        };
        let answer = shared
            .store
            .load(shared.io_timeout, id, at.first_contact)
            .await;
        self.loaded(shared, answer, at)
    }

    /// The session whose record has to be loaded; `None` if none has to be, or there is a choice.
    pub(super) fn unloaded(&self) -> Option<SessionId> {
        match self.view {
            View::Alive(None) | View::Unknown => self.token.as_ref().map(Token::id),
            _ => None,
        }
    }

    /// A load is safe to drop: the next call asks anew.
    pub(super) fn loaded(
        &mut self,
        shared: &Shared,
        answer: Result<Option<Arc<Record>>, StoreError>,
        at: Instants,
    ) -> Result<(), SessionError> {
        let record = answer.map_err(|error| self.failed(error))?;
        let token = self.token.as_ref();
        let standing = token.map_or(TokenState::Missing, |token| {
            token_state(token, record.as_deref(), at)
        });
        if standing == TokenState::Missing {
            self.tell_missing(shared, record.as_deref(), at);
        }
        self.settle(standing, record);
        Ok(())
    }

    /// Whether it is known which session is meant. Otherwise the store has to be asked: [`choose`](Self::choose).
    pub(super) const fn is_identified(&self) -> bool {
        !matches!(self.view, View::Several(_))
    }

    /// Looks which of several sessions is alive, so that a write knows its own. That one is meant, in whatever order the cookies
    /// come; two live ones are a conflict.
    pub(super) async fn choose(
        &mut self,
        shared: &Shared,
        at: Instants,
    ) -> Result<(), SessionError> {
        let View::Several(texts) = &self.view else {
            return Ok(());
        };
        let texts = texts.clone();
        let mut best: Option<(Token, TokenState, Option<Arc<Record>>)> = None;
        for token in texts.iter().map(Token::decode) {
            let answer = shared
                .store
                .load(shared.io_timeout, token.id(), at.first_contact)
                .await;
            let record = answer.map_err(|error| self.failed(error))?;
            let standing = token_state(&token, record.as_deref(), at);
            if standing == TokenState::Missing {
                let record = record.as_deref();
                shared.events.opened_nothing(token.id(), record, at);
            }
            match (standing, &best) {
                (TokenState::Current, Some((_, TokenState::Current, _))) => {
                    self.view = View::Ambiguous;
                    let what = "cookies of several live sessions";
                    shared.events.ambiguous(what, at.now);
                    return Ok(());
                }
                (TokenState::Current, _)
                | (TokenState::Superseded, Some((_, TokenState::Missing, _)))
                | (_, None) => best = Some((token, standing, record)),
                _ => {}
            }
        }
        match best {
            Some((token, standing, record)) => {
                self.token = Some(token);
                self.settle(standing, record);
            }
            None => self.view = View::Absent { expired: false },
        }
        Ok(())
    }

    fn settle(&mut self, standing: TokenState, record: Option<Arc<Record>>) {
        self.view = match standing {
            TokenState::Current => {
                // The snapshot is newer than what this request wrote before.
                self.written.clear();
                self.seen_alive = true;
                View::Alive(record)
            }
            TokenState::Superseded => View::Superseded,
            TokenState::Missing if self.seen_alive => View::Ended,
            TokenState::Missing => View::Absent { expired: true },
        };
    }

    /// Sends a delta for the session of the token.
    pub(super) async fn apply(
        &mut self,
        shared: &Shared,
        delta: Delta,
        at: Instants,
    ) -> Result<ApplyOutcome, SessionError> {
        if let Some(store) = shared.store.immediate() {
            return self.apply_now(shared, store, &delta, at);
        }
        let Some(token) = &self.token else {
            return Ok(ApplyOutcome::Missing);
        };
        let (id, secret) = (token.id(), token.secret_hash());
        let clear = delta.clear;
        if clear {
            self.forget_record();
        }
        self.in_flight = true;
        let answer = shared
            .store
            .apply(shared.io_timeout, id, &secret, delta, at)
            .await;
        if let Ok(ApplyOutcome::Missing) = answer {
            self.ask_what_is_missing(shared, at);
        }
        self.applied(clear, answer)
    }

    pub(super) fn applied(
        &mut self,
        clear: bool,
        answer: Result<ApplyOutcome, StoreError>,
    ) -> Result<ApplyOutcome, SessionError> {
        let applied = self.answered(answer)?;
        if matches!(applied, ApplyOutcome::Applied(_)) {
            self.seen_alive = true;
            self.touched = true;
            if clear {
                self.written.clear();
            }
            if !matches!(self.view, View::Alive(_)) {
                self.view = View::Alive(None);
            }
        }
        Ok(applied)
    }

    /// Keeps what was written for later reads of this request.
    pub(super) fn remember(&mut self, changes: &[(KeyBuf, Option<Bytes>)]) {
        for (key, value) in changes {
            self.note_written(key, value.clone());
        }
    }

    pub(super) fn note_written(&mut self, key: &KeyBuf, value: Option<Bytes>) {
        change(&mut self.written, key.clone(), value);
    }

    /// The session is none of this request's any more, and nothing of it is.
    pub(super) fn leave(&mut self) {
        self.view = View::Absent { expired: false };
        self.token = None;
        self.seen_alive = false;
        self.started = false;
        self.written.clear();
    }

    pub(super) async fn create(
        &mut self,
        shared: &Shared,
        id: SessionId,
        record: Record,
        now: Timestamp,
    ) -> Result<CreateOutcome, SessionError> {
        self.in_flight = true;
        let answer = shared
            .store
            .create(shared.io_timeout, id, record, now)
            .await;
        self.answered(answer)
    }

    pub(super) async fn remove(
        &mut self,
        shared: &Shared,
        at: Instants,
    ) -> Result<RemoveOutcome, SessionError> {
        let Some(token) = &self.token else {
            return Ok(RemoveOutcome::Missing);
        };
        let (id, secret) = (token.id(), token.secret_hash());
        self.in_flight = true;
        let answer = shared
            .store
            .remove(shared.io_timeout, id, Some(&secret), at)
            .await;
        let removed = self.answered(answer)?;
        if removed == RemoveOutcome::Missing {
            self.ask_what_is_missing(shared, at);
        }
        Ok(removed)
    }

    /// Removes a session of which this request doesn't have the token.
    pub(super) async fn remove_any(
        &mut self,
        shared: &Shared,
        id: SessionId,
        at: Instants,
    ) -> Result<RemoveOutcome, SessionError> {
        self.in_flight = true;
        let answer = shared.store.remove(shared.io_timeout, id, None, at).await;
        self.answered(answer)
    }

    /// The sessions of an owner. It is part of a sign-in, so a call that is dropped half-way leaves that one half done.
    pub(super) async fn list(
        &mut self,
        shared: &Shared,
        owner: &Owner,
        at: Instants,
    ) -> Result<Vec<SessionSummary>, SessionError> {
        self.in_flight = true;
        let answer = shared.store.list(shared.io_timeout, owner, at.now).await;
        self.answered(answer)
    }

    pub(super) fn answered<T>(&mut self, answer: Result<T, StoreError>) -> Result<T, SessionError> {
        self.in_flight = false;
        answer.map_err(|error| self.failed(error))
    }

    /// An answer that was an error leaves nothing unknown after all.
    pub(super) fn forgive(&mut self) {
        self.poison = None;
    }

    /// A store that failed once is not asked again in this request: whether the call was done is unknown.
    fn failed(&mut self, error: StoreError) -> SessionError {
        let error = SessionError::Store(error);
        self.poison = Some(Box::new(error.clone()));
        error
    }
}

/// What the holder of a token is to what the store has. As for a write, idle is judged at the request's first contact: a request
/// that takes long doesn't lose the session that it began in.
fn token_state(token: &Token, record: Option<&Record>, at: Instants) -> TokenState {
    record.map_or(TokenState::Missing, |record| {
        record.token_state(&token.secret_hash(), at)
    })
}
