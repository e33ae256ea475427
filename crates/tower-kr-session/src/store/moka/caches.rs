//! Versioned bytes in two caches.

use std::{
    collections::BTreeSet,
    ptr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use foldhash::fast::RandomState;
use moka::{policy::EvictionPolicy, sync::Cache};

use super::entry::{self, Entry, Kept, Value};
use crate::{
    model::{RECLAIM_GRACE, SessionId},
    store::{
        StoreError, StoreKey, StoreValue, ValueClass, Version, VersionedStore, shares::EvictionLog,
    },
};

/// What is to be kept longer than this is kept as long: a century.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// Two caches.
pub(super) struct Caches {
    /// For anonymous sessions, and for those of users. A session that moves is in the second share
    /// before it leaves the first.
    pub(super) shares: [Share; 2],
    /// Writes of one key take turns; reads don't, nor do moka's own removals. Each lock holds the
    /// version of its last write.
    turns: [Mutex<u64>; 64],
}

pub(super) struct Share {
    /// Dropped before the cache: what goes with the store was not evicted.
    pub(super) evictions: Arc<EvictionLog>,
    /// Its hashes are a few multiplications: with those of `HashMap` a new session takes 3.5 % more
    /// instructions, and a change 1.8 %. Nobody outside draws keys.
    pub(super) cache: Cache<StoreKey, Arc<Entry>, RandomState>,
}

impl Caches {
    /// Caches of so many bytes each.
    pub(super) fn new(shares: [(u64, EvictionLog); 2]) -> Self {
        Self {
            shares: shares.map(|(bytes, evictions)| Share::new(bytes, evictions)),
            turns: [const { Mutex::new(0) }; 64],
        }
    }

    pub(super) fn run_pending_tasks(&self) {
        for share in &self.shares {
            share.cache.run_pending_tasks();
        }
        // moka frees what it removed once no thread is in the epoch of the removal any more, and an
        // eviction is noted then.
        for _ in 0..3 {
            crossbeam_epoch::pin().flush();
        }
        for share in &self.shares {
            share.evictions.tell();
        }
    }

    /// An entry, and the share that has it.
    fn find(&self, key: &StoreKey) -> Option<(&Share, Arc<Entry>)> {
        let mut shares = self.shares.iter();
        shares.find_map(|share| Some((share, share.cache.get(key)?)))
    }
}

impl VersionedStore for Caches {
    async fn get(&self, key: &StoreKey) -> Result<Option<(Version, Bytes)>, StoreError> {
        Ok(self.find(key).map(|(_, entry)| {
            let value = entry.value();
            (value.version.into(), value.bytes.clone())
        }))
    }

    async fn put_if(
        &self,
        key: &StoreKey,
        expected: Option<Version>,
        value: StoreValue,
        keep_for: Duration,
    ) -> Result<bool, StoreError> {
        let share = &self.shares[usize::from(value.class != ValueClass::Anonymous)];
        let lock = key.choose(&self.turns).lock();
        let mut version = lock.unwrap_or_else(PoisonError::into_inner);
        // It notes no use, as a look at the value does.
        let is_taken = |share: &Share| share.cache.contains_key(key);
        let found = match expected {
            None if self.shares.iter().any(is_taken) => return Ok(false),
            None => None,
            Some(_) => self.find(key),
        };
        let mut current = found.as_ref().map(|(_, entry)| entry.value());
        if current.as_ref().map(|value| value.version.into()) != expected {
            return Ok(false);
        }
        *version += 1;
        let now = Instant::now();
        let value = Value {
            version: *version,
            bytes: value.bytes,
            alive_until: now + keep_for.min(LONGEST).saturating_sub(RECLAIM_GRACE),
        };
        if let (Some((before, entry)), Some(current)) = (&found, &mut current) {
            if ptr::eq(*before, share) && entry.has_room_for(&value) {
                **current = value;
                return Ok(true);
            }
            current.alive_until = now;
        }
        drop(current);
        let entry = Entry::new(key, value, &share.evictions);
        share.cache.insert(*key, Arc::new(entry));
        if let Some((before, _)) = found
            && !ptr::eq(before, share)
        {
            before.cache.invalidate(key);
        }
        drop(version);
        share.evictions.tell();
        Ok(true)
    }

    async fn delete_if(&self, key: &StoreKey, expected: Version) -> Result<bool, StoreError> {
        let _turn = key.choose(&self.turns).lock();
        let Some((share, entry)) = self.find(key) else {
            return Ok(false);
        };
        let mut value = entry.value();
        if Version::from(value.version) != expected {
            return Ok(false);
        }
        value.alive_until = Instant::now();
        drop(value);
        share.cache.invalidate(key);
        Ok(true)
    }

    async fn session_ids(
        &self,
        after: Option<SessionId>,
        most: usize,
    ) -> Result<Vec<SessionId>, StoreError> {
        let keys = self.shares.iter().flat_map(|share| &share.cache);
        let ids = keys.filter_map(|(key, _)| key.session_id());
        // A session that moves from share to share is in both.
        let mut first = BTreeSet::new();
        for id in ids.filter(|id| Some(*id) > after) {
            first.insert(id);
            if first.len() > most {
                first.pop_last();
            }
        }
        Ok(first.into_iter().collect())
    }

    fn largest_value(&self) -> Option<u64> {
        let capacity = |share: &Share| share.cache.policy().max_capacity();
        let smaller = self.shares.iter().filter_map(capacity).min()?;
        Some(entry::largest_value(smaller))
    }

    fn may_evict(&self) -> bool {
        true
    }
}

impl Share {
    fn new(bytes: u64, evictions: EvictionLog) -> Self {
        let cache = Cache::builder()
            .max_capacity(bytes)
            .weigher(|_, entry: &Arc<Entry>| entry.weight())
            .eviction_policy(EvictionPolicy::lru())
            .expire_after(Kept);
        Self {
            evictions: Arc::new(evictions),
            cache: cache.build_with_hasher(RandomState::default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        MokaStore,
        store::moka::entry::{MARGIN, OVERHEAD, STEP},
    };

    #[tokio::test]
    async fn the_weight_is_that_of_the_values_that_are_there() {
        let store = MokaStore::new();
        let caches = store.0.store();
        let key = StoreKey::session(SessionId::from_bytes([1; 16]));
        let mut version = None;
        // In place, longer, shorter, and in the other share.
        for (length, class) in [
            (10, ValueClass::Anonymous),
            (20, ValueClass::Anonymous),
            (200, ValueClass::Anonymous),
            (30, ValueClass::Anonymous),
            (30, ValueClass::Owned),
        ] {
            let value = StoreValue::new(vec![7; length], class);
            let put = caches.put_if(&key, version.take(), value, Duration::MAX);
            assert!(put.await.unwrap());
            let (current, bytes) = caches.get(&key).await.unwrap().unwrap();
            assert_eq!(bytes.len(), length);
            version = Some(current);
            store.run_pending_tasks();
            let weight = (OVERHEAD + length.next_multiple_of(STEP)) as u64;
            let own = usize::from(class == ValueClass::Owned);
            assert_eq!(caches.shares[own].cache.weighted_size(), weight);
            assert_eq!(caches.shares[1 - own].cache.weighted_size(), 0);
        }
    }

    #[tokio::test]
    async fn the_largest_value_fits() {
        let store = MokaStore::builder().anonymous_bytes(10_000).build();
        let caches = store.0.store();
        let largest = usize::try_from(caches.largest_value().unwrap()).unwrap();
        let key = StoreKey::session(SessionId::from_bytes([1; 16]));
        let value = StoreValue::new(vec![7; largest], ValueClass::Anonymous);
        assert!(
            caches
                .put_if(&key, None, value, Duration::MAX)
                .await
                .unwrap()
        );
        store.run_pending_tasks();
        assert!(caches.get(&key).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn a_value_that_is_to_be_kept_for_ever_is_kept() {
        let store = MokaStore::new();
        let caches = store.0.store();
        let key = StoreKey::session(SessionId::from_bytes([1; 16]));
        let value = StoreValue::new("value", ValueClass::Anonymous);
        let put = caches.put_if(&key, None, value, Duration::MAX).await;
        assert!(put.unwrap());
        store.run_pending_tasks();
        let entry = caches.shares[0].cache.get(&key).unwrap();
        let left = entry
            .value()
            .alive_until
            .saturating_duration_since(Instant::now());
        let century = Duration::from_secs(3_153_600_000);
        assert!(
            left < century && left + RECLAIM_GRACE + MARGIN > century,
            "{left:?}"
        );
        let (version, bytes) = caches.get(&key).await.unwrap().unwrap();
        assert_eq!(bytes, "value");
        let foreign = Version::from_bytes("not ours");
        assert!(!caches.delete_if(&key, foreign).await.unwrap());
        assert!(caches.delete_if(&key, version).await.unwrap());
    }

    #[tokio::test]
    async fn no_version_of_a_key_comes_back() {
        let store = MokaStore::new();
        let caches = store.0.store();
        let key = StoreKey::session(SessionId::from_bytes([1; 16]));
        let (mut current, mut seen) = (None, Vec::new());
        for round in 0..4 {
            let value = StoreValue::new("value", ValueClass::Anonymous);
            let put = caches.put_if(&key, current, value, Duration::MAX).await;
            assert!(put.unwrap());
            let (version, _) = caches.get(&key).await.unwrap().unwrap();
            assert!(!seen.contains(&version), "{version:?} of round {round}");
            seen.push(version.clone());
            current = Some(version);
            if round == 2 {
                let deleted = caches.delete_if(&key, current.take().unwrap()).await;
                assert!(deleted.unwrap());
            }
        }
    }
}
