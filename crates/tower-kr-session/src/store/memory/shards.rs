//! Spreads the sessions over many locks.

use std::sync::{Mutex, MutexGuard};

use super::{
    lock,
    share::Share,
    table::{Slot, Stamp, Table},
};
use crate::model::{Instants, SessionId, Timestamp};

pub(super) struct Shards(Box<[Mutex<Shard>]>);

/// Sessions under one lock. A session is in one of the tables, and moves to the other one under
/// that lock.
pub(super) struct Shard {
    anonymous: Table,
    owned: Table,
}

impl Shards {
    /// Enough that threads rarely meet, and that a table that doubles holds up few requests, for
    /// microseconds.
    pub(super) const COUNT: usize = 256;

    pub(super) fn new() -> Self {
        let shard = || {
            Mutex::new(Shard {
                anonymous: Table::new(),
                owned: Table::new(),
            })
        };
        Self((0..Self::COUNT).map(|_| shard()).collect())
    }

    /// Locks the shard of a session, chosen by random bits that don't decide its place in a table.
    pub(super) fn of(&self, id: SessionId) -> MutexGuard<'_, Shard> {
        self.at(Self::index(id))
    }

    pub(super) fn index(id: SessionId) -> usize {
        usize::from(id.as_bytes()[9])
    }

    pub(super) fn at(&self, index: usize) -> MutexGuard<'_, Shard> {
        lock(&self.0[index % Self::COUNT])
    }

    /// Iterates over all shards, locked one at a time.
    pub(super) fn iter(&self) -> impl Iterator<Item = MutexGuard<'_, Shard>> {
        self.0.iter().map(lock)
    }
}

impl Shard {
    /// Finds a session and marks it as used. Most are anonymous, so their table comes first.
    pub(super) fn find(&mut self, id: SessionId, now: Stamp) -> Option<&mut Slot> {
        self.anonymous
            .find(id, now)
            .or_else(|| self.owned.find(id, now))
    }

    pub(super) fn share(&mut self, share: Share) -> &mut Table {
        match share {
            Share::Anonymous => &mut self.anonymous,
            Share::Owned => &mut self.owned,
        }
    }

    /// Goes through the sessions that are alive, without marking them as used.
    pub(super) fn live(&self, now: Timestamp) -> impl Iterator<Item = &Slot> {
        let slots = self.anonymous.iter().chain(self.owned.iter());
        slots.filter(move |slot| !slot.record().is_expired(Instants::at(now)))
    }

    pub(super) fn len(&self) -> usize {
        self.anonymous.len() + self.owned.len()
    }
}
