//! What a sign-in does around its write: it gives a session that gets a user the ordinary idle
//! timeout, and keeps the limit of sessions that a user may have.

use super::{
    ask::Turn,
    commit::Work,
    request::{Request, View},
};
use crate::{
    error::SessionError,
    model::{Owner, SessionId},
    session_limit::SessionLimit,
    store::{RemoveOutcome, SessionSummary, StoreError},
};

impl Turn<'_> {
    pub(super) async fn store_sign_in(&self, work: &mut Work) -> Result<(), SessionError> {
        let Some(owner) = work.notes.sign_in().map(|sign_in| sign_in.owner.clone()) else {
            return self.store(work).await;
        };
        self.leave_anonymous_idle(work).await?;
        let counted = self.refuse_if_full(&owner).await?;
        self.store(work).await?;
        let own = self.request().own_token().map(|token| token.id());
        match own {
            // A session that was counted before is not one more.
            Some(own) if counted != Some(own) => self.end_surplus(&owner, own).await,
            _ => Ok(()),
        }
    }

    /// Gives a session that was anonymous the ordinary idle timeout, unless it has one of its own, or
    /// ends.
    async fn leave_anonymous_idle(&self, work: &mut Work) -> Result<(), SessionError> {
        let (config, notes) = (self.config(), &mut work.notes);
        let settled = notes.destroy || notes.delta.limits.idle.is_some();
        if config.anonymous_idle != config.idle && !settled {
            self.load().await?;
            let request = self.request();
            let record = request.record();
            notes.delta.limits.idle = record.and_then(|record| config.idle_at_sign_in(record));
        }
        Ok(())
    }

    /// The sessions to count, or `None` if one is of a later format version: while a new release is
    /// rolled out, the old one can't count such a user's sessions, and lets them in.
    async fn count(&self, owner: &Owner) -> Result<Option<Vec<SessionSummary>>, SessionError> {
        match self.list(owner).await {
            Err(SessionError::Store(StoreError::UnknownVersion { .. })) => {
                // That error leaves nothing unknown.
                self.request().poison = None;
                Ok(None)
            }
            listed => listed.map(Some),
        }
    }

    /// Refuses before anything is written: the visitor keeps the session that they have. Returns the
    /// session if it signs in again.
    async fn refuse_if_full(&self, owner: &Owner) -> Result<Option<SessionId>, SessionError> {
        let SessionLimit::Refuse(limit) = self.config().session_limit else {
            return Ok(None);
        };
        let Some(sessions) = self.count(owner).await? else {
            return Ok(None);
        };
        let own = self.request().own_token().map(|token| token.id());
        let counted = own.filter(|own| sessions.iter().any(|session| session.id == *own));
        if counted.is_none() && sessions.len() >= limit as usize {
            return Err(SessionError::TooManySessions { limit });
        }
        Ok(counted)
    }

    /// Ends the sessions over the limit; this one is among them if others signed in at the same time.
    /// Should the store fail now, the request is not answered as a success, but with the cookie: the
    /// client's old token is worthless.
    async fn end_surplus(&self, owner: &Owner, own: SessionId) -> Result<(), SessionError> {
        let limit = self.config().session_limit;
        if limit == SessionLimit::Unlimited {
            return Ok(());
        }
        let Some(sessions) = self.count(owner).await? else {
            return Ok(());
        };
        let mut lost = !sessions.iter().any(|session| session.id == own);
        // After the list, so that no clock that goes right has noted a later time in it.
        let now = self.config().now_after_revocations();
        let surplus = limit.surplus(sessions, own, now);
        lost |= surplus.contains(&own);
        if lost {
            self.request().lose_sign_in();
        }
        for id in surplus {
            if self.remove_any(id).await? == RemoveOutcome::Removed {
                self.config().events.revoked(id, "session_limit");
            }
        }
        match limit {
            SessionLimit::Refuse(limit) if lost => Err(SessionError::TooManySessions { limit }),
            _ if lost => Err(SessionError::Ended),
            _ => Ok(()),
        }
    }
}

impl Request {
    /// Other sign-ins of the user ended the session that this one just got.
    fn lose_sign_in(&mut self) {
        self.leave();
        self.view = View::Ended;
        self.cookie = None;
    }
}
