//! A store of versioned bytes in one file of [redb](https://docs.rs/redb).

use std::{path::Path, sync::Arc, time};

use bytes::Bytes;
use redb::{Database, Error, ReadableDatabase, ReadableTable, TableDefinition};
use tower_kr_session::store::{StoreError, StoreKey, StoreValue, Version, VersionedStore};

/// By key: the version, the value, and the millisecond until which it is kept.
const VALUES: TableDefinition<&str, (u64, &[u8], u128)> = TableDefinition::new("values");

/// The keys by that time, to find those that ran out.
const DEADLINES: TableDefinition<(u128, &str), ()> = TableDefinition::new("deadlines");

/// One number that outlives every key: no version comes back.
const LAST_VERSION: TableDefinition<(), u64> = TableDefinition::new("last_version");

type Call<T> = Box<dyn FnOnce(&Database, &str) -> Result<T, Error> + Send>;

/// Keeps sessions in a file.
pub(crate) struct RedbStore(Arc<Database>);

impl RedbStore {
    /// Opens the file, or creates it.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let database = Database::create(path)?;
        // A first write creates the tables.
        replace(None, None)(&database, "")?;
        Ok(Self(Arc::new(database)))
    }

    /// Makes a call on a thread that may wait for the disk.
    async fn run<T: Send + 'static>(&self, key: &StoreKey, call: Call<T>) -> Result<T, StoreError> {
        let (database, key) = (Arc::clone(&self.0), key.to_string());
        let answer = tokio::task::spawn_blocking(move || call(&database, &key)).await;
        let answer = answer.map_err(StoreError::unavailable)?;
        answer.map_err(StoreError::unavailable)
    }
}

impl VersionedStore for RedbStore {
    async fn get(&self, key: &StoreKey) -> Result<Option<(Version, Bytes)>, StoreError> {
        let get: Call<_> = Box::new(|database, key| {
            let entry = database.begin_read()?.open_table(VALUES)?.get(key)?;
            let value = entry.as_ref().map(|entry| entry.value());
            Ok(value.map(|(version, bytes, _)| (version.into(), bytes.to_vec().into())))
        });
        self.run(key, get).await
    }

    async fn put_if(
        &self,
        key: &StoreKey,
        expected: Option<Version>,
        value: StoreValue,
        keep_for: time::Duration,
    ) -> Result<bool, StoreError> {
        let new = Some((value.bytes, keep_for));
        self.run(key, replace(expected, new)).await
    }

    async fn delete_if(&self, key: &StoreKey, expected: Version) -> Result<bool, StoreError> {
        self.run(key, replace(Some(expected), None)).await
    }
}

/// Writes or deletes a key if it has this version, and removes two keys that ran out.
fn replace(expected: Option<Version>, new: Option<(Bytes, time::Duration)>) -> Call<bool> {
    Box::new(move |database, key| {
        let now = time::UNIX_EPOCH.elapsed().map_or(0, |now| now.as_millis());
        let transaction = database.begin_write()?;
        let mut values = transaction.open_table(VALUES)?;
        let mut deadlines = transaction.open_table(DEADLINES)?;
        let old = values.get(key)?.map(|old| (old.value().0, old.value().2));
        if old.map(|(version, _)| Version::from(version)) != expected {
            return Ok(false);
        }
        if let Some((_, until)) = old {
            values.remove(key)?;
            deadlines.remove((until, key))?;
        }
        if let Some((bytes, keep_for)) = new {
            let mut last_version = transaction.open_table(LAST_VERSION)?;
            let version = last_version.get(())?.map_or(1, |last| last.value() + 1);
            let until = now + keep_for.as_millis() + 1;
            last_version.insert((), version)?;
            values.insert(key, (version, &*bytes, until))?;
            deadlines.insert((until, key), ())?;
        }
        for ran_out in deadlines
            .extract_from_if(..(now, ""), |_, ()| true)?
            .take(2)
        {
            values.remove(ran_out?.0.value().1)?;
        }
        drop((values, deadlines));
        transaction.commit()?;
        Ok(true)
    })
}
