//! The two shares of a store in memory, for anonymous sessions and for those of users: their
//! default sizes, and the live sessions that they drop when they are full.

use std::sync::atomic::{AtomicU64, Ordering};
#[cfg(feature = "moka")]
use std::sync::{Mutex, PoisonError};

#[cfg(feature = "moka")]
use crate::model::{Clock, SystemClock};
use crate::{
    model::{SessionId, Timestamp},
    telemetry::{events, throttle::Throttle},
};

/// Sets up a store in memory.
///
/// ```
/// use tower_kr_session::MemoryStore;
///
/// let store = MemoryStore::builder()
///     .anonymous_bytes(16 * 1024 * 1024)
///     .owned_bytes(256 * 1024 * 1024)
///     .build();
/// ```
#[derive(Clone, Debug)]
pub struct MemoryStoreBuilder<S> {
    anonymous_bytes: u64,
    owned_bytes: u64,
    build: fn(u64, u64) -> S,
}

impl<S> MemoryStoreBuilder<S> {
    pub(crate) const fn new(build: fn(u64, u64) -> S) -> Self {
        Self {
            anonymous_bytes: 64 << 20,
            owned_bytes: 192 << 20,
            build,
        }
    }

    /// Sets the memory for sessions without an owner, in bytes. Default: 64 MiB.
    #[must_use]
    pub const fn anonymous_bytes(mut self, bytes: u64) -> Self {
        self.anonymous_bytes = bytes;
        self
    }

    /// Sets the memory for sessions of users who signed in, in bytes. Default: 192 MiB.
    #[must_use]
    pub const fn owned_bytes(mut self, bytes: u64) -> Self {
        self.owned_bytes = bytes;
        self
    }

    /// Builds the store. If a share is too small for the largest session that a layer allows, the
    /// layer fails its check at the start.
    #[must_use]
    pub fn build(self) -> S {
        (self.build)(self.anonymous_bytes, self.owned_bytes)
    }
}

/// How many live sessions a store in memory dropped to make room, since it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Evictions {
    /// Sessions without an owner.
    pub anonymous: u64,
    /// Sessions of users who signed in.
    pub owned: u64,
}

impl Evictions {
    pub(crate) fn of(anonymous: &EvictionLog, owned: &EvictionLog) -> Self {
        let count = |log: &EvictionLog| log.count.load(Ordering::Relaxed);
        Self {
            anonymous: count(anonymous),
            owned: count(owned),
        }
    }
}

/// The evictions of one share.
pub(crate) struct EvictionLog {
    share: &'static str,
    count: AtomicU64,
    throttle: Throttle,
    #[cfg(feature = "moka")]
    noted: Mutex<Vec<SessionId>>,
}

impl EvictionLog {
    /// Of sessions without an owner.
    pub(crate) const fn anonymous() -> Self {
        Self::new("anonymous")
    }

    /// Of sessions of users who signed in.
    pub(crate) const fn owned() -> Self {
        Self::new("owned")
    }

    const fn new(share: &'static str) -> Self {
        Self {
            share,
            count: AtomicU64::new(0),
            throttle: Throttle::new(),
            #[cfg(feature = "moka")]
            noted: Mutex::new(Vec::new()),
        }
    }

    /// Tells of a live session that had to go. The caller holds no lock: a subscriber may use
    /// sessions.
    pub(crate) fn evicted(&self, id: SessionId, now: Timestamp) {
        self.count.fetch_add(1, Ordering::Relaxed);
        events::evicted(id, self.share, &self.throttle, now);
    }

    /// Notes a live session that had to go, where nobody can be told: a cache is at work.
    #[cfg(feature = "moka")]
    pub(crate) fn note(&self, id: SessionId) {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        noted.push(id);
    }

    /// Tells of what was noted. The caller holds no lock.
    #[cfg(feature = "moka")]
    pub(crate) fn tell(&self) {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        let ids = std::mem::take(&mut *noted);
        drop(noted);
        for id in ids {
            self.evicted(id, SystemClock.now());
        }
    }
}
