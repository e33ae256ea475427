//! The plainest store of versioned bytes: a map under a lock.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tower_kr_session::{
    StoreError,
    store::{StoreKey, StoreValue, Version, VersionedStore},
};

#[derive(Debug, Default)]
pub(crate) struct MapStore {
    pub(crate) map: Mutex<HashMap<StoreKey, (Version, Bytes)>>,
    pub(crate) writes: AtomicU64,
    /// Says that it may drop values, so that each use of a user's session asks the index.
    pub(crate) may_evict: bool,
    pub(crate) largest_value: Option<u64>,
}

impl MapStore {
    pub(crate) fn map(&self) -> MutexGuard<'_, HashMap<StoreKey, (Version, Bytes)>> {
        self.map.lock().unwrap()
    }
}

impl VersionedStore for MapStore {
    async fn get(&self, key: &StoreKey) -> Result<Option<(Version, Bytes)>, StoreError> {
        Ok(self.map().get(key).cloned())
    }

    async fn put_if(
        &self,
        key: &StoreKey,
        expected: Option<Version>,
        value: StoreValue,
        _keep_for: Duration,
    ) -> Result<bool, StoreError> {
        let mut map = self.map();
        let matches = map.get(key).map(|(version, _)| version) == expected.as_ref();
        if matches {
            let version = 1 + self.writes.fetch_add(1, Ordering::Relaxed);
            map.insert(*key, (version.into(), value.bytes));
        }
        Ok(matches)
    }

    async fn delete_if(&self, key: &StoreKey, expected: Version) -> Result<bool, StoreError> {
        let mut map = self.map();
        let matches = map
            .get(key)
            .is_some_and(|(version, _)| *version == expected);
        if matches {
            map.remove(key);
        }
        Ok(matches)
    }

    fn largest_value(&self) -> Option<u64> {
        self.largest_value
    }

    fn may_evict(&self) -> bool {
        self.may_evict
    }
}
