//! The outcome table: what a commit finds, and what then happens.
//!
//! | the request | record missing | token superseded |
//! |---|---|---|
//! | only read | nothing | nothing |
//! | wrote without having seen the session alive | a new session with what was noted | [`SessionError::Superseded`] |
//! | wrote after it had seen the session alive | [`SessionError::Ended`] | [`SessionError::Superseded`] |
//! | signed in | a new session | a new session |
//! | destroyed | done | [`SessionError::Superseded`] |
//!
//! Besides: a sign-in as another user than the session's ends that session and starts a new one;
//! several live sessions are [`SessionError::AmbiguousCookie`]; and without consent no session starts.

use super::{
    ask::Turn,
    notes::Notes,
    request::{Request, View},
};
use crate::{
    error::SessionError,
    model::{ApplyOutcome, NewToken, Receipt, Record, Timestamp, Token, token_text::TokenText},
    store::{CreateOutcome, RemoveOutcome, StoreError},
    transport::CookieChange,
};

/// Everything that a request noted and that has to be stored now.
pub(super) struct Work {
    pub(super) notes: Box<Notes>,
    /// Once the head of the response has left, no cookie can be sent, so none may be needed.
    head_sent: bool,
    /// It is the commit at the end of the request.
    last: bool,
}

/// What a commit found under the token of the request.
enum Found {
    /// The session. It is changed now, and goes on under the new token, if it got one.
    Changed(Receipt, Option<NewToken>),
    /// The session of another user than the one who signs in.
    OtherOwner(Token),
    /// No session, or none any more: it is removed now.
    Missing,
    /// No session, but the request has seen it alive.
    Ended,
    /// The session, under a newer token.
    Superseded,
    /// A reason why nothing was changed.
    Refused(SessionError),
}

