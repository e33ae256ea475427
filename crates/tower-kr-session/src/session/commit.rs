//! What a commit finds, and what then happens.

use super::{
    notes::{Identity, ValueNotes, starts_session},
    state::{State, View},
};
use crate::{
    config::Shared,
    error::SessionError,
    model::{ApplyOutcome, Delta, Instants, NewToken, Record, Timestamp},
    store::{CreateOutcome, RemoveOutcome, StoreError},
    transport::CookieChange,
};

/// Everything that a request noted and that has to be stored now.
pub(crate) struct Work {
    pub(super) values: ValueNotes,
    pub(super) identity: Identity,
    pub(super) at: Instants,
    /// Once the head of the response has left, no cookie can be sent, so none may be needed.
    pub(super) head_sent: bool,
    /// The visitor has not consented to a cookie, so no session starts.
    pub(super) withheld: bool,
    /// It is the commit at the end: what was written need not be remembered for the reads to come.
    pub(super) last: bool,
}

impl State {
    /// Stores what was noted.
    ///
    /// | the request | record missing | token superseded |
    /// |---|---|---|
    /// | wrote blindly | a new session of what was noted | [`SessionError::Superseded`] |
    /// | wrote after it had seen the session alive | [`SessionError::Ended`] | the same |
    /// | signed in | a new session | a new session |
    /// | destroyed | done | [`SessionError::Superseded`] |
    pub(super) async fn store_noted(
        &mut self,
        shared: &Shared,
        work: Work,
    ) -> Result<(), SessionError> {
        self.choose(shared, work.at).await?;
        if work.identity.destroy {
            return self.destroy(shared, work).await;
        }
        match self.view {
            View::Ambiguous => Err(SessionError::AmbiguousCookie),
            View::Alive(_) | View::Unknown | View::Several(_) => self.change(shared, work).await,
            View::Absent { .. } => self.start(shared, work).await,
            // Somebody who proved who he is gets a session, whatever became of the old one.
            View::Superseded | View::Ended if work.identity.sign_in.is_some() => {
                self.start(shared, work).await
            }
            View::Superseded => Err(SessionError::Superseded),
            View::Ended => Err(SessionError::Ended),
        }
    }

    /// Changes a session that is alive, or was never looked at.
    async fn change(&mut self, shared: &Shared, mut work: Work) -> Result<(), SessionError> {
        let Some(token) = &self.token else {
            return self.start(shared, work).await;
        };
        let mut next = None;
        if work.identity.needs_token() {
            if work.head_sent {
                return Err(SessionError::ResponseSent("no cookie can be sent any more"));
            }
            next = Some(token.rotated());
        }
        // A session that is known to be alive is not started anew with these values: the delta can have them.
        let values = if work.last && self.seen_alive && work.identity.sign_in.is_none() {
            std::mem::take(&mut work.values)
        } else {
            work.values.clone()
        };
        let mut delta = values.into_delta(shared.max_session_bytes);
        if let Some(next) = &next {
            delta.rotate = Some(next.token.secret_hash());
            delta.sign_in.clone_from(&work.identity.sign_in);
            delta.limits = work.identity.limits.clone();
        }
        match self.apply(shared, delta, work.at).await? {
            ApplyOutcome::Applied(receipt) => {
                if work.last {
                    // A handle that outlives the request asks the store anew: what was read before is out of date.
                    self.forget();
                } else {
                    self.remember(work.values.changes());
                }
                if let Some(next) = next {
                    let signed_in = work.identity.sign_in.is_some();
                    shared.events.rotated(next.token.id(), signed_in);
                    let until = receipt.persistent.then_some(receipt.absolute_deadline);
                    self.adopt(next, until);
                }
                Ok(())
            }
            refused => self.refused(shared, work, refused).await,
        }
    }

    /// What follows if the store did not do a change.
    pub(super) async fn refused(
        &mut self,
        shared: &Shared,
        work: Work,
        refused: ApplyOutcome,
    ) -> Result<(), SessionError> {
        match refused {
            ApplyOutcome::Missing | ApplyOutcome::Superseded if work.identity.sign_in.is_some() => {
                self.start(shared, work).await
            }
            ApplyOutcome::Missing if self.seen_alive => {
                self.view = View::Ended;
                Err(SessionError::Ended)
            }
            ApplyOutcome::Missing => {
                self.view = View::Absent { expired: true };
                self.start(shared, work).await
            }
            ApplyOutcome::Superseded => {
                self.view = View::Superseded;
                Err(SessionError::Superseded)
            }
            ApplyOutcome::OtherOwner if work.withheld => Err(SessionError::NoConsent),
            ApplyOutcome::OtherOwner => {
                // The one who signed in takes nothing of the other user's session with him.
                let removed = self.remove(shared, work.at).await?;
                self.removed(shared, removed, true);
                if removed == RemoveOutcome::Removed {
                    self.end();
                } else {
                    self.leave();
                }
                self.start(shared, work).await
            }
            ApplyOutcome::Revoked => Err(SessionError::Revoked),
            ApplyOutcome::TooLarge { size } => Err(shared.too_large(size)),
            ApplyOutcome::Applied(_)
            | ApplyOutcome::Conflict
            | ApplyOutcome::NotAnInteger
            | ApplyOutcome::Overflow => Err(unexpected("a delta without an operation was refused")),
        }
    }

