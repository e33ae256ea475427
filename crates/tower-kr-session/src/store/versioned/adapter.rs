//! The session store that stands behind the small door.

use std::fmt;

use super::{
    door::{StoreKey, Version, VersionedStore},
    index::Announced,
    owners::Step,
    records::{Records, Tries},
};
use crate::{
    model::{
        self, ApplyOutcome, Delta, Instants, Owner, Record, RemoveOutcome, SecretHash, SessionId,
        Timestamp,
    },
    store::{CreateOutcome, Cursor, Page, SessionStore, SessionSummary, StoreError},
};

/// A session store on a [`VersionedStore`]: records, owners, limits and revocations on three calls.
///
/// A change reads the record, applies it and writes it over the version that was read; if somebody
/// else was faster, it begins anew, 64 times at most. Calls of one process with one token take
/// turns, and a wrong secret takes none of them. So a change is two calls of the store, or one if
/// the request has read the session before and the versions are [numbers](Version::as_u64). A
/// sign-in is six, and a revocation or a list one or two for each session of the user, one after
/// the other.
///
/// A user has at most 4,096 sessions; the next sign-in ends the oldest one.
///
/// ```
/// # use std::time::Duration;
/// # use tower_kr_session::{SessionLayer, StoreError};
/// # use tower_kr_session::store::{StoreKey, StoreValue, Version, VersionedStore};
/// use tower_kr_session::store::Versioned;
/// # struct MyDatabase;
/// # impl VersionedStore for MyDatabase {
/// #     async fn get(&self, _: &StoreKey) -> Result<Option<(Version, bytes::Bytes)>, StoreError> {
/// #         Ok(None)
/// #     }
/// #     async fn put_if(&self, _: &StoreKey, _: Option<Version>, _: StoreValue, _: Duration) -> Result<bool, StoreError> {
/// #         Ok(false)
/// #     }
/// #     async fn delete_if(&self, _: &StoreKey, _: Version) -> Result<bool, StoreError> {
/// #         Ok(false)
/// #     }
/// # }
///
/// let layer = SessionLayer::new(Versioned::new(MyDatabase));
/// ```
pub struct Versioned<S>(Records<S>);

impl<S: VersionedStore> Versioned<S> {
    /// A session store on this one, which may be an `Arc` of it.
    #[must_use]
    pub fn new(store: S) -> Self {
        Self(Records::new(store))
    }

    /// The store below.
    pub const fn store(&self) -> &S {
        &self.0.store
    }

    async fn apply_in_turn(
        &self,
        id: SessionId,
        secret: &SecretHash,
        delta: &Delta,
        at: Instants,
    ) -> Result<ApplyOutcome, StoreError> {
        let signs_in = delta.sign_in.is_some();
        // A sign-in looks itself: its steps and those of a revocation are in an order.
        let seen = delta.seen.as_deref().filter(|_| !signs_in);
        let seen = seen.filter(|record| record.revision != 0);
        let mut seen = seen.map(|record| (Version::from(record.revision), record.clone()));
        let mut tries = Tries::new();
        loop {
            let was_seen = seen.is_some();
            let found = match seen.take() {
                Some(seen) => Some(seen),
                None => self.0.read(id).await?,
            };
            let Some((version, mut record)) = found else {
                return Ok(ApplyOutcome::Missing);
            };
            if !self.0.admits(id, &record).await? {
                return Ok(ApplyOutcome::Missing);
            }
            let deadline = record.absolute_deadline;
            let applied = record.apply(secret, delta, at);
            if !matches!(applied, ApplyOutcome::Applied(_)) {
                if was_seen {
                    // It may be out of date by now.
                    continue;
                }
                return Ok(applied);
            }
            let step = if signs_in { Step::SignIn } else { Step::Extend };
            let owner = record.owner.clone();
            let owner = owner.filter(|_| signs_in || record.absolute_deadline > deadline);
            if let Some(owner) = &owner {
                // Boxed, here and below: it would make the usual call ten times as large.
                let announced = self.0.announce(owner, id, &record, step, at.now);
                match Box::pin(announced).await? {
                    Announced::Revoked if signs_in => return Ok(ApplyOutcome::Revoked),
                    Announced::Indexed => {}
                    _ => {
                        Box::pin(self.0.end(owner, id, at.now)).await?;
                        return Ok(ApplyOutcome::Missing);
                    }
                }
            }
            if self.0.write(id, Some(version), &record, at.now).await? {
                let lives = match &owner {
                    Some(owner) => Box::pin(self.0.settle(owner, id, &record, at.now)).await?,
                    None => true,
                };
                return Ok(match lives {
                    true => applied,
                    false if signs_in => ApplyOutcome::Revoked,
                    false => ApplyOutcome::Missing,
                });
            }
            tries.again().await?;
        }
    }

