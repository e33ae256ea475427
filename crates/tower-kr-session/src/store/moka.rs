//! Sessions in two moka caches, behind the small door.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use foldhash::fast::RandomState;
use moka::{Expiry, notification::RemovalCause, policy::EvictionPolicy, sync::Cache};

use super::{
    StoreError, StoreKey, StoreValue, ValueClass, Version, Versioned, VersionedStore,
    forward::forward_store,
    shares::{EvictionLog, Evictions, MemoryStoreBuilder},
};
use crate::model::{RECLAIM_GRACE, SessionId};

/// What an entry takes besides its value, in bytes: the key, and what moka adds, measured at
/// 500,000 sessions.
const OVERHEAD: usize = size_of::<StoreKey>() + 450;

/// Values weigh the same up to the next multiple of so many bytes.
const STEP: usize = 64;

/// How much longer than promised a value is kept.
const MARGIN: Duration = Duration::from_secs(60);

/// What is to be kept longer than this is kept as long: a century.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// Sessions in the memory of this process, in [moka](https://docs.rs/moka) caches; gone with the
/// process.
///
/// Its capacity is counted in bytes, in two shares: sessions without an owner can't push out those
/// of users who signed in. A full share drops the least recently used. A clone is the same store.
///
/// [`MemoryStore`](crate::MemoryStore) takes half the memory and less time for each call, which
/// counts where very many sessions are in one process.
///
/// Requests that use one session at the same moment wait for each other, within the I/O timeout:
/// the Tokio runtime needs its timer (`enable_all`, which `#[tokio::main]` does).
///
/// ```
/// use tower_kr_session::{MokaStore, SessionLayer};
///
/// let store = MokaStore::builder()
///     .anonymous_bytes(16 * 1024 * 1024)
///     .owned_bytes(256 * 1024 * 1024)
///     .build();
/// let layer = SessionLayer::new(store);
/// ```
#[derive(Clone)]
pub struct MokaStore(Arc<Versioned<Caches>>);

impl MokaStore {
    /// A store of the default capacity: 64 MiB for anonymous sessions, 192 MiB for those with an
    /// owner.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Sets up a store of another capacity.
    #[must_use]
    pub const fn builder() -> MemoryStoreBuilder<Self> {
        MemoryStoreBuilder::new(|anonymous_bytes, owned_bytes| {
            Self(Arc::new(Versioned::new(Caches {
                shares: [
                    Share::new(anonymous_bytes, EvictionLog::anonymous()),
                    Share::new(owned_bytes, EvictionLog::owned()),
                ],
                turns: [const { Mutex::new(0) }; 64],
            })))
        })
    }

    /// Does the housekeeping that otherwise rides on other calls: forgets what expired more than
    /// five minutes ago, and evicts. Call it now and then if memory must shrink without requests.
    pub fn run_pending_tasks(&self) {
        for share in &self.0.store().shares {
            share.cache.run_pending_tasks();
            share.evictions.tell();
        }
    }

    /// How many live sessions were dropped so far because their share was full. A share that drops
    /// any is too small for the sessions that come in their idle timeout, or somebody floods it.
    ///
    /// ```
    /// # use tower_kr_session::MokaStore;
    /// assert_eq!(MokaStore::new().evictions().owned, 0);
    /// ```
    #[must_use]
    pub fn evictions(&self) -> Evictions {
        self.run_pending_tasks();
        let [anonymous, owned] = &self.0.store().shares;
        Evictions::of(&anonymous.evictions, &owned.evictions)
    }

    /// How many records are held, some expired ones included. Goes through all of them.
    #[must_use]
    pub fn record_count(&self) -> u64 {
        let entries = self.0.store().shares.iter().flat_map(|share| &share.cache);
        entries.filter_map(|(key, _)| key.session_id()).count() as u64
    }
}

forward_store!([] MokaStore, self => self.0);

impl Default for MokaStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MokaStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MokaStore {{ records: {}, .. }}", self.record_count())
    }
}

