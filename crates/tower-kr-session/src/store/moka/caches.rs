//! Versioned bytes in two caches.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use moka::{Expiry, notification::RemovalCause, policy::EvictionPolicy, sync::Cache};

use crate::{
    model::{Clock, RECLAIM_GRACE, SystemClock, Timestamp},
    store::{
        StoreError, StoreKey, StoreValue, ValueClass, Version, VersionedStore, shares::EvictionLog,
    },
};

/// What an entry takes besides its value, in bytes: the key, and what moka adds, measured at 500,000 sessions.
const OVERHEAD: usize = size_of::<StoreKey>() + 450;

/// How much longer than promised a value is kept.
const MARGIN: Duration = Duration::from_secs(60);

/// So many that threads rarely meet.
const LOCKS: usize = 64;

pub(crate) struct Caches {
    pub(super) anonymous: Share,
    pub(super) owned: Share,
    smaller_share: u64,
    /// Writes of one key take turns. Reads don't, nor do moka's own removals. A poisoned lock is held like any
    /// other: it guards no data.
    locks: [Mutex<()>; LOCKS],
    /// The version of the next write, whatever its key.
    version: AtomicU64,
}

pub(super) struct Share {
    cache: Cache<StoreKey, Entry>,
    pub(super) evictions: Arc<EvictionLog>,
}

#[derive(Clone)]
struct Entry {
    version: u64,
    bytes: Bytes,
    /// The end of the session's life.
    alive_until: Timestamp,
}

impl Caches {
    pub(super) fn new(anonymous_bytes: u64, owned_bytes: u64) -> Self {
        Self {
            anonymous: Share::new(anonymous_bytes, EvictionLog::anonymous()),
            owned: Share::new(owned_bytes, EvictionLog::owned()),
            smaller_share: anonymous_bytes.min(owned_bytes),
            locks: [const { Mutex::new(()) }; LOCKS],
            version: AtomicU64::new(0),
        }
    }

    pub(super) fn run_pending_tasks(&self) {
        for share in [&self.anonymous, &self.owned] {
            share.cache.run_pending_tasks();
            share.evictions.tell(SystemClock.now());
        }
    }

    pub(super) fn record_count(&self) -> u64 {
        let entries = self.anonymous.cache.iter().chain(self.owned.cache.iter());
        let sessions = entries.filter(|(key, _)| key.session_id().is_some());
        sessions.count() as u64
    }

    /// In this order: a session that moves is in the second share before it leaves the first.
    fn find(&self, key: &StoreKey) -> Option<(&Share, Entry)> {
        let mut shares = [&self.anonymous, &self.owned].into_iter();
        shares.find_map(|share| Some((share, share.cache.get(key)?)))
    }

    fn holder(&self, key: &StoreKey, version: &Version) -> Option<&Share> {
        let (share, entry) = self.find(key)?;
        (Version::from(entry.version) == *version).then_some(share)
    }

    fn contains(&self, key: &StoreKey) -> bool {
        self.anonymous.cache.contains_key(key) || self.owned.cache.contains_key(key)
    }
}

impl VersionedStore for Caches {
    async fn get(&self, key: &StoreKey) -> Result<Option<(Version, Bytes)>, StoreError> {
        let found = self.find(key);
        Ok(found.map(|(_, entry)| (entry.version.into(), entry.bytes)))
    }

    async fn put_if(
        &self,
        key: &StoreKey,
        expected: Option<Version>,
        value: StoreValue,
        keep_for: Duration,
    ) -> Result<bool, StoreError> {
        let now = SystemClock.now();
        let share = match value.class {
            ValueClass::Anonymous => &self.anonymous,
            ValueClass::Owned | ValueClass::Index => &self.owned,
        };
        let entry = Entry {
            version: self.version.fetch_add(1, Ordering::Relaxed),
            bytes: value.bytes,
            alive_until: now.saturating_add(keep_for.saturating_sub(RECLAIM_GRACE)),
        };
        let turn = key.choose(&self.locks).lock();
        let old = expected
            .as_ref()
            .and_then(|version| self.holder(key, version));
        if old.is_none() && (expected.is_some() || self.contains(key)) {
            return Ok(false);
        }
        share.cache.insert(*key, entry);
        if let Some(old) = old.filter(|old| !std::ptr::eq(*old, share)) {
            old.cache.invalidate(key);
        }
        drop(turn);
        share.evictions.tell(now);
        Ok(true)
    }