impl Turn<'_> {
    /// Stores what the request noted. `last`: the head of the response leaves after that.
    pub(super) async fn commit(&self, last: bool) -> Result<(), SessionError> {
        // The application counts on it from here on: dropped while it loads, it is not done either.
        self.request().in_flight = true;
        let stored = async {
            // Of several tokens the live one is meant.
            self.know(|request| Ok(request.is_unambiguous().then_some(())))
                .await?;
            let Some(mut work) = self.request().take_work(last) else {
                return Ok(());
            };
            let stored = match work.notes.sign_in() {
                None => self.store(&mut work).await,
                // It is rare, so it doesn't make the futures of all the others larger.
                Some(_) => Box::pin(self.store_sign_in(&mut work)).await,
            };
            if let (Err(SessionError::NoConsent), false) = (&stored, last) {
                // The request goes on with what it set, but for the sign-in.
                let mut request = self.request();
                request.put_back(work.notes.take_values());
                request.notes_mut().destroy |= work.notes.destroy;
            }
            stored
        };
        let stored = stored.await;
        self.request().in_flight = false;
        stored
    }

    pub(super) async fn store(&self, work: &mut Work) -> Result<(), SessionError> {
        let (signs_in, destroys) = (work.notes.sign_in().is_some(), work.notes.destroy);
        if self.inner.head.withheld && signs_in && destroys {
            // Before anything is ended.
            return Err(SessionError::NoConsent);
        }
        match self.find(work).await? {
            Found::Changed(receipt, token) => {
                self.go_on(work, &receipt, token);
                return Ok(());
            }
            Found::Missing | Found::Ended if destroys => self.request().remove_cookie(),
            Found::Superseded if destroys && signs_in => self.request().remove_cookie(),
            // A user who proved who they are gets a session, whatever became of the old one.
            Found::Missing | Found::Ended | Found::Superseded if signs_in => {}
            Found::Missing => {}
            Found::Ended => return Err(SessionError::Ended),
            Found::Superseded => return Err(SessionError::Superseded),
            Found::OtherOwner(_) if self.inner.head.withheld => {
                // The values were meant for the user who doesn't sign in.
                work.notes.take_values();
                return Err(SessionError::NoConsent);
            }
            Found::OtherOwner(token) => match self.remove_and_report(token, true).await? {
                true => self.request().remove_cookie(),
                false => self.request().leave(),
            },
            Found::Refused(error) => return Err(error),
        }
        self.start(work).await
    }

    /// Changes or removes the session, if the request doesn't know better than to ask the store.
    async fn find(&self, work: &mut Work) -> Result<Found, SessionError> {
        let token = self.request().own_token();
        let found = match token {
            Some(token) if work.notes.destroy => {
                let others = self.request().is_of_other_owner(work.notes.sign_in());
                self.remove_and_report(token, others).await?;
                None
            }
            Some(token) => self.find_and_change(token, work).await?,
            None => None,
        };
        Ok(found.unwrap_or_else(|| match self.request().view {
            View::Superseded => Found::Superseded,
            View::Ended => Found::Ended,
            View::Ambiguous => Found::Refused(SessionError::AmbiguousCookie),
            _ => Found::Missing,
        }))
    }

    /// Removes the session, and reports it: as that of another user, whose place the user who signs
    /// in takes, or as the request's own. Returns whether it was there.
    async fn remove_and_report(&self, token: Token, others: bool) -> Result<bool, SessionError> {
        let removed = self.remove(token).await? == RemoveOutcome::Removed;
        match (removed, others) {
            (true, true) => self.config().events.revoked(token.id(), "sign_in"),
            (true, false) => self.config().events.destroyed(token.id()),
            (false, _) => {}
        }
        Ok(removed)
    }

    async fn find_and_change(
        &self,
        token: Token,
        work: &mut Work,
    ) -> Result<Option<Found>, SessionError> {
        let next = work.notes.needs_token().then(|| token.rotated());
        if next.is_some() && work.head_sent {
            return Err(SessionError::ResponseSent("no cookie can be sent any more"));
        }
        work.notes.delta.rotate = next.as_ref().map(|next| next.token.secret_hash());
        Ok(match self.apply(token, &work.notes.delta).await? {
            ApplyOutcome::Applied(receipt) => Some(Found::Changed(receipt, next)),
            ApplyOutcome::Missing | ApplyOutcome::Superseded => None,
            ApplyOutcome::OtherOwner => Some(Found::OtherOwner(token)),
            ApplyOutcome::Revoked => Some(Found::Refused(SessionError::Revoked)),
            ApplyOutcome::TooLarge { size } => Some(Found::Refused(self.config().too_large(size))),
            ApplyOutcome::Conflict | ApplyOutcome::NotAnInteger | ApplyOutcome::Overflow => {
                return Err(broken("a delta without an operation was refused"));
            }
        })
    }

    /// The session goes on, with what was noted.
    fn go_on(&self, work: &Work, receipt: &Receipt, token: Option<NewToken>) {
        if let Some(new) = token {
            let signed_in = work.notes.sign_in().is_some();
            self.config().events.rotated(new.token.id(), signed_in);
            let cookie = set_cookie(new.text, receipt.persistent, receipt.absolute_deadline);
            self.request().adopt(new.token, cookie);
        } else if work.last {
            // A handle that outlives the request asks the store anew.
            self.request().forget_values();
        }
    }

    /// Starts a session with what was noted, if that is anything.
    async fn start(&self, work: &mut Work) -> Result<(), SessionError> {
        if !work.notes.starts_session() {
            return Ok(());
        }
        if work.head_sent {
            return Err(SessionError::ResponseSent("a session can't start any more"));
        }
        let signed_in = work.notes.sign_in().is_some();
        if self.inner.head.withheld {
            self.config().log_withheld();
            // A sign-in or a `save` counts on it. Whatever else was noted may be worth no more than
            // this request.
            let matters = signed_in || !work.last;
            return if matters {
                Err(SessionError::NoConsent)
            } else {
                Ok(())
            };
        }
        let (config, now) = (self.config(), self.at.now);
        let idle = if signed_in {
            config.idle
        } else {
            config.anonymous_idle
        };
        let new = NewToken::generate(now);
        let (id, secret) = (new.token.id(), new.token.secret_hash());
        let mut record = Record::new(secret, now, idle, config.absolute_timeout);
        work.notes.delta.rotate = None;
        let started = record.start_with(&work.notes.delta, now);
        started.map_err(|size| config.too_large(size))?;
        let cookie = set_cookie(new.text, record.persistent, record.absolute_deadline);
        match self.create(id, record).await? {
            CreateOutcome::Created => {}
            CreateOutcome::Revoked => return Err(SessionError::Revoked),
            // 74 random bits in a millisecond: the random source or the store is broken.
            CreateOutcome::Exists => return Err(broken("a new session id is taken")),
        }
        config.events.created(id, signed_in, now);
        let mut request = self.request();
        request.leave();
        request.started = true;
        request.adopt(new.token, cookie);
        Ok(())
    }
}

impl Request {
    /// Takes what was noted, if that is anything. From the last commit on the head of the response is
    /// on its way.
    fn take_work(&mut self, last: bool) -> Option<Work> {
        let head_sent = self.head_sent;
        self.head_sent |= last;
        let notes = self.notes.take().filter(|notes| !notes.is_empty());
        notes.map(|notes| Work {
            notes,
            head_sent,
            last,
        })
    }

    /// The session is over, and the client is told to drop its cookie.
    fn remove_cookie(&mut self) {
        self.leave();
        self.cookie = Some(Box::new(CookieChange::Remove));
    }
}

fn set_cookie(text: TokenText, persistent: bool, deadline: Timestamp) -> CookieChange {
    CookieChange::Set {
        text,
        persistent_until: persistent.then_some(deadline),
    }
}

/// The store broke its contract.
fn broken(what: &'static str) -> SessionError {
    SessionError::Store(StoreError::unavailable(what))
}
