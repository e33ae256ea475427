//! The store: which steps each call takes.

use std::{fmt, sync::Arc};

use futures_util::future::try_join_all;
use tower_kr_session::{
    Cursor, Owner, Page, SessionId, SessionStore, SessionSummary, StoreError, Timestamp,
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
        match &record.owner {
            None => self.0.create_record(id, &record, now).await,
            Some(owner) => self.0.create_owned(owner, id, &record, now).await,
        }
    }

    async fn apply(
        &self,
        id: SessionId,
        secret: &SecretHash,
        delta: &Delta,
        at: Instants,
    ) -> Result<ApplyOutcome, StoreError> {
        let reply = self.0.run_apply(id, secret, delta, at, Index::NotAsked);
        let reply = reply.await?;
        match reply.question()? {
            None => Ok(reply.applied()?),
            // Boxed, so that the usual call stays small.
            Some(question) => {
                let applying = self.0.apply_asking(question, id, secret, delta, at);
                Box::pin(applying).await
            }
        }
    }

    async fn remove(
        &self,
        id: SessionId,
        secret: Option<&SecretHash>,
        at: Instants,
    ) -> Result<RemoveOutcome, StoreError> {
        let reply = self.0.run_remove(id, secret, at, None).await?;
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

    /// All at the same time, so that they share messages.
    async fn remove_each(
        &self,
        ids: &[SessionId],
        at: Instants,
    ) -> Result<Vec<RemoveOutcome>, StoreError> {
        let removals: Vec<_> = ids.iter().map(|id| self.remove(*id, None, at)).collect();
        try_join_all(removals).await
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
        self.0.walk(after, most, now).await
    }
}
