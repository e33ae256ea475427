//! One record in the cache: edited in place under its own lock, and kept small.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use super::lock;
use crate::{
    clock::Timestamp,
    delta::IdleLimit,
    id::SecretHash,
    owner::Owner,
    record::{Record, Retired},
    values::Values,
};

/// What a session takes in memory besides its values and its owner, in bytes: the cell, the cache's own nodes, the calendar
/// (measured with 500,000 sessions of one small value).
pub(super) const ENTRY_OVERHEAD: u32 = 512;

pub(super) struct Cell(Mutex<State>);

/// A [`Record`], packed: what most sessions have in common is shared, what most don't have is apart.
pub(super) struct State {
    secret: SecretHash,
    created_at: Timestamp,
    idle_deadline: Timestamp,
    absolute_deadline: Timestamp,
    limits: Arc<Limits>,
    values: Values,
    rare: Option<Box<Rare>>,
    /// The weight that the cache knows or is about to be told.
    weight: u32,
    persistent: bool,
    gone: bool,
}

/// The limits that all sessions of a layer start with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    idle: IdleLimit,
    absolute_timeout: Duration,
}

/// What an anonymous session that was never rotated does without.
#[derive(Clone)]
struct Rare {
    retired: Option<Retired>,
    owner: Option<Owner>,
    authenticated_at: Option<Timestamp>,
}

/// The limits last seen, for sessions to share.
#[derive(Default)]
pub(super) struct LimitsPool(Mutex<Option<Arc<Limits>>>);

impl LimitsPool {
    fn share(&self, limits: Limits) -> Arc<Limits> {
        let mut last = lock(&self.0);
        match &*last {
            Some(shared) if **shared == limits => Arc::clone(shared),
            _ => Arc::clone(last.insert(Arc::new(limits))),
        }
    }
}

impl Limits {
    const fn of(record: &Record) -> Self {
        Self {
            idle: record.idle,
            absolute_timeout: record.absolute_timeout,
        }
    }
}

impl Cell {
    pub(super) fn new(record: Record, pool: &LimitsPool) -> Self {
        Self(Mutex::new(State {
            weight: weight(&record),
            limits: pool.share(Limits::of(&record)),
            rare: Rare::of(&record),
            secret: record.secret,
            created_at: record.created_at,
            idle_deadline: record.idle_deadline,
            absolute_deadline: record.absolute_deadline,
            values: record.values,
            persistent: record.persistent,
            gone: false,
        }))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }

    pub(super) fn weight(&self) -> u32 {
        self.lock().weight
    }
}

impl State {
    pub(super) const fn is_gone(&self) -> bool {
        self.gone
    }

    pub(super) fn owner(&self) -> Option<&Owner> {
        self.rare.as_ref()?.owner.as_ref()
    }

    /// The record, its values shared.
    pub(super) fn record(&self) -> Record {
        self.unpack(self.values.clone())
    }

    /// The record, its values taken out, so that they can be edited in place; [`put_back`](Self::put_back) follows.
    pub(super) fn take(&mut self) -> Record {
        let values = mem::take(&mut self.values);
        self.unpack(values)
    }

    fn unpack(&self, values: Values) -> Record {
        let mut record = Record::new(
            self.secret,
            self.created_at,
            self.limits.idle,
            self.limits.absolute_timeout,
        );
        record.idle_deadline = self.idle_deadline;
        record.absolute_deadline = self.absolute_deadline;
        record.persistent = self.persistent;
        record.values = values;
        if let Some(rare) = &self.rare {
            let rare = Rare::clone(rare);
            record.retired = rare.retired;
            record.owner = rare.owner;
            record.authenticated_at = rare.authenticated_at;
        }
        record
    }

    /// `true` if the record has another weight now.
    pub(super) fn put_back(&mut self, record: Record, pool: &LimitsPool) -> bool {
        let weight = mem::replace(&mut self.weight, weight(&record));
        let limits = Limits::of(&record);
        if *self.limits != limits {
            self.limits = pool.share(limits);
        }
        match (&mut self.rare, Rare::of(&record)) {
            (Some(rare), Some(new)) => **rare = *new,
            (rare, new) => *rare = new,
        }
        self.secret = record.secret;
        self.idle_deadline = record.idle_deadline;
        self.absolute_deadline = record.absolute_deadline;
        self.persistent = record.persistent;
        self.values = record.values;
        self.weight != weight
    }

    /// The session is over: whoever still holds the cell finds nothing in it.
    pub(super) fn end(&mut self) {
        self.gone = true;
        self.values = Values::default();
    }
}

impl Rare {
    fn of(record: &Record) -> Option<Box<Self>> {
        let rare = Self {
            retired: record.retired,
            owner: record.owner.clone(),
            authenticated_at: record.authenticated_at,
        };
        let needed =
            rare.retired.is_some() || rare.owner.is_some() || rare.authenticated_at.is_some();
        needed.then(|| Box::new(rare))
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
