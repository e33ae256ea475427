//! Lists and ends sessions from outside of requests.

use std::{
    fmt,
    sync::{Arc, atomic::Ordering},
};

use crate::{
    config::Config,
    error::SessionError,
    model::{Instants, Owner, SessionId},
    store::{RemoveOutcome, SessionSummary},
};

/// Lists and ends the sessions of users, for a page of "your sessions", "sign out everywhere else",
/// a changed password, or an administrator. Made by
/// [`SessionLayer::sessions`](crate::SessionLayer::sessions); cheap to clone.
///
/// ```
/// use tower_kr_session::{MemoryStore, Owner, SessionLayer};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let layer = SessionLayer::new(MemoryStore::new());
/// let sessions = layer.sessions()?;
/// let max = Owner::new("max")?;
/// assert!(sessions.list(&max).await?.is_empty());
/// assert_eq!(sessions.revoke_all(&max).await?, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Sessions(Arc<Config>);

impl Sessions {
    pub(crate) const fn new(config: Arc<Config>) -> Self {
        Self(config)
    }

    /// Returns the live sessions of a user, the oldest first.
    ///
    /// # Errors
    /// If the store can't answer.
    pub async fn list(&self, owner: &Owner) -> Result<Vec<SessionSummary>, SessionError> {
        let config = &self.0;
        let list = config.store.list(owner, config.now());
        Ok(list.within(config.io_timeout).await?)
    }

    /// Checks that the store answers, for a readiness probe: loads a session that doesn't exist.
    ///
    /// # Errors
    /// If the store can't answer.
    pub async fn ping(&self) -> Result<(), SessionError> {
        let config = &self.0;
        let now = config.now();
        let nobody = SessionId::generate(now);
        let load = config.store.load(nobody, now);
        load.within(config.io_timeout).await?;
        Ok(())
    }

    /// Ends one session of this user. Returns `false` if the user has no live session of this id.
    ///
    /// The id may come from a form or a path: a session of another user is left alone.
    ///
    /// # Errors
    /// If the store can't answer: the session may or may not be gone.
    pub async fn revoke_owned(&self, owner: &Owner, id: SessionId) -> Result<bool, SessionError> {
        let config = &self.0;
        let load = config.store.load(id, config.now());
        let record = load.within(config.io_timeout).await?;
        // A session has one owner for its whole life, so what was read still holds when it is
        // removed.
        let owned = record.is_some_and(|record| record.owner.as_ref() == Some(owner));
        Ok(owned && self.revoke_as_admin(id).await?)
    }

    /// Ends any session, whoever its owner is, for administrators. Returns `false` if there is no
    /// live session of this id.
    ///
    /// The caller checks that the person who asks may do this. An id from a user's form belongs to
    /// [`revoke_owned`](Self::revoke_owned).
    ///
    /// # Errors
    /// If the store can't answer: the session may or may not be gone.
    pub async fn revoke_as_admin(&self, id: SessionId) -> Result<bool, SessionError> {
        let config = &self.0;
        let at = Instants::at(config.now());
        let removed = config.store.remove(id, None, at);
        let revoked = removed.within(config.io_timeout).await? == RemoveOutcome::Removed;
        if revoked {
            config.events.revoked(id, "revoke");
        }
        Ok(revoked)
    }

    /// Ends all sessions of a user, including those whose sign-in is on its way. Returns how many
    /// were alive.
    ///
    /// # Errors
    /// If the store can't answer: some sessions may be gone; call again.
    pub async fn revoke_all(&self, owner: &Owner) -> Result<u64, SessionError> {
        self.remove_owned(owner, None).await
    }

    /// Ends all sessions of a user but one ("sign out everywhere else"), and refuses sign-ins of
    /// this user that are on their way. Returns how many were alive.
    ///
    /// A handler that also signs the user in, say after a fresh proof of identity, calls
    /// [`Session::save`](crate::Session::save) first. Otherwise its own sign-in is still on its way
    /// and is refused:
    ///
    /// ```
    /// # use tower_kr_session::{Owner, Session, SessionError, Sessions};
    /// # async fn change_password(
    /// #     session: Session,
    /// #     sessions: Sessions,
    /// #     user: Owner,
    /// # ) -> Result<(), SessionError> {
    /// session.sign_in(user.as_str())?;
    /// session.save().await?;
    /// if let Some(id) = session.id().await? {
    ///     sessions.revoke_others(&user, id).await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the store can't answer: some sessions may be gone; call again.
    pub async fn revoke_others(&self, owner: &Owner, kept: SessionId) -> Result<u64, SessionError> {
        self.remove_owned(owner, Some(kept)).await
    }

    async fn remove_owned(
        &self,
        owner: &Owner,
        except: Option<SessionId>,
    ) -> Result<u64, SessionError> {
        let config = &self.0;
        let now = config.now_after_revocations();
        let removed = config.store.remove_owned(owner, except, now);
        let removed = removed.within(config.io_timeout).await?;
        config
            .last_revocation
            .fetch_max(now.as_unix_millis(), Ordering::SeqCst);
        config.events.revoked_all(removed, except);
        Ok(removed)
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").finish_non_exhaustive()
    }
}
