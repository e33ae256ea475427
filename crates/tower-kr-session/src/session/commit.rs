//! The outcome table: what a commit finds, and what then happens.
//!
//! | the request | record missing | token superseded | proof of the device missing |
//! |---|---|---|---|
//! | only read | nothing | nothing | nothing |
//! | wrote without having seen the session alive | a new session with what was noted | [`SessionError::Superseded`] | as missing; if the browser skipped the proof, an error |
//! | wrote after it had seen the session alive | [`SessionError::Ended`] | [`SessionError::Superseded`] | – |
//! | signed in | removed if it only seemed to be missing; a new session | a new session | as missing; first removed, if it is this user's |
//! | destroyed | the same removal; done | [`SessionError::Superseded`] | as missing |
//!
//! Besides: a sign-in as another user than the session's ends that session and starts a new one;
//! several live sessions are [`SessionError::AmbiguousCookie`], unless a sign-in or a destroy ends
//! them all; and without consent no session starts.

use super::{ask::Turn, notes::Notes, request::Request, view::View};
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
    /// What the response offers the browser to register with.
    #[cfg(feature = "device-bound")]
    pub(super) challenge: Option<Box<crate::device::Secret>>,
}

/// What a commit found under the token of the request.
enum Found {
    /// The session. It is changed now.
    Changed,
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
        let stored = self.commit_notes(last).await;
        self.request().in_flight = false;
        stored
    }

    async fn commit_notes(&self, last: bool) -> Result<(), SessionError> {
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
    }

    pub(super) async fn store(&self, work: &mut Work) -> Result<(), SessionError> {
        let (signs_in, destroys) = (work.notes.sign_in().is_some(), work.notes.destroy);
        if self.inner.head.withheld && signs_in && destroys {
            // Before anything is ended.
            return Err(SessionError::NoConsent);
        }
        let found = self.find(work).await?;
        match found {
            Found::Changed => {
                if signs_in {
                    Box::pin(self.end_others()).await?;
                }
                return Ok(());
            }
            Found::Missing | Found::Ended if destroys => {
                Box::pin(self.end_others()).await?;
                self.request().remove_cookie();
            }
            // A user who proved who they are gets a session, also if the old one is gone.
            Found::Missing | Found::Ended | Found::Superseded if signs_in => {}
            Found::Missing => {}
            Found::Ended => return Err(SessionError::Ended),
            Found::Superseded => return Err(SessionError::Superseded),
            Found::OtherOwner(_) if self.inner.head.withheld => {
                // The values were meant for the user who doesn't sign in.
                work.notes.take_values();
                return Err(SessionError::NoConsent);
            }
            Found::OtherOwner(token) => match Box::pin(self.remove_and_report(&token, true)).await?
            {
                RemoveOutcome::Removed => self.request().remove_cookie(),
                _ => self.request().leave(),
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
                if self.remove_and_report(&token, others).await? != RemoveOutcome::Superseded {
                    self.request().leave();
                }
                None
            }
            Some(token) => self.find_and_change(&token, work).await?,
            None => None,
        };
        Ok(found.unwrap_or_else(|| {
            let request = self.request();
            match &request.view {
                View::Superseded => Found::Superseded,
                View::Ended(_) => Found::Ended,
                _ if request.is_ambiguous(&work.notes) => {
                    Found::Refused(SessionError::AmbiguousCookie)
                }
                _ => Found::Missing,
            }
        }))
    }

    /// Removes the session, and reports it: as that of another user, whose place the user who signs
    /// in takes, or as the request's own.
    async fn remove_and_report(
        &self,
        token: &Token,
        others: bool,
    ) -> Result<RemoveOutcome, SessionError> {
        let outcome = self.remove(token).await?;
        match (outcome, others) {
            (RemoveOutcome::Removed, true) => self.config().events.revoked(token.id(), "sign_in"),
            (RemoveOutcome::Removed, false) => self.config().events.destroyed(token.id()),
            _ => {}
        }
        Ok(outcome)
    }

    async fn find_and_change(
        &self,
        token: &Token,
        work: &mut Work,
    ) -> Result<Option<Found>, SessionError> {
        let next = work
            .notes
            .needs_token()
            .then(|| token.rotated(self.config().token_name()));
        if next.is_some() && work.head_sent {
            return Err(SessionError::ResponseSent("no cookie can be sent any more"));
        }
        work.notes.delta.rotate = next.as_ref().map(|next| *next.token.secret_hash());
        let applied = self.apply(token, &mut work.notes.delta).await?;
        #[cfg(feature = "device-bound")]
        let applied = match applied {
            ApplyOutcome::Conflict => Box::pin(self.apply_with_device(token, work)).await?,
            applied => applied,
        };
        Ok(match applied {
            ApplyOutcome::Applied(receipt) => {
                self.go_on(work, &receipt, next);
                Some(Found::Changed)
            }
            ApplyOutcome::Missing | ApplyOutcome::Superseded => None,
            ApplyOutcome::OtherOwner => Some(Found::OtherOwner(*token)),
            ApplyOutcome::Revoked => Some(Found::Refused(SessionError::Revoked)),
            ApplyOutcome::TooLarge { size } => Some(Found::Refused(self.config().too_large(size))),
            ApplyOutcome::Conflict | ApplyOutcome::NotAnInteger | ApplyOutcome::Overflow => {
                return Err(broken("a delta without an operation was refused"));
            }
        })
    }

    /// The session goes on, with what was noted, and under the new token, if it got one.
    fn go_on(&self, work: &mut Work, receipt: &Receipt, token: Option<NewToken>) {
        if let Some(new) = token {
            let signed_in = work.notes.sign_in().is_some();
            self.config().events.rotated(new.token.id(), signed_in);
            let (persistent, deadline) = (receipt.persistent, receipt.absolute_deadline);
            let cookie = work.set_cookie(new.text, persistent, deadline);
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
        #[cfg(feature = "device-bound")]
        if self.config().device.is_some() && !signed_in && self.request().waits_for_proof() {
            return Err(SessionError::ProofMissing);
        }
        if self.inner.head.withheld {
            self.config().log_withheld();
            // A sign-in or a `save` counts on it. Anything else that was noted may be worth no more
            // than this request.
            let matters = signed_in || !work.last;
            return if matters {
                Err(SessionError::NoConsent)
            } else {
                Ok(())
            };
        }
        let new = NewToken::generate(self.at.now, self.config().token_name());
        let record = self.new_record(new.token, work)?;
        let (persistent, deadline) = (record.persistent, record.absolute_deadline);
        if signed_in {
            Box::pin(self.end_others()).await?;
        }
        match self.create(new.token.id(), record).await? {
            CreateOutcome::Created => {}
            CreateOutcome::Revoked => return Err(SessionError::Revoked),
            // 74 random bits in a millisecond: the random source or the store is broken.
            CreateOutcome::Exists => return Err(broken("a new session id is taken")),
        }
        let events = &self.config().events;
        events.created(new.token.id(), signed_in, self.at.now);
        let cookie = work.set_cookie(new.text, persistent, deadline);
        let mut request = self.request();
        request.leave();
        request.started = true;
        request.adopt(new.token, cookie);
        Ok(())
    }

    /// The record of a new session, with what was noted.
    fn new_record(&self, token: Token, work: &mut Work) -> Result<Record, SessionError> {
        let (config, now) = (self.config(), self.at.now);
        let idle = match work.notes.sign_in() {
            Some(_) => config.idle,
            None => config.anonymous_idle,
        };
        let mut record = Record::new(*token.secret_hash(), now, idle, config.absolute_timeout);
        record.persistent = config.persistent;
        work.notes.delta.rotate = None;
        let started = record.start_with(&work.notes.delta, now);
        started.map_err(|size| config.too_large(size))?;
        Ok(record)
    }
}

impl Request {
    /// Takes what was noted, if that is anything. From the last commit on the head of the response
    /// is on its way.
    fn take_work(&mut self, last: bool) -> Option<Work> {
        let head_sent = self.head_sent;
        self.head_sent |= last;
        let notes = self.notes.take().filter(|notes| !notes.is_empty());
        notes.map(|notes| Work {
            notes,
            head_sent,
            last,
            #[cfg(feature = "device-bound")]
            challenge: None,
        })
    }

    /// The session is over, and the client is told to drop its cookie.
    pub(super) fn remove_cookie(&mut self) {
        self.leave();
        self.cookie = Some(Box::new(CookieChange::Remove));
    }
}

impl Work {
    /// The new token for the client.
    fn set_cookie(
        &mut self,
        text: TokenText,
        persistent: bool,
        deadline: Timestamp,
    ) -> CookieChange {
        CookieChange::Set {
            text,
            persistent_until: persistent.then_some(deadline),
            #[cfg(feature = "device-bound")]
            challenge: self.challenge.take(),
        }
    }
}

/// The store broke its contract.
fn broken(what: &'static str) -> SessionError {
    SessionError::Store(StoreError::unavailable(what))
}
