//! Lists and ends sessions from outside of requests.

use std::{fmt, sync::Arc, time::Duration};

use crate::{
    config::Config,
    error::SessionError,
    model::{IdleLimit, Instants, Owner, Record, SecretHash, SessionId},
    store::{Cursor, Page, RemoveOutcome, SessionSummary, StoreError},
};

/// How long a probe waits for each answer of the store.
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// A write this short a time ago shows that the store can be written.
const RECENTLY: Duration = Duration::from_secs(2);

/// How many sessions a page has.
const PAGE: usize = 100;

/// How many sessions are counted in one call to a store that has no count of its own. Redis answers
/// nobody else for the two milliseconds or so that it takes to name them.
const COUNTED_AT_ONCE: usize = 4096;

/// How long the session of a probe lives if it can't be ended.
const PING_LIFETIME: Duration = Duration::from_secs(10);

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

    pub(crate) const fn config(&self) -> &Arc<Config> {
        &self.0
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

    /// Returns up to about a hundred live sessions of all users and of visitors without one, for a
    /// page of administrators; go on with [`Page::next`]. `None` begins.
    ///
    /// The walk finds each session that lives all the time, and perhaps some that began or ended
    /// meanwhile. It holds up no request. On Redis a session may come twice, and after a fail-over
    /// in the middle some may be left out.
    ///
    /// ```
    /// # use tower_kr_session::{MemoryStore, SessionLayer};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let sessions = SessionLayer::new(MemoryStore::new()).sessions()?;
    /// let mut page = sessions.page(None).await?;
    /// loop {
    ///     for session in &page.sessions {
    ///         println!("{} {:?} {:?}", session.id, session.owner, session.last_used_at);
    ///     }
    ///     let Some(next) = page.next else { break };
    ///     page = sessions.page(Some(&next)).await?;
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If the store can't do it ([`StoreError::Unsupported`]: one behind
    /// [`VersionedStore`](crate::store::VersionedStore) that can't list its keys), the cursor is of
    /// another store ([`StoreError::InvalidCursor`]), or the store can't answer.
    pub async fn page(&self, cursor: Option<&Cursor>) -> Result<Page, SessionError> {
        Ok(self.page_of(cursor, PAGE).await?)
    }

    /// Returns how many sessions live. The time that it takes grows with their number: ask it now
    /// and then, not with each request.
    ///
    /// SQL databases count their rows. On Redis it goes through all sessions, a few thousand at a
    /// time; some may be counted twice.
    ///
    /// # Errors
    /// As [`page`](Self::page).
    pub async fn count(&self) -> Result<u64, SessionError> {
        let config = &self.0;
        let counted = config.store.count(config.now());
        if let Some(count) = counted.within(config.io_timeout).await? {
            return Ok(count);
        }
        let mut page = self.page_of(None, COUNTED_AT_ONCE).await?;
        let mut count = page.sessions.len() as u64;
        while let Some(next) = page.next {
            page = self.page_of(Some(&next), COUNTED_AT_ONCE).await?;
            count += page.sessions.len() as u64;
        }
        Ok(count)
    }

    async fn page_of(&self, cursor: Option<&Cursor>, most: usize) -> Result<Page, StoreError> {
        let config = &self.0;
        let page = config.store.page(cursor, most, config.now());
        page.within(config.io_timeout).await
    }

    /// Checks that the store can serve sessions, for a readiness probe.
    ///
    /// If a request changed a session within the last 2 seconds, it loads a session that doesn't
    /// exist. Else it starts a session and ends it, since a store may answer reads and refuse
    /// writes: a standby, a full disk, a Redis without memory. Each call to the store has 2
    /// seconds, or the I/O timeout if that is shorter. A check that fails is the event
    /// `session.ping_failed`.
    ///
    /// # Errors
    /// If the store can't answer, or can't be written.
    pub async fn ping(&self) -> Result<(), SessionError> {
        let pinged = self.try_out().await;
        if let Err(error) = &pinged {
            self.0.events.ping_failed(error, self.0.now());
        }
        Ok(pinged?)
    }

    async fn try_out(&self) -> Result<(), StoreError> {
        let (config, now) = (&self.0, self.0.now());
        let timeout = config.io_timeout.min(PING_TIMEOUT);
        let id = SessionId::generate(now);
        if config.store.answers_at_once() || config.wrote_within(RECENTLY, now) {
            config.store.load(id, now).within(timeout).await?;
            return Ok(());
        }
        // Nobody has a secret with this hash.
        let secret = SecretHash::from_bytes([0; 32]);
        let record = Record::new(secret, now, IdleLimit::new(PING_LIFETIME), PING_LIFETIME);
        config.store.create(id, record, now).within(timeout).await?;
        let removed = config.store.remove(id, None, Instants::at(now));
        removed.within(timeout).await?;
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
        let now = config.now_after_revocations(owner);
        let removed = config.store.remove_owned(owner, except, now);
        let removed = removed.within(config.io_timeout).await?;
        let over = config.clock.exact_now();
        config.revocations.note(owner, now, over);
        config.events.revoked_all(removed, except);
        Ok(removed)
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").finish_non_exhaustive()
    }
}
