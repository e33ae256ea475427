//! What a sign-in does around its write: it gives a session that gets a user the ordinary idle
//! timeout, and keeps the limit of sessions that a user may have.

use super::{ask::Turn, commit::Work, request::Request, view::View};
use crate::{
    error::SessionError,
    model::{Owner, SessionId},
    session_limit::SessionLimit,
    store::{RemoveOutcome, SessionSummary, StoreError},
};

/// One sign-in ends at most this many sessions. More are left only after the limit was lowered, or
/// if more sign-ins of one user than this come at the same moment.
const MOST_ENDED: usize = 64;

/// One call to the store ends at most this many, so that it is over within the I/O timeout.
const ENDED_AT_ONCE: usize = 16;

impl Turn<'_> {
    pub(super) async fn store_sign_in(&self, work: &mut Work) -> Result<(), SessionError> {
        let Some(owner) = work.notes.sign_in().map(|sign_in| sign_in.owner.clone()) else {
            return self.store(work).await;
        };
        #[cfg(feature = "device-bound")]
        self.prepare_device(work).await?;
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

    /// Gives a session that was anonymous the ordinary idle timeout, unless it has one of its own,
    /// or ends.
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

    /// Returns up to this many sessions of the user, or `None` if one is of a later format version:
    /// while a new release is rolled out, the old one can't count such a user's sessions, and lets
    /// them in.
    async fn count(
        &self,
        owner: &Owner,
        most: usize,
    ) -> Result<Option<Vec<SessionSummary>>, SessionError> {
        match self.list_up_to(owner, most).await {
            Err(SessionError::Store(StoreError::UnknownVersion { .. })) => {
                // That error leaves nothing unknown.
                self.request().poison = None;
                Ok(None)
            }
            listed => listed.map(Some),
        }
    }

    /// Refuses before anything is written: the visitor keeps the session that they have. Returns
    /// the session if it signs in again.
    async fn refuse_if_full(&self, owner: &Owner) -> Result<Option<SessionId>, SessionError> {
        let SessionLimit::Refuse(limit) = self.config().session_limit else {
            return Ok(None);
        };
        let allowed = limit as usize;
        let Some(sessions) = self.count(owner, allowed).await? else {
            return Ok(None);
        };
        let own = self.request().own_token().map(|token| token.id());
        let counted = own.filter(|own| sessions.iter().any(|session| session.id == *own));
        if counted.is_some() || sessions.len() < allowed {
            return Ok(counted);
        }
        // There may be more than were counted.
        match own {
            Some(own) if self.find_owned(owner, own).await?.is_some() => Ok(Some(own)),
            _ => Err(SessionError::TooManySessions { limit }),
        }
    }

    /// Ends the sessions over the limit; this one is among them if others signed in at the same
    /// time. Should the store fail now, the request is not answered as a success, but with the
    /// cookie: the client's old token is worthless.
    async fn end_surplus(&self, owner: &Owner, own: SessionId) -> Result<(), SessionError> {
        let limit = self.config().session_limit;
        let (SessionLimit::EndOldest(kept) | SessionLimit::Refuse(kept)) = limit else {
            return Ok(());
        };
        let most = (kept as usize).saturating_add(MOST_ENDED);
        let Some(mut sessions) = self.count(owner, most).await? else {
            return Ok(());
        };
        if !sessions.iter().any(|session| session.id == own) {
            // It ended, or there are more than were counted.
            sessions.extend(self.find_owned(owner, own).await?);
        }
        let mut lost = !sessions.iter().any(|session| session.id == own);
        // After the list, so that no clock that goes right has noted a later time in it.
        let now = self.config().now_after_revocations(owner);
        let mut surplus = limit.surplus(sessions, own, now);
        lost |= surplus.contains(&own);
        if surplus.len() > MOST_ENDED {
            // The first is the oldest. Later sign-ins end the rest.
            surplus.truncate(MOST_ENDED);
            if lost && !surplus.contains(&own) {
                surplus.push(own);
            }
        }
        if lost {
            self.request().lose_sign_in();
        }
        for ids in surplus.chunks(ENDED_AT_ONCE) {
            let removed = self.remove_each(ids).await?;
            for (id, removed) in ids.iter().zip(removed) {
                if removed == RemoveOutcome::Removed {
                    self.config().events.revoked(*id, "session_limit");
                }
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
        let own = self.own_token();
        self.leave();
        self.view = own.map_or(View::Absent, View::Ended);
        self.cookie = None;
    }
}
