//! What moka keeps for a key.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use bytes::Bytes;
use moka::Expiry;

use crate::{
    model::{RECLAIM_GRACE, SessionId},
    store::{StoreKey, shares::EvictionLog},
};

/// What an entry takes besides its value, in bytes: the key, and what moka adds, measured at
/// 500,000 sessions.
pub(super) const OVERHEAD: usize = size_of::<StoreKey>() + 480;

/// Values weigh the same up to the next multiple of so many bytes.
pub(super) const STEP: usize = 64;

/// How much longer than promised a value is kept.
pub(super) const MARGIN: Duration = Duration::from_secs(60);

/// The largest value for which a cache of this capacity has room.
pub(super) const fn largest_value(capacity: u64) -> u64 {
    let bytes = capacity.saturating_sub(OVERHEAD as u64);
    bytes - bytes % STEP as u64
}

/// An entry of a cache. Most writes change it in place: an insert is moka's most expensive
/// call, and without it a request that reads and writes takes a quarter fewer instructions.
pub(super) struct Entry {
    weight: u32,
    kept_until: Instant,
    /// Told about its eviction; an index of sessions has none.
    session: Option<SessionId>,
    evictions: Weak<EvictionLog>,
    value: Mutex<Value>,
}

pub(super) struct Value {
    pub(super) version: u64,
    pub(super) bytes: Bytes,
    /// The end of the session's life, or the past once another entry took its place.
    pub(super) alive_until: Instant,
}

impl Entry {
    pub(super) fn new(key: &StoreKey, value: Value, evictions: &Arc<EvictionLog>) -> Self {
        Self {
            weight: value.weight(),
            kept_until: value.alive_until + RECLAIM_GRACE + MARGIN,
            session: key.session_id(),
            evictions: Arc::downgrade(evictions),
            value: Mutex::new(value),
        }
    }

    pub(super) const fn weight(&self) -> u32 {
        self.weight
    }

    pub(super) fn value(&self) -> MutexGuard<'_, Value> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether moka needs to know nothing of this value, which weighs as much and isn't kept longer.
    pub(super) fn has_room_for(&self, value: &Value) -> bool {
        value.weight() == self.weight && value.alive_until + RECLAIM_GRACE <= self.kept_until
    }
}

impl Value {
    fn weight(&self) -> u32 {
        let bytes = self.bytes.len().next_multiple_of(STEP) + OVERHEAD;
        u32::try_from(bytes).unwrap_or(u32::MAX)
    }
}

/// Notes the eviction of a live session: what a write, a deletion or the end of its time takes out
/// of the cache is past its life.
///
/// With a listener of moka's, which would tell at once, each insert takes a lock of its key, and a
/// new session a sixth more time.
impl Drop for Entry {
    fn drop(&mut self) {
        if let Some(id) = self.session
            && Instant::now() < self.value().alive_until
            && let Some(evictions) = self.evictions.upgrade()
        {
            evictions.note(id);
        }
    }
}

/// Keeps an entry as long as was promised after each write. Reads change nothing about it.
pub(super) struct Kept;

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

    fn value(length: usize, alive_until: Instant) -> Value {
        Value {
            version: 0,
            bytes: Bytes::from(vec![0; length]),
            alive_until,
        }
    }

    fn entry(value: Value) -> Entry {
        let key = StoreKey::session(SessionId::from_bytes([1; 16]));
        Entry::new(&key, value, &Arc::new(EvictionLog::anonymous()))
    }

    #[test]
    fn an_entry_is_kept_a_little_longer_than_promised_and_no_read_changes_that() {
        let key = StoreKey::session(SessionId::from_bytes([1; 16]));
        let (now, life) = (Instant::now(), Duration::from_secs(600));
        let entry = Arc::new(entry(value(0, now + life)));
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
        let entry = entry(value(65, end));
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
}