    async fn delete_if(&self, key: &StoreKey, expected: Version) -> Result<bool, StoreError> {
        let _turn = key.choose(&self.locks).lock();
        let holder = self.holder(key, &expected);
        if let Some(share) = holder {
            share.cache.invalidate(key);
        }
        Ok(holder.is_some())
    }

    fn largest_value(&self) -> Option<u64> {
        Some(self.smaller_share.saturating_sub(OVERHEAD as u64))
    }

    fn may_evict(&self) -> bool {
        true
    }
}

impl Share {
    fn new(bytes: u64, evictions: EvictionLog) -> Self {
        let evictions = Arc::new(evictions);
        let noted = Arc::clone(&evictions);
        let cache = Cache::builder()
            .max_capacity(bytes)
            .weigher(|_, entry: &Entry| {
                let weight = entry.bytes.len() + OVERHEAD;
                u32::try_from(weight).unwrap_or(u32::MAX)
            })
            .eviction_policy(EvictionPolicy::lru())
            .expire_after(Kept)
            .eviction_listener(move |key: Arc<StoreKey>, entry: Entry, cause| {
                let alive = SystemClock.now() < entry.alive_until;
                if let (RemovalCause::Size, true, Some(id)) = (cause, alive, key.session_id()) {
                    noted.note(id);
                }
            })
            .build();
        Self { cache, evictions }
    }
}

/// Keeps an entry from each write on as long as was promised, whatever reads it.
struct Kept;

impl Expiry<StoreKey, Entry> for Kept {
    fn expire_after_create(&self, _: &StoreKey, entry: &Entry, _: Instant) -> Option<Duration> {
        let left = entry
            .alive_until
            .saturating_duration_since(SystemClock.now());
        Some(left + RECLAIM_GRACE + MARGIN)
    }

    fn expire_after_update(
        &self,
        key: &StoreKey,
        entry: &Entry,
        now: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        self.expire_after_create(key, entry, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SessionId;

    #[test]
    fn an_entry_is_kept_a_little_longer_than_promised_and_no_read_changes_that() {
        let key = StoreKey::session(SessionId::from_bytes([1; 16]));
        let (now, life) = (Instant::now(), Duration::from_secs(600));
        let mut entry = Entry {
            version: 0,
            bytes: Bytes::new(),
            alive_until: SystemClock.now().saturating_add(life),
        };
        let promised = life + RECLAIM_GRACE;
        let kept = Kept.expire_after_create(&key, &entry, now).unwrap();
        assert!(kept > promised && kept <= promised + MARGIN, "{kept:?}");
        let moved = Kept.expire_after_update(&key, &entry, now, Some(life));
        assert!(moved.unwrap() > promised);
        let read = Kept.expire_after_read(&key, &entry, now, Some(life), now);
        assert_eq!(read, Some(life));
        // Longer than any clock runs.
        entry.alive_until = Timestamp::from_unix_millis(i64::MAX);
        let longest = Kept.expire_after_create(&key, &entry, now).unwrap();
        assert!(longest > 1_000_000 * life);
    }

    #[tokio::test]
    async fn a_value_that_is_to_be_kept_for_ever_is_kept() {
        let caches = Caches::new(1_000_000, 1_000_000);
        let key = StoreKey::session(SessionId::from_bytes([1; 16]));
        let value = StoreValue::new("value", ValueClass::Anonymous);
        let put = caches.put_if(&key, None, value, Duration::MAX).await;
        assert!(put.unwrap());
        caches.run_pending_tasks();
        let (version, bytes) = caches.get(&key).await.unwrap().unwrap();
        assert_eq!(bytes, "value");
        let foreign = Version::from_bytes("not ours");
        assert!(!caches.delete_if(&key, foreign).await.unwrap());
        assert!(caches.delete_if(&key, version).await.unwrap());
    }
}
