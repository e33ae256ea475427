//! A hash table of sessions, with a hand that goes round it to sample and to sweep.
//!
//! Random bits of an id decide the place of its session. So the next sessions under the hand are a
//! random sample, which costs a few neighbouring lines of memory, and no list must be kept in order
//! by every read.

use std::sync::Arc;

use hashbrown::HashTable;

#[cfg(test)]
use super::share::footprint;
use crate::model::{Record, SessionId, Timestamp};

/// Tables smaller than this are not worth shrinking.
const SMALL: usize = 64;

pub(super) struct Table {
    slots: HashTable<Slot>,
    hand: usize,
}

/// A session in a table. The hand reads only what lies in the table, so no record has to be
/// fetched. A request that reads its session shares the record; a change in the meantime is made on
/// a copy.
pub(super) struct Slot {
    id: SessionId,
    used: Stamp,
    due: Minute,
    record: Arc<Record>,
}

/// How often the store had grown when a session was last used. It orders sessions by use without a
/// clock, which may be set back, and without a counter that every read moves. It wraps: a session
/// that is unused for four billion turns looks young again, once.
#[derive(Clone, Copy)]
pub(super) struct Stamp(pub(super) u32);

/// Minutes since the epoch: the precision of expiry here.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Minute(u32);

/// A session that may be evicted, as it was when it was sampled.
pub(super) struct Candidate {
    pub(super) id: SessionId,
    pub(super) age: u32,
    used: Stamp,
}

impl Minute {
    pub(super) fn of(time: Timestamp) -> Self {
        let minute = time.as_unix_millis().div_euclid(60_000);
        Self(u32::try_from(minute.max(0)).unwrap_or(u32::MAX))
    }

    /// Returns the minute after `time`'s, so that `time` has passed when it begins.
    fn after(time: Timestamp) -> Self {
        Self(Self::of(time).0.saturating_add(1))
    }
}

impl Slot {
    pub(super) const fn id(&self) -> SessionId {
        self.id
    }

    pub(super) const fn record(&self) -> &Arc<Record> {
        &self.record
    }

    pub(super) fn into_record(self) -> Arc<Record> {
        self.record
    }

    pub(super) fn touch(&mut self, now: Stamp) {
        self.used = now;
    }

    /// Changes the session, and updates the minute in which it is due.
    pub(super) fn edit<T>(&mut self, edit: impl FnOnce(&mut Record) -> T) -> T {
        let result = edit(Arc::make_mut(&mut self.record));
        self.due = Minute::after(self.record.reclaim_at());
        result
    }
}

impl Table {
    pub(super) const fn new() -> Self {
        Self {
            slots: HashTable::new(),
            hand: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter()
    }

    #[cfg(test)]
    pub(super) fn footprints(&self) -> u64 {
        self.slots.iter().map(|slot| footprint(&slot.record)).sum()
    }

    /// Finds a session and marks it as used.
    pub(super) fn find(&mut self, id: SessionId, now: Stamp) -> Option<&mut Slot> {
        let slot = self.slots.find_mut(hash(id), |slot| slot.id == id)?;
        slot.used = now;
        Some(slot)
    }

    /// Adds a session whose id is not in the table.
    pub(super) fn insert(&mut self, id: SessionId, record: Arc<Record>, now: Stamp) {
        let slot = Slot {
            id,
            used: now,
            due: Minute::after(record.reclaim_at()),
            record,
        };
        self.slots
            .insert_unique(hash(id), slot, |slot| hash(slot.id));
    }

    pub(super) fn remove(&mut self, id: SessionId) -> Option<Slot> {
        self.remove_if(id, |_| true)
    }

    /// Removes a candidate unless it was used since it was sampled.
    pub(super) fn remove_unused(&mut self, candidate: &Candidate) -> Option<Slot> {
        self.remove_if(candidate.id, |slot| slot.used.0 == candidate.used.0)
    }

    fn remove_if(&mut self, id: SessionId, condition: impl FnOnce(&Slot) -> bool) -> Option<Slot> {
        let entry = self.slots.find_entry(hash(id), |slot| slot.id == id).ok()?;
        if !condition(entry.get()) {
            return None;
        }
        let (slot, _) = entry.remove();
        self.shrink();
        Some(slot)
    }

    /// Moves the hand over `places` places and removes the sessions that are due there.
    pub(super) fn sweep(&mut self, places: usize, now: Minute, mut dead: impl FnMut(&Slot)) {
        for _ in 0..places.min(self.slots.num_buckets()) {
            let place = self.advance();
            if let Ok(entry) = self.slots.get_bucket_entry(place)
                && entry.get().due <= now
            {
                dead(&entry.remove().0);
            }
        }
        self.shrink();
    }

    /// Moves the hand over up to `count` sessions. Returns how many there were, and the one to
    /// evict first: one that is due, else the least recently used.
    pub(super) fn sample(
        &mut self,
        count: usize,
        now: Stamp,
        minute: Minute,
    ) -> (usize, Option<Candidate>) {
        let mut seen = 0;
        let mut first: Option<(u32, usize)> = None;
        for _ in 0..self.slots.num_buckets() {
            if seen == count {
                break;
            }
            let place = self.advance();
            let Some(slot) = self.slots.get_bucket(place) else {
                continue;
            };
            seen += 1;
            let age = if slot.due <= minute {
                u32::MAX
            } else {
                now.0.wrapping_sub(slot.used.0)
            };
            if first.is_none_or(|(oldest, _)| age > oldest) {
                first = Some((age, place));
            }
        }
        let candidate = first.and_then(|(age, place)| {
            let slot = self.slots.get_bucket(place)?;
            Some(Candidate {
                id: slot.id,
                age,
                used: slot.used,
            })
        });
        (seen, candidate)
    }

    /// Returns the place under the hand, and moves the hand on.
    fn advance(&mut self) -> usize {
        // The table may have shrunk.
        let place = self.hand & (self.slots.num_buckets() - 1);
        self.hand = place + 1;
        place
    }

    /// Shrinks a table that is nearly empty: after a flood it would stay large, and slow to go
    /// round.
    fn shrink(&mut self) {
        let (length, places) = (self.slots.len(), self.slots.num_buckets());
        if places > SMALL && length < places / 8 {
            self.slots
                .shrink_to(length + length / 2, |slot| hash(slot.id));
        }
    }
}

/// Hashes an id to its random bits; its head is a timestamp. Clients can't choose ids to make a
/// table slow: this process or a peer drew them, and unknown ids are never inserted. The table
/// takes a place from the low bits and a tag from the high ones.
fn hash(id: SessionId) -> u64 {
    let [.., a, b, c, d] = *id.as_bytes();
    let tail = u64::from(u32::from_be_bytes([a, b, c, d]));
    tail << 32 | tail
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, time::Duration};