    /// Starts a session with what was noted, if that is anything.
    async fn start(&mut self, shared: &Shared, mut work: Work) -> Result<(), SessionError> {
        let Some((new, record)) = begin(shared, &mut work)? else {
            return Ok(());
        };
        let until = persistent_until(&record);
        let id = new.token.id();
        let created = self.create(shared, id, record, work.at.now).await?;
        self.started(shared, created, new, until, &work)
    }

    pub(super) fn started(
        &mut self,
        shared: &Shared,
        created: CreateOutcome,
        new: NewToken,
        persistent_until: Option<Timestamp>,
        work: &Work,
    ) -> Result<(), SessionError> {
        match created {
            CreateOutcome::Created => {
                self.leave();
                self.started = true;
                let signed_in = work.identity.sign_in.is_some();
                shared
                    .events
                    .created(new.token.id(), signed_in, work.at.now);
                if !work.last {
                    self.remember(work.values.changes());
                }
                self.adopt(new, persistent_until);
                Ok(())
            }
            CreateOutcome::Revoked => Err(SessionError::Revoked),
            // 74 random bits in a millisecond: this is a broken random source or store, not chance.
            CreateOutcome::Exists => Err(unexpected("a new session id is taken")),
        }
    }

    /// Ends the session; what was noted after that starts another one.
    async fn destroy(&mut self, shared: &Shared, work: Work) -> Result<(), SessionError> {
        if work.withheld && work.identity.sign_in.is_some() {
            // Before anything is ended.
            return Err(SessionError::NoConsent);
        }
        match (&self.view, &self.token) {
            (View::Ambiguous, _) => return Err(SessionError::AmbiguousCookie),
            // Somebody who signs in, as another user, doesn't depend on the old session.
            (View::Superseded, _) if work.identity.sign_in.is_none() => {
                return Err(SessionError::Superseded);
            }
            (View::Alive(_) | View::Unknown | View::Several(_), Some(_)) => {
                let others = self.is_of_other_owner(work.identity.sign_in.as_ref());
                let removed = self.remove(shared, work.at).await?;
                self.removed(shared, removed, others);
                if removed == RemoveOutcome::Superseded && work.identity.sign_in.is_none() {
                    self.view = View::Superseded;
                    return Err(SessionError::Superseded);
                }
            }
            _ => {}
        }
        self.end();
        self.start(shared, work).await
    }

    /// Tells of a session that a request ended: its own, or that of another user whose place it takes.
    fn removed(&self, shared: &Shared, removed: RemoveOutcome, others: bool) {
        if let (RemoveOutcome::Removed, Some(token)) = (removed, &self.token) {
            match others {
                true => shared.events.revoked(token.id(), "sign_in"),
                false => shared.events.destroyed(token.id()),
            }
        }
    }

    /// Moves the idle deadline of a session that was only read. A failure harms nobody now: it is logged.
    pub(super) async fn touch(&mut self, shared: &Shared, at: Instants) {
        let Some(id) = self.id() else {
            return;
        };
        // Of now: other requests may have moved the deadline further since this one began.
        let at = Instants {
            now: shared.now(),
            ..at
        };
        let delta = Delta::new(shared.max_session_bytes);
        if let Err(error) = self.apply(shared, delta, at).await {
            shared.events.touch_failed(id, &error, at.now);
        }
    }

    /// The session goes on under this token, which the client has to be told.
    fn adopt(&mut self, new: NewToken, persistent_until: Option<Timestamp>) {
        self.cookie = Some(Box::new(CookieChange::Set {
            text: new.text,
            persistent_until,
        }));
        self.token = Some(new.token);
        self.seen_alive = true;
        self.touched = true;
        self.view = View::Alive(None);
    }

    /// The session is over, and the client is told to drop its cookie.
    fn end(&mut self) {
        self.leave();
        self.cookie = Some(Box::new(CookieChange::Remove));
    }
}

/// The session that the work starts, if it starts one.
pub(super) fn begin(
    shared: &Shared,
    work: &mut Work,
) -> Result<Option<(NewToken, Record)>, SessionError> {
    if !starts_session(&work.values, &work.identity) {
        return Ok(None);
    }
    if work.head_sent {
        return Err(SessionError::ResponseSent("a session can't start any more"));
    }
    if work.withheld {
        shared.log_withheld();
        // Who signs in or saves counts on it. Whatever else was noted may be worth no more than this request.
        let matters = work.identity.sign_in.is_some() || !work.last;
        return if matters {
            Err(SessionError::NoConsent)
        } else {
            Ok(None)
        };
    }
    let now = work.at.now;
    let new = NewToken::generate(now);
    let idle = match work.identity.sign_in {
        Some(_) => shared.idle,
        None => shared.anonymous_idle,
    };
    let mut record = Record::new(new.token.secret_hash(), now, idle, shared.absolute_timeout);
    record.values = work.values.to_values();
    if record.values.size() > shared.max_session_bytes {
        return Err(shared.too_large(record.values.size()));
    }
    if !work.identity.is_empty() {
        // As for a record that is stored: limits and sign-in have one meaning.
        let mut delta = Delta::new(u64::MAX);
        delta.sign_in.clone_from(&work.identity.sign_in);
        delta.limits = std::mem::take(&mut work.identity.limits);
        record.edit_head(&delta, now);
    }
    Ok(Some((new, record)))
}

pub(super) fn persistent_until(record: &Record) -> Option<Timestamp> {
    record.persistent.then_some(record.absolute_deadline)
}

/// The store broke its contract.
fn unexpected(what: &'static str) -> SessionError {
    SessionError::Store(StoreError::unavailable(what))
}
