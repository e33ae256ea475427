//! The session store that stands behind the small door.

use std::fmt;

use super::{
    door::{StoreKey, VersionedStore},
    index::Announced,
    owners::Step,
    records::{Records, Tries},
};
use crate::{
    model::{
        self, ApplyOutcome, Delta, Instants, Owner, Record, RemoveOutcome, SecretHash, SessionId,
        Timestamp,
    },
    store::{CreateOutcome, SessionStore, SessionSummary, StoreError},
};

/// A session store on a [`VersionedStore`]: records, owners, limits and revocations on three calls.
///
/// A change reads the record, applies it and writes it over the version that was read; if somebody
/// else was faster, it begins anew, 64 times at most. Calls of one process on one session take turns.
/// So a change is two calls of the store, a sign-in six, and a revocation or a list one or two for each
/// session of the user, one after the other.
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
        let mut tries = Tries::new();
        loop {
            let Some((version, mut record)) = self.0.read(id).await? else {
                return Ok(ApplyOutcome::Missing);
            };
            if !self.0.admits(id, &record).await? {
                return Ok(ApplyOutcome::Missing);
            }
            let deadline = record.absolute_deadline;
            let applied = record.apply(secret, delta, at);
            if !matches!(applied, ApplyOutcome::Applied(_)) {
                return Ok(applied);
            }
            let signs_in = delta.sign_in.is_some();
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
        let Some((_, record)) = self.0.read(id).await? else {
            return Ok(None);
        };
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
        delta: Delta,
        at: Instants,
    ) -> Result<ApplyOutcome, StoreError> {
        let _turn = self.0.turns.take(&StoreKey::session(id)).await;
        self.apply_in_turn(id, secret, &delta, at).await
    }

    async fn remove(
        &self,
        id: SessionId,
        secret: Option<&SecretHash>,
        at: Instants,
    ) -> Result<RemoveOutcome, StoreError> {
        let turn = self.0.turns.take(&StoreKey::session(id)).await;
        let (outcome, owner) = self.remove_in_turn(id, secret, at).await?;
        drop(turn);
        if let Some(owner) = &owner {
            self.0.forget(owner, id, at.now).await;
        }
        Ok(outcome)
    }

    async fn list(&self, owner: &Owner, now: Timestamp) -> Result<Vec<SessionSummary>, StoreError> {
        self.0.list_of(owner, now).await
    }

    async fn remove_owned(
        &self,
        owner: &Owner,
        except: Option<SessionId>,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        self.0.remove_all_of(owner, except, now).await
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
