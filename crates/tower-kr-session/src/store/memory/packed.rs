//! A session as this store keeps it: a [`Record`] and its id, small.

use std::{
    mem,
    sync::{Arc, Mutex},
    time::Duration,
};

use super::{lock, share::Share};
use crate::{
    clock::Timestamp,
    delta::IdleLimit,
    id::{SecretHash, SessionId},
    owner::{MAX_OWNER_BYTES, Owner},
    record::{RECLAIM_GRACE, Record, Retired},
    values::Values,
};

/// What a session without values takes, in bytes: itself, and its place in a table that has just doubled.
const EMPTY: u64 = 176;

/// What an owner takes besides his name, in bytes: the boxed part of the session and his place in the index, if this is his only
/// session.
const OWNED: u64 = 256;

/// What the allocator and a reference count add to a run of bytes, rounding included.
const ALLOCATION: u64 = 32;

/// The footprint of a session that has an owner, besides its values, in bytes.
pub(super) const LARGEST_HEAD: u64 = EMPTY + OWNED + 2 * ALLOCATION + MAX_OWNER_BYTES as u64;

/// What most sessions have in common is shared, what most don't have is apart.
pub(super) struct Packed {
    id: SessionId,
    secret: SecretHash,
    created_at: Timestamp,
    idle_deadline: Timestamp,
    absolute_deadline: Timestamp,
    limits: Arc<Limits>,
    values: Values,
    rare: Option<Box<Rare>>,
}

/// What all sessions of a layer start with.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Limits {
    idle: IdleLimit,
    absolute_timeout: Duration,
    persistent: bool,
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
pub(super) struct LimitsPool(Mutex<Vec<Arc<Limits>>>);

impl LimitsPool {
    /// A layer has one or two kinds of sessions; limits of an application's own making only push each other out.
    const KEPT: usize = 8;

    fn share(&self, limits: Limits) -> Arc<Limits> {
        let mut last = lock(&self.0);
        if let Some(shared) = last.iter().find(|shared| ***shared == limits) {
            return Arc::clone(shared);
        }
        if last.len() == Self::KEPT {
            last.remove(0);
        }
        let shared = Arc::new(limits);
        last.push(Arc::clone(&shared));
        shared
    }
}

impl Limits {
    const fn of(record: &Record) -> Self {
        Self {
            idle: record.idle,
            absolute_timeout: record.absolute_timeout,
            persistent: record.persistent,
        }
    }
}

impl Packed {
    pub(super) fn new(id: SessionId, record: Record, pool: &LimitsPool) -> Self {
        Self {
            id,
            limits: pool.share(Limits::of(&record)),
            rare: Rare::of(&record),
            secret: record.secret,
            created_at: record.created_at,
            idle_deadline: record.idle_deadline,
            absolute_deadline: record.absolute_deadline,
            values: record.values,
        }
    }

    pub(super) const fn id(&self) -> SessionId {
        self.id
    }

    pub(super) fn owner(&self) -> Option<&Owner> {
        self.rare.as_ref()?.owner.as_ref()
    }

    pub(super) fn share(&self) -> Share {
        match self.owner() {
            None => Share::Anonymous,
            Some(_) => Share::Owned,
        }
    }

    pub(super) fn is_expired(&self, now: Timestamp) -> bool {
        now >= self.idle_deadline.min(self.absolute_deadline)
    }

    /// See [`Record::reclaim_at`].
    pub(super) fn reclaim_at(&self) -> Timestamp {
        let deadline = self.idle_deadline.min(self.absolute_deadline);
        deadline.saturating_add(RECLAIM_GRACE)
    }

    /// What it takes in memory, in bytes.
    pub(super) fn footprint(&self) -> u64 {
        let allocation = |length: usize| match length {
            0 => 0,
            length => length as u64 + ALLOCATION,
        };
        let owner = self
            .owner()
            .map_or(0, |owner| OWNED + allocation(owner.as_str().len()));
        EMPTY + owner + allocation(self.values.as_bytes().len())
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
        record.persistent = self.limits.persistent;
        record.values = values;
        if let Some(rare) = &self.rare {
            let rare = Rare::clone(rare);
            record.retired = rare.retired;
            record.owner = rare.owner;
            record.authenticated_at = rare.authenticated_at;
        }
        record
    }

    pub(super) fn put_back(&mut self, record: Record, pool: &LimitsPool) {
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
        self.values = record.values;
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

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_millis(1_000_000);

    fn record(timeout: u64) -> Record {
        let idle = IdleLimit::new(Duration::from_secs(timeout));
        let secret = SecretHash::from_bytes([1; 32]);
        Record::new(secret, NOW, idle, Duration::from_secs(3_600))
    }

    fn full() -> Record {
        let mut record = record(600);
        record.retired = Some(Retired {
            secret: SecretHash::from_bytes([2; 32]),
            at: NOW,
        });
        record.owner = Some(Owner::new("max").unwrap());
        record.authenticated_at = Some(NOW);
        record.persistent = true;
        record.values = [("a", "1")].into_iter().collect();
        record
    }

    #[test]
    fn a_record_comes_out_as_it_went_in() {
        let pool = LimitsPool::default();
        let id = SessionId::generate(NOW);
        let mut packed = Packed::new(id, record(60), &pool);
        assert_eq!(packed.id(), id);
        assert_eq!(packed.record(), record(60));
        assert_eq!(packed.reclaim_at(), record(60).reclaim_at());
        packed.put_back(full(), &pool);
        assert_eq!(packed.record(), full());
        assert_eq!(packed.reclaim_at(), full().reclaim_at());
        assert_eq!(packed.take(), full());
        packed.put_back(record(60), &pool);
        assert_eq!(packed.record(), record(60));
        assert!(packed.rare.is_none());
    }

    #[test]
    fn a_session_is_small_and_shares_the_limits_of_others() {
        assert!(size_of::<Packed>() <= 104, "{}", size_of::<Packed>());
        let pool = LimitsPool::default();
        let pack = |timeout| Packed::new(SessionId::generate(NOW), record(timeout), &pool).limits;
        let (short, long) = (pack(60), pack(600));
        assert!(Arc::ptr_eq(&short, &pack(60)));
        assert!(Arc::ptr_eq(&long, &pack(600)));
        for timeout in 1_000..2_000 {
            pack(timeout);
        }
        assert_eq!(lock(&pool.0).len(), LimitsPool::KEPT);
    }

    #[test]
    fn what_a_session_holds_counts() {
        let pool = LimitsPool::default();
        let footprint = |record| Packed::new(SessionId::generate(NOW), record, &pool).footprint();
        assert_eq!(footprint(record(60)), EMPTY);
        let mut large = full();
        large.values = [("a", vec![b'x'; 1_000])].into_iter().collect();
        assert_eq!(footprint(large) - footprint(full()), 999);
        assert!(footprint(full()) > EMPTY + OWNED);
    }
}
