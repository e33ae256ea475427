//! The memory that each kind of session may take.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::{clock::Timestamp, events, id::SessionId, log_limit::LogLimit};

/// Whose memory a session is in: so those who never signed in can't push out those who did.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Share {
    Anonymous,
    Owned,
}

/// How much memory a share has, and how much its sessions take. The numbers are changed under the lock of a session's shard and
/// are read as hints.
pub(super) struct Budget {
    bytes: u64,
    used: AtomicU64,
    /// The shard whose turn it is to give something up.
    shard: AtomicUsize,
    /// How many live sessions had to go.
    evictions: AtomicU64,
    eviction_log: LogLimit,
}

impl Share {
    const fn name(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::Owned => "owned",
        }
    }
}

impl Budget {
    pub(super) const fn new(bytes: u64) -> Self {
        Self {
            bytes,
            used: AtomicU64::new(0),
            shard: AtomicUsize::new(0),
            evictions: AtomicU64::new(0),
            eviction_log: LogLimit::new(),
        }
    }

    pub(super) fn charge(&self, bytes: u64) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn release(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    pub(super) fn is_over(&self) -> bool {
        self.used() > self.bytes
    }

    pub(super) fn evictions(&self) -> u64 {
        self.evictions.load(Ordering::Relaxed)
    }

    /// Tells of a live session that had to go from this share.
    pub(super) fn evicted(&self, share: Share, id: SessionId, now: Timestamp) {
        self.evictions.fetch_add(1, Ordering::Relaxed);
        events::evicted(id, share.name(), &self.eviction_log, now);
    }

    pub(super) fn next_shard(&self) -> usize {
        self.shard.fetch_add(1, Ordering::Relaxed)
    }
}
