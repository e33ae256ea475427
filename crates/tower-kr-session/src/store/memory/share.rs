//! The two shares of the memory, and what each session takes.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::{
    model::{Label, MAX_DEVICE_BYTES, MAX_LABEL_BYTES, MAX_OWNER_BYTES, Record, Retired},
    store::shares::EvictionLog,
};

/// The bytes that a session without values takes: itself, and its place in a table that has just
/// doubled.
const EMPTY: u64 = if cfg!(feature = "device-bound") {
    288
} else {
    272
};

/// The bytes that an owner takes besides the name: the place in the index, if this is their only
/// session.
const OWNED: u64 = 160;

/// The bytes that the allocator and a reference count add to a run of bytes, rounding included.
const ALLOCATION: u64 = 32;

/// The bytes that a label takes besides its text.
const LABELLED: u64 = ALLOCATION + size_of::<Label>() as u64;

/// The bytes that a device takes besides its own.
const BOUND: u64 = ALLOCATION + size_of::<Box<[u8]>>() as u64;

/// The most bytes that a device takes.
const LARGEST_DEVICE: u64 = if cfg!(feature = "device-bound") {
    BOUND + MAX_DEVICE_BYTES as u64 + ALLOCATION
} else {
    0
};

/// The largest footprint of a session besides its values, in bytes.
pub(super) const LARGEST_HEAD: u64 = EMPTY
    + LARGEST_DEVICE
    + (OWNED + MAX_OWNER_BYTES as u64)
    + (LABELLED + MAX_LABEL_BYTES as u64)
    + size_of::<Retired>() as u64
    + 4 * ALLOCATION;

/// The share of a session, so that visitors who never signed in can't push out users who did.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Share {
    Anonymous,
    Owned,
}

/// How much memory a share has, and how much its sessions take. The numbers are changed under the
/// lock of a session's shard and are read as hints.
pub(super) struct Budget {
    bytes: u64,
    used: AtomicU64,
    /// The shard whose turn it is to give something up.
    shard: AtomicUsize,
    /// Live sessions that had to go.
    pub(super) evictions: EvictionLog,
}

/// Returns the bytes that a session takes in memory.
pub(super) fn footprint(record: &Record) -> u64 {
    let allocation = |length: usize| match length {
        0 => 0,
        length => length as u64 + ALLOCATION,
    };
    let owner = record
        .owner
        .as_ref()
        .map_or(0, |owner| OWNED + allocation(owner.as_str().len()));
    let retired = record.retired.as_ref().map_or(0, |_| size_of::<Retired>());
    let label = record
        .label
        .as_ref()
        .map_or(0, |label| LABELLED + allocation(label.as_str().len()));
    let device = record
        .device()
        .map_or(0, |device| BOUND + allocation(device.len()));
    EMPTY
        + owner
        + label
        + device
        + allocation(retired)
        + allocation(record.values.as_bytes().len())
}

impl Share {
    pub(super) const fn of(record: &Record) -> Self {
        match record.owner {
            None => Self::Anonymous,
            Some(_) => Self::Owned,
        }
    }
}

impl Budget {
    pub(super) const fn new(bytes: u64, evictions: EvictionLog) -> Self {
        Self {
            bytes,
            used: AtomicU64::new(0),
            shard: AtomicUsize::new(0),
            evictions,
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

    pub(super) fn next_shard(&self) -> usize {
        self.shard.fetch_add(1, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use super::*;
    use crate::model::{IdleLimit, Owner, SecretHash, Timestamp, Values};

    const NOW: Timestamp = Timestamp::from_unix_millis(1_000_000);
    const SECRET: SecretHash = SecretHash::from_bytes([1; 32]);

    fn record() -> Record {
        let idle = IdleLimit::new(Duration::from_secs(60));
        Record::new(SECRET, NOW, idle, Duration::from_secs(3_600))
    }

    #[test]
    fn a_session_is_small() {
        // Its two reference counts are beside it.
        let device = if cfg!(feature = "device-bound") { 8 } else { 0 };
        let largest = 184 + device;
        assert!(size_of::<Record>() <= largest, "{}", size_of::<Record>());
        assert_eq!(size_of::<Option<Arc<Record>>>(), size_of::<usize>());
    }

    #[test]
    fn what_a_session_holds_counts() {
        assert_eq!(footprint(&record()), EMPTY);
        let mut full = record();
        full.owner = Some(Owner::new("max").unwrap());
        full.retired = Some(Box::new(Retired {
            secret: SECRET,
            at: NOW,
        }));
        assert_eq!(footprint(&full), EMPTY + OWNED + 3 + 40 + 2 * ALLOCATION);
        let unlabelled = footprint(&full);
        full.label = Some(Box::new(Label::new("Firefox").unwrap()));
        let label = size_of::<Label>() as u64 + 7 + 2 * ALLOCATION;
        assert_eq!(footprint(&full), unlabelled + label);
        full.values = [("a", "1")].into_iter().collect();
        let mut large = full.clone();
        large.values = [("a", vec![b'x'; 1_000])].into_iter().collect();
        assert_eq!(footprint(&large) - footprint(&full), 999);
        let mut longest = large;
        longest.owner = Some(Owner::new(&"x".repeat(MAX_OWNER_BYTES)).unwrap());
        let label = Label::new(&"x".repeat(MAX_LABEL_BYTES)).unwrap();
        longest.label = Some(Box::new(label));
        longest.values = Values::default();
        #[cfg(feature = "device-bound")]
        longest.set_device(&[1; MAX_DEVICE_BYTES]).unwrap();
        assert_eq!(footprint(&longest), LARGEST_HEAD - ALLOCATION);
    }

    #[test]
    fn a_budget_may_be_used_up() {
        let budget = Budget::new(10, EvictionLog::owned());
        budget.charge(10);
        assert!(!budget.is_over());
        budget.charge(1);
        assert!(budget.is_over());
    }
}
