//! The store: which steps each call takes.

use std::{fmt, sync::Arc};

use tower_kr_session::{
    Owner, SessionId, SessionStore, SessionSummary, StoreError, Timestamp,
    store::{ApplyOutcome, CreateOutcome, Delta, Instants, Record, RemoveOutcome, SecretHash},
};

use crate::{database::Database, failure::Failure, record::Index};

/// Keeps sessions in Redis: in a single server, in the master that sentinels name, or in a cluster.
///
/// A clone is the same store. The [crate's documentation](crate) says what the store promises;
/// [`builder`](Self::builder) has the URLs and the settings.
#[derive(Clone)]
pub struct RedisStore(Arc<Database>);

impl RedisStore {
    pub(crate) fn new(database: Database) -> Self {
        Self(Arc::new(database))
    }
}

impl fmt::Debug for RedisStore {
    /// Shows the servers' addresses, without credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("servers", &self.0.description)
            .field("key_prefix", &self.0.keys.prefix())
            .finish_non_exhaustive()
    }
}

impl SessionStore for RedisStore {
    async fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Record>, StoreError> {
        self.0.load(id, now).await
    }

    async fn create(
        &self,
        id: SessionId,
        record: Record,
        now: Timestamp,
    ) -> Result<CreateOutcome, StoreError> {
        let Some(owner) = &record.owner else {
            return self.0.create_record(id, &record, now).await;
        };
        let authenticated_at = record.authenticated_at.unwrap_or(record.created_at);
        let announced = self.0.announce(owner, id, Some(authenticated_at), now);
        let Some(announced) = announced.await? else {
            return Ok(if self.0.exists(id).await? {
                CreateOutcome::Exists
            } else {
                CreateOutcome::Revoked
            });
        };
        let created = self.0.create_record(id, &record, now).await?;
        if created != CreateOutcome::Created {
            self.0.withdraw(owner, id, &announced, now).await;
            return Ok(created);
        }
        let deadline = record.absolute_deadline;
        let settled = self.0.settle(owner, id, &announced, deadline, now).await?;
        Ok(if settled {
            CreateOutcome::Created
        } else {
            CreateOutcome::Revoked
        })
    }

    async fn apply(
        &self,
        id: SessionId,
        secret: &SecretHash,
        delta: Delta,
        at: Instants,
    ) -> Result<ApplyOutcome, StoreError> {
        if let Some(sign_in) = &delta.sign_in {
            let time = Some(sign_in.authenticated_at);
            // Boxed, here and below, so that the usual call stays small.
            let applying = self
                .0
                .apply_owned(&sign_in.owner, time, id, secret, &delta, at);
            return Box::pin(applying).await;
        }
        let reply = self
            .0
            .run_apply(id, secret, &delta, at, Index::NotAsked)
            .await?;
        if reply.word() == "owned" {
            let owner = Owner::new(reply.text(1)).map_err(|_| Failure::BadReply("no owner"))?;
            let applying = self.0.apply_owned(&owner, None, id, secret, &delta, at);
            return Box::pin(applying).await;
        }
        Ok(reply.applied()?)
    }

    async fn remove(
        &self,
        id: SessionId,
        secret: Option<&SecretHash>,
        at: Instants,
    ) -> Result<RemoveOutcome, StoreError> {
        let reply = self.0.run_remove(id, secret, at, "").await?;
        if let Ok(owner) = Owner::new(reply.text(1))
            && reply.word() != "corrupt"
        {
            self.0.forget(&owner, id, at.now).await;
        }
        match reply.word() {
            "removed" => Ok(RemoveOutcome::Removed),
            "missing" | "corrupt" => Ok(RemoveOutcome::Missing),
            "superseded" => Ok(RemoveOutcome::Superseded),
            _ => Err(Failure::BadReply("an unknown word").into()),
        }
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
}

impl Database {
    /// Applies a delta that gives the session an owner, or moves the absolute deadline of a session
    /// that has one (then without a time of sign-in). The owner's index is changed before and after.
    async fn apply_owned(
        &self,
        owner: &Owner,
        authenticated_at: Option<Timestamp>,
        id: SessionId,
        secret: &SecretHash,
        delta: &Delta,
        at: Instants,
    ) -> Result<ApplyOutcome, StoreError> {
        let announced = self.announce(owner, id, authenticated_at, at.now).await?;
        let index = match announced {
            Some(_) => Index::Indexed,
            None => Index::Revoked,
        };
        let reply = self.run_apply(id, secret, delta, at, index).await?;
        let applied = reply.applied()?;
        let Some(announced) = announced else {
            // The session is being revoked, and its holder only wanted to change its limits.
            if authenticated_at.is_none() && applied == ApplyOutcome::Revoked {
                return Ok(ApplyOutcome::Missing);
            }
            return Ok(applied);
        };
        let ApplyOutcome::Applied(receipt) = applied else {
            self.withdraw(owner, id, &announced, at.now).await;
            return Ok(applied);
        };
        let deadline = receipt.absolute_deadline;
        let settled = self.settle(owner, id, &announced, deadline, at.now).await?;
        Ok(if settled {
            applied
        } else {
            ApplyOutcome::Revoked
        })
    }
}