/// Versioned bytes in two caches.
struct Caches {
    /// For anonymous sessions, and for those of users. A session that moves is in the second share
    /// before it leaves the first.
    shares: [Share; 2],
    /// Writes of one key take turns; reads don't, nor do moka's own removals. Each lock holds the
    /// version of its last write.
    turns: [Mutex<u64>; 64],
}

struct Share {
    /// Its hashes are a few multiplications: with those of `HashMap` a new session takes 3.5 % more
    /// instructions, and a change 1.8 %. Nobody outside draws keys.
    cache: Cache<StoreKey, Arc<Entry>, RandomState>,
    evictions: Arc<EvictionLog>,
}

/// What moka keeps for a key. Most writes change it in place: an insert is moka's most expensive
/// call, and without it a request that reads and writes takes a quarter fewer instructions.
struct Entry {
    kept_until: Instant,
    value: Mutex<Value>,
}

#[derive(Clone)]
struct Value {
    version: u64,
    bytes: Bytes,
    /// The end of the session's life.
    alive_until: Instant,
}

impl Caches {
    /// An entry, and the share that has it.
    fn find(&self, key: &StoreKey) -> Option<(usize, Arc<Entry>)> {
        let mut shares = self.shares.iter().enumerate();
        shares.find_map(|(index, share)| Some((index, share.cache.get(key)?)))
    }
}

impl VersionedStore for Caches {
    async fn get(&self, key: &StoreKey) -> Result<Option<(Version, Bytes)>, StoreError> {
        let value = self.find(key).map(|(_, entry)| entry.value().clone());
        Ok(value.map(|value| (value.version.into(), value.bytes)))
    }

    async fn put_if(
        &self,
        key: &StoreKey,
        expected: Option<Version>,
        value: StoreValue,
        keep_for: Duration,
    ) -> Result<bool, StoreError> {
        let own = usize::from(value.class != ValueClass::Anonymous);
        let lock = key.choose(&self.turns).lock();
        let mut version = lock.unwrap_or_else(PoisonError::into_inner);
        // It notes no use, as a look at the value does.
        let is_taken = |share: &Share| share.cache.contains_key(key);
        let found = match expected {
            None if self.shares.iter().any(is_taken) => return Ok(false),
            None => None,
            Some(_) => self.find(key),
        };
        if found.as_ref().map(|(_, entry)| entry.version()) != expected {
            return Ok(false);
        }
        *version += 1;
        let life = keep_for.min(LONGEST).saturating_sub(RECLAIM_GRACE);
        let value = Value {
            version: *version,
            bytes: value.bytes,
            alive_until: Instant::now() + life,
        };
        if let Some((share, entry)) = &found
            && *share == own
            && entry.has_room_for(&value)
        {
            *entry.value() = value;
            return Ok(true);
        }
        self.shares[own].cache.insert(*key, Arc::new(value.into()));
        if let Some((left, _)) = found
            && left != own
        {
            self.shares[left].cache.invalidate(key);
        }
        drop(version);
        self.shares[own].evictions.tell();
        Ok(true)
    }

    async fn delete_if(&self, key: &StoreKey, expected: Version) -> Result<bool, StoreError> {
        let _turn = key.choose(&self.turns).lock();
        let found = self.find(key);
        let found = found.filter(|(_, entry)| entry.version() == expected);
        if let Some((share, _)) = &found {
            self.shares[*share].cache.invalidate(key);
        }
        Ok(found.is_some())
    }

    async fn session_ids(
        &self,
        after: Option<SessionId>,
        most: usize,
    ) -> Result<Vec<SessionId>, StoreError> {
        let keys = self.shares.iter().flat_map(|share| &share.cache);
        let ids = keys
            .filter_map(|(key, _)| key.session_id())
            .filter(|id| Some(*id) > after);
        let mut ids: Vec<_> = ids.collect();
        ids.sort_unstable();
        // One that moves from share to share is in both.
        ids.dedup();
        ids.truncate(most);
        Ok(ids)
    }

