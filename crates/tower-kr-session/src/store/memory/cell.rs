//! One record in the cache: edited in place under its own lock.

use std::{
    sync::{
        Mutex, MutexGuard, OnceLock,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use super::lock;
use crate::{
    owner::Owner,
    record::{RECLAIM_GRACE, Record},
};

/// What a session takes in memory besides its values and its owner: the cell and the cache's own nodes, in bytes.
pub(super) const ENTRY_OVERHEAD: u32 = 640;

pub(super) struct Cell {
    state: Mutex<State>,
    /// The weight that the cache knows or is about to be told.
    weight: AtomicU32,
    reclaim_after_millis: AtomicU64,
    /// The cache dropped the owned session, and the index of owners with it.
    evicted: AtomicBool,
    /// For the eviction listener, which locks no cell.
    owner: OnceLock<Owner>,
}

pub(super) struct State {
    record: Record,
    gone: bool,
}

impl Cell {
    pub(super) fn new(record: Record) -> Self {
        let cell = Self {
            weight: AtomicU32::new(0),
            reclaim_after_millis: AtomicU64::new(0),
            evicted: AtomicBool::new(false),
            owner: OnceLock::new(),
            state: Mutex::new(State {
                record,
                gone: false,
            }),
        };
        cell.refresh(cell.lock().record());
        cell
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Takes over what the cache asks for from a changed record. `true` if its weight is another one now.
    pub(super) fn refresh(&self, record: &Record) -> bool {
        let reclaim_after = record.idle.timeout + record.idle.touch_interval + RECLAIM_GRACE;
        let millis = u64::try_from(reclaim_after.as_millis()).unwrap_or(u64::MAX);
        self.reclaim_after_millis.store(millis, Ordering::Relaxed);
        if let Some(owner) = &record.owner
            && self.owner.get().is_none()
        {
            // Set under the cell's lock and only once, so this can't fail.
            let _ = self.owner.set(owner.clone());
        }
        let weight = weight(record);
        self.weight.swap(weight, Ordering::Relaxed) != weight
    }

    pub(super) fn weight(&self) -> u32 {
        self.weight.load(Ordering::Relaxed)
    }

    pub(super) fn reclaim_after(&self) -> Duration {
        Duration::from_millis(self.reclaim_after_millis.load(Ordering::Relaxed))
    }

    pub(super) fn owner(&self) -> Option<&Owner> {
        self.owner.get()
    }

    pub(super) fn mark_evicted(&self) {
        self.evicted.store(true, Ordering::SeqCst);
    }

    /// Whether the cell must not be (back) in the cache.
    pub(super) fn is_gone(&self) -> bool {
        self.evicted.load(Ordering::SeqCst) || self.lock().gone
    }
}

impl State {
    pub(super) const fn record(&self) -> &Record {
        &self.record
    }

    pub(super) const fn record_mut(&mut self) -> &mut Record {
        &mut self.record
    }

    pub(super) const fn is_gone(&self) -> bool {
        self.gone
    }

    /// The session is over: whoever still holds the cell finds nothing in it.
    pub(super) fn end(&mut self) {
        self.gone = true;
        self.record.values = crate::values::Values::default();
    }
}

/// In classes up to an eighth apart, so that a growing session isn't put anew into the cache by every write.
fn weight(record: &Record) -> u32 {
    let owner = record
        .owner
        .as_ref()
        .map_or(0, |owner| owner.as_str().len());
    let bytes = u32::try_from(record.values.as_bytes().len() + owner)
        .unwrap_or(u32::MAX / 2)
        .min(u32::MAX / 2);
    let step = (bytes / 16)
        .checked_next_power_of_two()
        .unwrap_or(1)
        .max(64);
    ENTRY_OVERHEAD.saturating_add(bytes.div_ceil(step).saturating_mul(step))
}