    async fn remove_in_turn(
        &self,
        id: SessionId,
        secret: Option<&SecretHash>,
        at: Instants,
    ) -> Result<(RemoveOutcome, Option<Owner>), StoreError> {
        let mut tries = Tries::new();
        loop {
            let Some((version, record)) = self.0.read(id).await? else {
                return Ok((RemoveOutcome::Missing, None));
            };
            let removal = record.removal(secret, at);
            if !removal.deletes {
                return Ok((removal.outcome, None));
            }
            let key = StoreKey::session(id);
            if self.0.store.delete_if(&key, version).await? {
                return Ok((removal.outcome, record.owner));
            }
            tries.again().await?;
        }
    }
}

impl<S: VersionedStore> SessionStore for Versioned<S> {
    async fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Record>, StoreError> {
        let Some((version, mut record)) = self.0.read(id).await? else {
            return Ok(None);
        };
        record.revision = version.as_u64().unwrap_or(0);
        let alive = !record.is_expired(Instants::at(now)) && self.0.admits(id, &record).await?;
        Ok(alive.then_some(record))
    }

    async fn create(
        &self,
        id: SessionId,
        record: Record,
        now: Timestamp,
    ) -> Result<CreateOutcome, StoreError> {
        if let Some(owner) = &record.owner {
            // A taken id is told before a revocation, and leaves no trace in the index.
            if self.0.store.get(&StoreKey::session(id)).await?.is_some() {
                return Ok(CreateOutcome::Exists);
            }
            let announced = self.0.announce(owner, id, &record, Step::SignIn, now);
            if Box::pin(announced).await? != Announced::Indexed {
                return Ok(CreateOutcome::Revoked);
            }
        }
        if !self.0.write(id, None, &record, now).await? {
            return Ok(CreateOutcome::Exists);
        }
        match &record.owner {
            Some(owner) if !Box::pin(self.0.settle(owner, id, &record, now)).await? => {
                Ok(CreateOutcome::Revoked)
            }
            _ => Ok(CreateOutcome::Created),
        }
    }

    async fn apply(
        &self,
        id: SessionId,
        secret: &SecretHash,
        delta: &Delta,
        at: Instants,
    ) -> Result<ApplyOutcome, StoreError> {
        let _turn = self
            .0
            .turns
            .take(&StoreKey::session(id), Some(secret))
            .await;
        self.apply_in_turn(id, secret, delta, at).await
    }

    async fn remove(
        &self,
        id: SessionId,
        secret: Option<&SecretHash>,
        at: Instants,
    ) -> Result<RemoveOutcome, StoreError> {
        let turn = self.0.turns.take(&StoreKey::session(id), secret).await;
        let (outcome, owner) = self.remove_in_turn(id, secret, at).await?;
        drop(turn);
        if let Some(owner) = &owner {
            self.0.forget(owner, id, at.now).await;
        }
        Ok(outcome)
    }

    async fn list(&self, owner: &Owner, now: Timestamp) -> Result<Vec<SessionSummary>, StoreError> {
        self.0.list_of(owner, usize::MAX, now).await
    }

    async fn list_up_to(
        &self,
        owner: &Owner,
        most: usize,
        now: Timestamp,
    ) -> Result<Vec<SessionSummary>, StoreError> {
        self.0.list_of(owner, most, now).await
    }

    async fn remove_owned(
        &self,
        owner: &Owner,
        except: Option<SessionId>,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        self.0.remove_all_of(owner, except, now).await
    }

    async fn page(
        &self,
        after: Option<&Cursor>,
        most: usize,
        now: Timestamp,
    ) -> Result<Page, StoreError> {
        let after = after.map(Cursor::session_id).transpose()?;
        let ids = self.0.store.session_ids(after, most).await?;
        let next = ids.last().filter(|_| ids.len() >= most);
        let next = next.map(|last| (*last).into());
        let mut sessions = Vec::with_capacity(ids.len());
        for id in ids {
            if let Some((_, record)) = self.0.read(id).await?
                && !record.is_expired(Instants::at(now))
            {
                sessions.push(SessionSummary::new(id, &record, now));
            }
        }
        Ok(Page::new(sessions, next))
    }

    fn largest_session(&self) -> Option<u64> {
        self.0.store.largest_value().map(model::largest_session)
    }
}

impl<S: fmt::Debug> fmt::Debug for Versioned<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Versioned").field(&self.0.store).finish()
    }
}
