//! What a sign-in does around its write: the idle timeout of a session that gets a user, and the limit of sessions that one may have.

use super::{
    commit::Work,
    state::{State, View},
};
use crate::{
    config::Shared,
    error::SessionError,
    model::{Instants, Owner, SessionId, Token},
    session_limit::SessionLimit,
    store::{RemoveOutcome, SessionSummary, StoreError},
};

impl State {
    /// Stores the work.
    pub(super) async fn store(&mut self, shared: &Shared, work: Work) -> Result<(), SessionError> {
        self.storing = true;
        let stored = match &work.identity.sign_in {
            None => self.store_noted(shared, work).await,
            // It is rare, so it doesn't make the futures of all the others larger.
            Some(sign_in) => {
                let owner = sign_in.owner.clone();
                Box::pin(self.store_sign_in(shared, work, owner)).await
            }
        };
        self.storing = false;
        stored
    }

    async fn store_sign_in(
        &mut self,
        shared: &Shared,
        mut work: Work,
        owner: Owner,
    ) -> Result<(), SessionError> {
        let at = work.at;
        self.choose(shared, at).await?;
        self.leave_anonymous_idle(shared, &mut work).await?;
        let counted = match shared.session_limit {
            SessionLimit::Refuse(limit) => self.refuse_if_full(shared, &owner, limit, at).await?,
            SessionLimit::EndOldest(_) | SessionLimit::Unlimited => None,
        };
        self.store_noted(shared, work).await?;
        match &self.token {
            Some(token) if shared.session_limit != SessionLimit::Unlimited => {
                let own = token.id();
                // It was there before, so there is not one more.
                if counted == Some(own) {
                    return Ok(());
                }
                self.end_surplus(shared, &owner, own, at).await
            }
            _ => Ok(()),
        }
    }

    /// Gives a session that was anonymous the ordinary idle timeout, unless it has one of its own.
    async fn leave_anonymous_idle(
        &mut self,
        shared: &Shared,
        work: &mut Work,
    ) -> Result<(), SessionError> {
        let identity = &work.identity;
        if shared.anonymous_idle == shared.idle
            || identity.limits.idle.is_some()
            || identity.destroy
        {
            return Ok(());
        }
        self.load(shared, work.at).await?;
        work.identity.limits.idle = self
            .record()
            .and_then(|record| shared.idle_at_sign_in(record));
        Ok(())
    }

    /// The sessions to count; `None` if one is of a later format version. While a new release is rolled out, the old one can't count
    /// such a user's sessions, and lets him in.
    async fn listed(
        &mut self,
        shared: &Shared,
        owner: &Owner,
        at: Instants,
    ) -> Result<Option<Vec<SessionSummary>>, SessionError> {
        match self.list(shared, owner, at).await {
            Err(SessionError::Store(StoreError::UnknownVersion { .. })) => {
                self.forgive();
                Ok(None)
            }
            listed => listed.map(Some),
        }
    }

    /// Refuses before anything is written: the visitor keeps the session that he has. Returns the session that signs in again.
    async fn refuse_if_full(
        &mut self,
        shared: &Shared,
        owner: &Owner,
        limit: u32,
        at: Instants,
    ) -> Result<Option<SessionId>, SessionError> {
        let Some(sessions) = self.listed(shared, owner, at).await? else {
            return Ok(None);
        };
        let own = self.token.as_ref().map(Token::id);
        let counted = own.filter(|own| sessions.iter().any(|session| session.id == *own));
        if counted.is_none() && sessions.len() >= limit as usize {
            return Err(SessionError::TooManySessions { limit });
        }
        Ok(counted)
    }

    /// Ends the sessions over the limit, of which this one is one if others signed in at the same time. Should the store fail now,
    /// the request is not answered as a success, but with the cookie: the client's old token is worthless.
    async fn end_surplus(
        &mut self,
        shared: &Shared,
        owner: &Owner,
        own: SessionId,
        at: Instants,
    ) -> Result<(), SessionError> {
        let Some(sessions) = self.listed(shared, owner, at).await? else {
            return Ok(());
        };
        let mut lost = !sessions.iter().any(|session| session.id == own);
        // After the list, so that no clock that goes right has noted a later time in it.
        let now = shared.now_after_revocations();
        let surplus = shared.session_limit.surplus(sessions, own, now);
        lost |= surplus.contains(&own);
        if lost {
            self.leave();
            self.view = View::Ended;
            self.cookie = None;
        }
        for id in surplus {
            if self.remove_any(shared, id, at).await? == RemoveOutcome::Removed {
                shared.events.revoked(id, "session_limit");
            }
        }
        match shared.session_limit {
            SessionLimit::Refuse(limit) if lost => Err(SessionError::TooManySessions { limit }),
            _ if lost => Err(SessionError::Ended),
            _ => Ok(()),
        }
    }
}
