//! Keeps sessions in a key-value bucket of [NATS JetStream](https://docs.nats.io), behind the small
//! door (`VersionedStore`).
//!
//! Copy it: it is an example of a store on a server that has revisions.

mod bucket;

use std::time::Duration;

use async_nats::{
    Client,
    jetstream::kv::{Entry, Operation, Store, UpdateError, UpdateErrorKind},
};
use bytes::Bytes;
use tower_kr_session::store::{StoreError, StoreKey, StoreValue, Version, VersionedStore};

/// What a message takes of the largest that the server allows, besides the value.
const HEADERS: u64 = 1_024;

/// Keeps sessions in a bucket.
#[derive(Debug)]
pub struct NatsStore(Store);

impl NatsStore {
    /// Opens a bucket, or creates it. It keeps each value for `keeps` after its last write: that
    /// must be at least five minutes more than the longest absolute timeout of a session.
    ///
    /// # Errors
    /// If the server can't be reached, has no JetStream, or has a bucket of this name with other
    /// settings.
    pub async fn open(
        client: Client,
        name: &str,
        keeps: Duration,
    ) -> Result<Self, async_nats::Error> {
        bucket::open(client, name, keeps).await.map(Self)
    }

    /// Returns what was last written at a key: a value, or that it was deleted.
    async fn last(&self, key: &StoreKey) -> Result<Option<Entry>, StoreError> {
        let entry = self.0.entry(key.to_string()).await;
        entry.map_err(StoreError::unavailable)
    }
}

impl VersionedStore for NatsStore {
    async fn get(&self, key: &StoreKey) -> Result<Option<(Version, Bytes)>, StoreError> {
        let value = self.last(key).await?.filter(is_value);
        Ok(value.map(|entry| (entry.revision.into(), entry.value)))
    }

    async fn put_if(
        &self,
        key: &StoreKey,
        expected: Option<Version>,
        value: StoreValue,
        keep_for: Duration,
    ) -> Result<bool, StoreError> {
        let keeps = self.0.stream.cached_info().config.max_age;
        if keep_for > keeps {
            let message = format!("the bucket keeps values for {keeps:?}, not for {keep_for:?}");
            return Err(StoreError::unavailable(message));
        }
        let revision = match expected {
            Some(version) => version.as_u64(),
            // Not `create`: after a lost answer it finds its own write and says that the key is
            // taken.
            None => match self.last(key).await? {
                Some(entry) => (!is_value(&entry)).then_some(entry.revision),
                None => Some(0),
            },
        };
        let Some(revision) = revision else {
            return Ok(false);
        };
        done(self.0.update(key.to_string(), value.bytes, revision).await)
    }

    async fn delete_if(&self, key: &StoreKey, expected: Version) -> Result<bool, StoreError> {
        // No value has revision 0.
        let revision = expected.as_u64().or(Some(0));
        let key = key.to_string();
        done(self.0.delete_expect_revision(key, revision).await)
    }

    fn largest_value(&self) -> Option<u64> {
        let message = self.0.stream.cached_info().config.max_message_size;
        u64::try_from(message).ok()?.checked_sub(HEADERS)
    }
}

fn is_value(entry: &Entry) -> bool {
    entry.operation == Operation::Put
}

/// Returns whether it was done. The client sends each message once, so a refusal is about this one.
fn done<T>(answer: Result<T, UpdateError>) -> Result<bool, StoreError> {
    match answer {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => Ok(false),
        Err(error) => Err(StoreError::unavailable(error)),
    }
}
