//! Eviction: drops the least recently used sessions of a full share.

use super::{
    Shared,
    shards::Shards,
    share::Share,
    table::{Candidate, Minute},
};
use crate::model::{Instants, Timestamp};

/// A full share drops one of this many sessions. The more, the closer to the least recently used of
/// all.
const SAMPLE: usize = 16;

impl Shared {
    /// Evicts until a share is within its memory. The caller holds no lock.
    pub(super) fn make_room(&self, share: Share, now: Timestamp) {
        while self.budget(share).is_over() {
            let Some((shard, candidate)) = self.candidate(share, now) else {
                return;
            };
            let mut shard = self.shards.at(shard);
            let evicted = shard.share(share).remove_unused(&candidate);
            if let Some(slot) = &evicted {
                self.forget(slot);
            }
            // Large values are freed, and the event is logged, without the lock.
            drop(shard);
            if let Some(slot) = evicted
                && !slot.record().is_expired(Instants::at(now))
            {
                self.budget(share).evictions.evicted(slot.id(), now);
            }
        }
    }

    /// Takes a sample and returns the session to evict first, with its shard. A shard of many
    /// sessions gives the whole sample, else several give some.
    fn candidate(&self, share: Share, now: Timestamp) -> Option<(usize, Candidate)> {
        let mut left = SAMPLE;
        let mut first: Option<(usize, Candidate)> = None;
        for _ in 0..Shards::COUNT {
            let index = self.budget(share).next_shard();
            let mut shard = self.shards.at(index);
            // Read under the lock, so that no session there was used later than now.
            let (seen, candidate) = shard
                .share(share)
                .sample(left, self.stamp(), Minute::of(now));
            drop(shard);
            if let Some(candidate) = candidate
                && first
                    .as_ref()
                    .is_none_or(|(_, oldest)| candidate.age > oldest.age)
            {
                first = Some((index, candidate));
            }
            left -= seen;
            if left == 0 {
                break;
            }
        }
        first
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Mutex,
            atomic::{AtomicI64, Ordering},
        },
        thread,
        time::Duration,
    };

    use bytes::Bytes;
    use futures_util::FutureExt;
    use rand::{RngExt, SeedableRng, rngs::StdRng};

    use super::*;
    use crate::{
        model::{
            Delta, IdleLimit, Instants, Owner, Record, SecretHash, SessionId, SignIn, key::KeyBuf,
        },
        store::{
            SessionStore,
            memory::{MemoryStore, lock},
        },
    };

    const START: Timestamp = Timestamp::from_unix_millis(1_800_000_000_000);
    const SECRET: SecretHash = SecretHash::from_bytes([1; 32]);
    const KILOBYTE: u64 = 1_024;

    fn record(owner: Option<Owner>, bytes: usize) -> Record {
        let idle = IdleLimit::new(Duration::from_secs(600));
        let mut record = Record::new(SECRET, START, idle, Duration::from_secs(3_600));
        record.authenticated_at = owner.as_ref().map(|_| START);
        record.owner = owner;
        record.values = [("v", vec![b'x'; bytes])].into_iter().collect();
        record
    }

    fn create(store: &MemoryStore, record: Record) -> SessionId {
        let id = SessionId::generate(START);
        store.create_now(id, record, START);
        id
    }

    fn lives(store: &MemoryStore, id: SessionId) -> bool {
        store.load_now(id, START).is_some()
    }

    fn store(anonymous: u64, owned: u64) -> MemoryStore {
        MemoryStore::builder()
            .anonymous_bytes(anonymous)
            .owned_bytes(owned)
            .build()
    }

    /// Returns what the sessions of a share take, added up one by one.
    fn footprints(shards: &Shards, share: Share) -> u64 {
        shards
            .iter()
            .map(|mut shard| shard.share(share).footprints())
            .sum()
    }

    #[test]
    fn no_flood_takes_more_memory_than_its_share() {
        let anonymous = 2 * 1_024 * KILOBYTE;
        let store = store(anonymous, 64 * KILOBYTE);
        let mut random = StdRng::seed_from_u64(1);
        let mut ids = Vec::new();
        for number in 0..200_000 {
            ids.push(create(&store, record(None, random.random_range(0..200))));
            if number % 4 == 0 {
                let grown = ids[ids.len() - 1 - random.random_range(0..ids.len().min(1_000))];
                let mut delta = Delta::new(u64::MAX);
                let value = vec![b'y'; random.random_range(0..2_000)];
                delta.change(KeyBuf::new("g").unwrap(), Some(Bytes::from(value)));
                store.apply_now(grown, &SECRET, &delta, Instants::at(START));
            }
            let used = store.0.anonymous.used();
            assert!(used <= anonymous, "{used}");
        }
        assert!(store.0.anonymous.used() > anonymous - 4 * KILOBYTE);
        let held = footprints(&store.0.shards, Share::Anonymous);
        assert_eq!(store.0.anonymous.used(), held);
    }

    #[test]
    fn a_session_in_steady_use_survives_any_flood() {
        let store = store(1_024 * KILOBYTE, KILOBYTE);
        let used = create(&store, record(None, 100));
        let fits = 1_024 * KILOBYTE / store.0.anonymous.used();
        for number in 0..20 * fits {
            create(&store, record(None, 100));
            // Four times while as many new sessions start as there is room for.
            if number % (fits / 4) == 0 {
                assert!(lives(&store, used), "after {number}");
            }
        }
    }

    #[test]
    fn of_untouched_sessions_the_older_go_first_in_the_main() {
        let store = store(1_024 * KILOBYTE, KILOBYTE);
        create(&store, record(None, 100));
        let fits = (1_024 * KILOBYTE / store.0.anonymous.used()) as usize;
        let ids: Vec<_> = (1..fits)
            .map(|_| create(&store, record(None, 100)))
            .collect();
        assert_eq!(store.record_count(), fits as u64);
        // A quarter of them must go.
        for _ in 0..fits / 4 {
            create(&store, record(None, 100));
        }
        let dead = |ids: &[SessionId]| ids.iter().filter(|id| !lives(&store, **id)).count();
        let (oldest, younger) = (dead(&ids[..fits / 4]), dead(&ids[fits / 2..]));
        assert!(oldest > fits / 4 * 7 / 10, "{oldest} of {fits}");
        assert!(younger < fits / 4 / 25, "{younger} of {fits}");
    }

    #[test]
    fn none_of_the_fifteen_used_last_is_dropped() {
        let store = store(24 * KILOBYTE, KILOBYTE);
        let used: Vec<_> = (1..SAMPLE - 1)
            .map(|_| create(&store, record(None, 100)))
            .collect();
        for number in 0..5_000 {
            let last = create(&store, record(None, 100));
            for id in used.iter().chain([&last]) {
                assert!(lives(&store, *id), "after {number}");
            }
        }
        assert!(store.record_count() > 40, "{store:?}");
    }

    #[test]
    fn a_few_large_sessions_are_dropped_by_use_too() {
        let store = store(1_024 * KILOBYTE, KILOBYTE);
        let used = create(&store, record(None, 100 * KILOBYTE as usize));
        for _ in 0..1_000 {
            let last = create(&store, record(None, 100 * KILOBYTE as usize));
            assert!(lives(&store, last));
            assert!(lives(&store, used));
            assert!(store.record_count() <= 10);
        }
        assert_eq!(store.record_count(), 10);
    }

    #[test]
    fn a_session_is_not_dropped_by_its_own_growth() {
        for number in 0..50 {
            let store = store(16 * KILOBYTE, KILOBYTE);
            let ids: Vec<_> = (0..12)
                .map(|_| create(&store, record(None, 1_000)))
                .collect();
            assert!(ids.iter().all(|id| lives(&store, *id)));
            let mut delta = Delta::new(u64::MAX);
            let value = Bytes::from(vec![b'y'; 5_000]);
            delta.change(KeyBuf::new("g").unwrap(), Some(value));
            let grown = ids[number % ids.len()];
            store.apply_now(grown, &SECRET, &delta, Instants::at(START));
            assert!(store.record_count() < 12);
            assert!(lives(&store, grown));
        }
    }

    #[test]
    fn no_race_leaves_anything_behind() {
        let store = store(100 * KILOBYTE, 100 * KILOBYTE);
        let ids = Mutex::new(vec![SessionId::generate(START)]);
        let clock = AtomicI64::new(START.as_unix_millis());
        let users = ["ann", "bob", "cid"].map(|name| Owner::new(name).unwrap());
        let work = |seed: u64| {
            let mut random = StdRng::seed_from_u64(seed);
            for _ in 0..20_000 {
                let now = Timestamp::from_unix_millis(clock.fetch_add(1, Ordering::Relaxed));
                let user = &users[random.random_range(0..users.len())];
                let id = {
                    let ids = lock(&ids);
                    ids[ids.len() - 1 - random.random_range(0..ids.len().min(50))]
                };
                let mut delta = Delta::new(u64::MAX);
                match random.random_range(0..10) {
                    0..4 => {
                        let owner = random.random::<bool>().then(|| user.clone());
                        let id = create(&store, record(owner, random.random_range(0..1_000)));
                        lock(&ids).push(id);
                    }
                    4..6 => delta.sign_in = Some(SignIn::new(user.clone(), now)),
                    6..8 => {
                        let value = vec![b'y'; random.random_range(0..4_000)];
                        delta.change(KeyBuf::new("g").unwrap(), Some(Bytes::from(value)));
                    }
                    8 => drop(store.remove(id, None, Instants::at(now)).now_or_never()),
                    _ => drop(store.load_now(id, now)),
                }
                store.apply_now(id, &SECRET, &delta, Instants::at(now));
            }
        };
        thread::scope(|scope| {
            for seed in 0..4 {
                let work = &work;
                scope.spawn(move || work(seed));
            }
        });
        assert!(store.record_count() > 50, "{store:?}");
        for (share, budget) in [
            (Share::Anonymous, &store.0.anonymous),
            (Share::Owned, &store.0.owned),
        ] {
            assert_eq!(budget.used(), footprints(&store.0.shards, share));
            assert!(!budget.is_over());
        }
        for id in lock(&ids).iter() {
            let removed = store.remove(*id, None, Instants::at(START));
            removed.now_or_never().unwrap().unwrap();
        }
        assert_eq!(store.record_count(), 0);
        assert_eq!(store.0.anonymous.used() + store.0.owned.used(), 0);
        assert!(lock(&store.0.owners).is_empty());
    }
}