    use super::*;
    use crate::model::{IdleLimit, SecretHash};

    const START: Timestamp = Timestamp::from_unix_millis(1_800_000_000_000);

    /// Adds a session that expires after so many minutes.
    fn add(table: &mut Table, minutes: u64, used: u32) -> SessionId {
        let idle = IdleLimit::new(Duration::from_secs(60 * minutes));
        let secret = SecretHash::from_bytes([1; 32]);
        let record = Record::new(secret, START, idle, Duration::from_secs(1_000_000));
        let id = SessionId::generate(START);
        table.insert(id, Arc::new(record), Stamp(used));
        id
    }

    /// Returns a table, and the ids of its sessions in the order of their use.
    fn filled(count: u32, minutes: u64) -> (Table, Vec<SessionId>) {
        let mut table = Table::new();
        let ids = (0..count).map(|used| add(&mut table, minutes, used));
        let ids = ids.collect();
        (table, ids)
    }

    fn later(minutes: u64) -> Minute {
        Minute::of(START.saturating_add(Duration::from_secs(60 * minutes)))
    }

    #[test]
    fn a_sample_of_all_finds_the_least_recently_used() {
        let (mut table, ids) = filled(50, 100);
        table.find(ids[0], Stamp(60)).unwrap();
        let (seen, oldest) = table.sample(50, Stamp(60), later(0));
        let oldest = oldest.unwrap();
        assert_eq!((seen, oldest.id, oldest.age), (50, ids[1], 59));
        table.find(ids[1], Stamp(61)).unwrap();
        assert!(table.remove_unused(&oldest).is_none(), "it is in use");
        let (_, oldest) = table.sample(50, Stamp(61), later(0));
        let removed = table.remove_unused(&oldest.unwrap()).unwrap();
        assert_eq!(removed.id, ids[2]);
    }

    #[test]
    fn stamps_may_wrap() {
        let (mut table, ids) = filled(2, 100);
        table.find(ids[0], Stamp(u32::MAX)).unwrap();
        table.find(ids[1], Stamp(3)).unwrap();
        let (_, oldest) = table.sample(2, Stamp(5), later(0));
        let oldest = oldest.unwrap();
        assert_eq!((oldest.id, oldest.age), (ids[0], 6));
    }

    #[test]
    fn what_is_due_goes_before_what_is_old() {
        let (mut table, ids) = filled(50, 10_000);
        let id = add(&mut table, 1, 50);
        let (_, first) = table.sample(51, Stamp(50), later(30));
        assert_eq!(first.unwrap().id, id);
        table.remove(id).unwrap();
        let (_, first) = table.sample(51, Stamp(50), later(30));
        assert_eq!(first.unwrap().id, ids[0]);
    }

    #[test]
    fn samples_take_turns() {
        let (mut table, ids) = filled(160, 100);
        let mut seen = HashSet::new();
        while seen.len() < ids.len() {
            let (count, candidate) = table.sample(1, Stamp(160), later(0));
            assert_eq!(count, 1);
            assert!(seen.insert(candidate.unwrap().id), "seen before its turn");
        }
    }

    #[test]
    fn the_hand_removes_what_is_due_and_nothing_else() {
        let (mut table, living) = filled(500, 100);
        for _ in 0..500 {
            add(&mut table, 1, 0);
        }
        let mut dead = 0;
        let mut calls = 0;
        while table.len() > living.len() {
            table.sweep(8, later(30), |_| dead += 1);
            calls += 1;
            assert!(calls <= 256, "once round 2,048 places");
        }
        assert_eq!(dead, 500);
        for id in living {
            assert!(table.find(id, Stamp(0)).is_some());
        }
    }

    #[test]
    fn a_session_is_due_once_its_minute_is_over() {
        let (mut table, ids) = filled(1, 10);
        let due = table.find(ids[0], Stamp(0)).unwrap().record.reclaim_at();
        table.sweep(usize::MAX, Minute::of(due), |_| ());
        assert_eq!(table.len(), 1);
        table.sweep(usize::MAX, Minute::after(due), |_| ());
        assert_eq!(table.len(), 0);
    }

    #[test]
    fn a_table_gives_back_the_memory_of_a_flood() {
        let (mut table, ids) = filled(10_000, 100);
        for id in &ids[100..] {
            table.remove(*id).unwrap();
        }
        assert!(table.slots.num_buckets() <= 1_024);
        for id in &ids[..100] {
            assert!(table.find(*id, Stamp(0)).is_some());
        }
        let (seen, _) = table.sample(1_000, Stamp(0), later(0));
        assert_eq!(seen, 100);
    }
}