    fn largest_value(&self) -> Option<u64> {
        let capacity = |share: &Share| share.cache.policy().max_capacity();
        let smaller = self.shares.iter().filter_map(capacity).min()?;
        let bytes = smaller.saturating_sub(OVERHEAD as u64);
        Some(bytes - bytes % STEP as u64)
    }

    fn may_evict(&self) -> bool {
        true
    }
}

impl Entry {
    fn value(&self) -> MutexGuard<'_, Value> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn version(&self) -> Version {
        self.value().version.into()
    }

    /// Whether moka needs to know nothing of this value, which weighs as much and isn't kept longer.
    fn has_room_for(&self, value: &Value) -> bool {
        value.alive_until + RECLAIM_GRACE <= self.kept_until
            && value.weight() == self.value().weight()
    }
}

impl From<Value> for Entry {
    fn from(value: Value) -> Self {
        Self {
            kept_until: value.alive_until + RECLAIM_GRACE + MARGIN,
            value: Mutex::new(value),
        }
    }
}

impl Value {
    fn weight(&self) -> u32 {
        let bytes = self.bytes.len().next_multiple_of(STEP) + OVERHEAD;
        u32::try_from(bytes).unwrap_or(u32::MAX)
    }
}

impl Share {
    fn new(bytes: u64, evictions: EvictionLog) -> Self {
        let evictions = Arc::new(evictions);
        let noted = Arc::clone(&evictions);
        let cache = Cache::builder()
            .max_capacity(bytes)
            .weigher(|_, entry: &Arc<Entry>| entry.value().weight())
            .eviction_policy(EvictionPolicy::lru())
            .expire_after(Kept)
            .eviction_listener(move |key: Arc<StoreKey>, entry: Arc<Entry>, cause| {
                if cause == RemovalCause::Size
                    && let Some(id) = key.session_id()
                    && Instant::now() < entry.value().alive_until
                {
                    noted.note(id);
                }
            })
            .build_with_hasher(RandomState::default());
        Self { cache, evictions }
    }
}

/// Keeps an entry as long as was promised after each write. Reads change nothing about it.
struct Kept;

impl Expiry<StoreKey, Arc<Entry>> for Kept {
    fn expire_after_create(
        &self,
        _: &StoreKey,
        entry: &Arc<Entry>,
        now: Instant,
    ) -> Option<Duration> {
        Some(entry.kept_until.saturating_duration_since(now))
    }

    fn expire_after_update(
        &self,
        key: &StoreKey,
        entry: &Arc<Entry>,
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

    fn value(length: usize, alive_until: Instant) -> Value {
        Value {
            version: 0,
            bytes: Bytes::from(vec![0; length]),
            alive_until,
        }
    }

    #[test]
    fn an_entry_is_kept_a_little_longer_than_promised_and_no_read_changes_that() {
        let key = StoreKey::session(SessionId::from_bytes([1; 16]));
        let (now, life) = (Instant::now(), Duration::from_secs(600));
        let entry = Arc::new(Entry::from(value(0, now + life)));
        let kept = Kept.expire_after_create(&key, &entry, now);
        assert_eq!(kept, Some(life + RECLAIM_GRACE + MARGIN));
        let moved = Kept.expire_after_update(&key, &entry, now, Some(life));
        assert_eq!(moved, kept);
        let read = Kept.expire_after_read(&key, &entry, now, Some(life), now);
        assert_eq!(read, Some(life));
    }

    #[test]
    fn a_value_takes_the_place_of_one_that_weighs_the_same_and_is_kept_as_long() {
        let end = Instant::now() + Duration::from_secs(600);
        let entry = Entry::from(value(65, end));
        let second = Duration::from_secs(1);
        for (length, alive_until, fits) in [
            (65, end, true),
            (128, end, true),
            (64, end, false),
            (129, end, false),
            (65, end + MARGIN, true),
            (65, end + MARGIN + second, false),
            (65, end - MARGIN, true),
        ] {
            let room = entry.has_room_for(&value(length, alive_until));
            assert_eq!(room, fits, "{length} bytes, {:?}", alive_until - end);
        }
    }

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
