//! What the adapter keeps, for how long, how much of it, and what it does with values that it can't
//! read.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tower_kr_session::{
    Owner, SessionId, SessionStore, StoreError, Timestamp,
    store::{
        ApplyOutcome, CreateOutcome, Delta, IdleLimit, Instants, RECLAIM_GRACE, Record,
        RemoveOutcome, SecretHash, SignIn, StoreKey, StoreValue, ValueClass, Version, Versioned,
        VersionedStore,
    },
};

use crate::{faults::Connection, map_store::MapStore};

const NOW: Timestamp = Timestamp::from_unix_millis(1_800_000_000_000);
const SECRET: SecretHash = SecretHash::from_bytes([1; 32]);
const DAY: Duration = Duration::from_secs(24 * 3_600);

fn user() -> Owner {
    Owner::new("user").unwrap()
}

fn after(duration: Duration) -> Timestamp {
    NOW.saturating_add(duration)
}

fn record(owner: Option<Owner>, now: Timestamp) -> Record {
    let idle = IdleLimit::new(Duration::from_secs(600));
    let mut record = Record::new(SECRET, now, idle, Duration::from_secs(3_600));
    record.authenticated_at = owner.as_ref().map(|_| now);
    record.owner = owner;
    record
}

fn sign_in(owner: &Owner, now: Timestamp) -> Delta {
    let mut delta = Delta::new(u64::MAX);
    delta.sign_in = Some(SignIn::new(owner.clone(), now));
    delta
}

fn longer(timeout: Duration) -> Delta {
    let mut delta = Delta::new(u64::MAX);
    delta.limits.absolute_timeout = Some(timeout);
    delta
}

async fn start<S: VersionedStore>(store: &Versioned<S>, owner: Option<Owner>) -> SessionId {
    let id = SessionId::generate(NOW);
    let created = store.create(id, record(owner, NOW), NOW).await;
    assert_eq!(created.unwrap(), CreateOutcome::Created);
    id
}

async fn ids<S: VersionedStore>(store: &Versioned<S>, now: Timestamp) -> Vec<SessionId> {
    let list = store.list(&user(), now).await.unwrap();
    list.iter().map(|session| session.id).collect()
}

#[tokio::test]
async fn a_record_of_a_later_release_is_kept_and_a_corrupt_one_is_missing() {
    let map = Arc::new(MapStore::default());
    let store = Versioned::new(Arc::clone(&map));
    for (damage, later) in [(0, true), (1, false)] {
        let id = start(&store, Some(user())).await;
        let key = StoreKey::session(id);
        let (version, bytes) = map.get(&key).await.unwrap().unwrap();
        let mut damaged = bytes.to_vec();
        damaged[damage] = 0xff;
        let kept = (version, Bytes::from(damaged));
        map.map().insert(key, kept.clone());
        let at = Instants::at(NOW);
        let loaded = store.load(id, NOW).await;
        let applied = store.apply(id, &SECRET, &Delta::new(0), at).await;
        let removed = store.remove(id, None, at).await;
        let revoked = store.remove_owned(&user(), None, NOW).await;
        if later {
            let unknown = |error| matches!(error, StoreError::UnknownVersion { version: 0xff });
            assert!(unknown(loaded.unwrap_err()));
            assert!(unknown(applied.unwrap_err()));
            assert!(unknown(removed.unwrap_err()));
            assert!(unknown(revoked.unwrap_err()));
            assert!(unknown(store.list(&user(), NOW).await.unwrap_err()));
        } else {
            assert_eq!(loaded.unwrap(), None);
            assert_eq!(applied.unwrap(), ApplyOutcome::Missing);
            assert_eq!(removed.unwrap(), RemoveOutcome::Missing);
        }
        let created = store.create(id, record(None, NOW), NOW).await;
        assert_eq!(created.unwrap(), CreateOutcome::Exists);
        assert_eq!(map.get(&key).await.unwrap(), Some(kept));
        map.map().clear();
    }
}

#[tokio::test]
async fn some_of_a_users_sessions_are_read_without_the_others() {
    let map = Arc::new(MapStore::default());
    let store = Versioned::new(Arc::clone(&map));
    for _ in 0..200 {
        start(&store, Some(user())).await;
    }
    let connection = Connection::new(&map, None);
    let store = Versioned::new(Arc::clone(&connection));
    let some = store.list_up_to(&user(), 10, NOW).await.unwrap();
    assert_eq!(some.len(), 10);
    assert_eq!(connection.calls(), 1 + 10, "the index and the records");
}

#[tokio::test]
async fn an_index_of_a_later_release_or_a_corrupt_one_is_kept_and_nothing_counts_as_revoked() {
    let map = Arc::new(MapStore::default());
    let store = Versioned::new(Arc::clone(&map));
    let id = start(&store, Some(user())).await;
    let anonymous = start(&store, None).await;
    let key = StoreKey::owner(&user());
    let (version, bytes) = map.get(&key).await.unwrap().unwrap();
    for (damage, later) in [(0, true), (bytes.len() - 17, false)] {
        let mut damaged = bytes.to_vec();
        damaged[damage] = 0xff;
        let kept = (version.clone(), Bytes::from(damaged));
        map.map().insert(key, kept.clone());
        let expected = |error: StoreError| match error {
            StoreError::UnknownVersion { version } => later && version == 0xff,
            error => !later && error.to_string().contains(&key.to_string()),
        };
        let delta = sign_in(&user(), NOW);
        let at = Instants::at(NOW);
        let signed_in = store.apply(anonymous, &SECRET, &delta, at).await;
        assert!(expected(signed_in.unwrap_err()));
        let new = SessionId::generate(NOW);
        let created = store.create(new, record(Some(user()), NOW), NOW).await;
        assert!(expected(created.unwrap_err()));
        assert!(expected(
            store.remove_owned(&user(), None, NOW).await.unwrap_err()
        ));
        match store.list(&user(), NOW).await {
            Ok(listed) => assert!(!later && listed.is_empty()),
            Err(error) => assert!(later && expected(error)),
        }
        assert_eq!(map.get(&key).await.unwrap(), Some(kept));
        assert!(store.load(id, NOW).await.unwrap().is_some());
        assert!(store.load(new, NOW).await.unwrap().is_none());
        let record = store.load(anonymous, NOW).await.unwrap().unwrap();
        assert_eq!(record.owner, None);
    }
}

#[tokio::test]
async fn a_user_whose_index_is_full_signs_in_and_the_oldest_session_ends() {
    // As small as this, values have room for four sessions of a user.
    let store = Versioned::new(MapStore {
        largest_value: Some(150),
        ..MapStore::default()
    });
    let mut all = Vec::new();
    for number in [5, 2, 3, 4] {
        let id = SessionId::generate(NOW);
        let now = after(Duration::from_secs(number));
        let created = store.create(id, record(Some(user()), now), now).await;
        assert_eq!(created.unwrap(), CreateOutcome::Created);
        all.push(id);
    }
    let last = after(Duration::from_secs(6));
    assert_eq!(ids(&store, last).await.len(), 4);
    let anonymous = start(&store, None).await;
    let delta = sign_in(&user(), last);
    let applied = store.apply(anonymous, &SECRET, &delta, Instants::at(last));
    assert!(matches!(applied.await, Ok(ApplyOutcome::Applied(_))));
    assert!(store.load(all[1], last).await.unwrap().is_none());
    assert_eq!(ids(&store, last).await, [anonymous, all[2], all[3], all[0]]);
    assert_eq!(store.remove_owned(&user(), None, last).await.unwrap(), 4);
    assert_eq!(ids(&store, last).await, []);
}

#[tokio::test]
async fn a_store_of_small_values_says_how_large_a_session_may_be_and_keeps_small_indexes() {
    let largest_value = Some(1_000);
    let map = Arc::new(MapStore {
        largest_value,
        ..MapStore::default()
    });
    let store = Versioned::new(Arc::clone(&map));
    // What a device may take is kept free.
    let expected = if cfg!(feature = "device-bound") {
        0
    } else {
        50
    };
    assert_eq!(store.largest_session(), Some(expected));
    assert_eq!(Versioned::new(MapStore::default()).largest_session(), None);
    for _ in 0..40 {
        start(&store, Some(user())).await;
    }
    assert_eq!(ids(&store, NOW).await.len(), 30);
    let largest = map.map().values().map(|(_, bytes)| bytes.len()).max();
    assert!(
        largest.is_some_and(|largest| largest <= 1_000),
        "{largest:?}"
    );
    assert_eq!(map.map().len(), 31, "the sessions that had to end are gone");
}

#[tokio::test]
async fn what_has_ended_leaves_no_trace_but_that_of_a_revocation() {
    let map = Arc::new(MapStore::default());
    let store = Versioned::new(Arc::clone(&map));
    let id = start(&store, Some(user())).await;
    assert_eq!(map.map().len(), 2);
    let at = Instants::at(NOW);
    let removed = store.remove(id, Some(&SECRET), at).await.unwrap();
    assert_eq!(removed, RemoveOutcome::Removed);
    assert_eq!(
        map.map().len(),
        0,
        "a logout takes the index of nothing along"
    );
    start(&store, Some(user())).await;
    store.remove_owned(&user(), None, NOW).await.unwrap();
    assert_eq!(
        map.map().len(),
        1,
        "later than the revocation must a sign-in be"
    );
    // A day later nothing can be on its way any more.
    assert_eq!(ids(&store, after(DAY)).await, []);
    let new = SessionId::generate(after(DAY));
    let created = store
        .create(new, record(Some(user()), after(DAY)), after(DAY))
        .await;
    assert_eq!(created.unwrap(), CreateOutcome::Created);
    let removed = store
        .remove(new, None, Instants::at(after(DAY)))
        .await
        .unwrap();
    assert_eq!(removed, RemoveOutcome::Removed);
    assert_eq!(map.map().len(), 0);
}

#[tokio::test]
async fn entries_of_sessions_that_the_store_dropped_are_pruned_when_met() {
    let map = Arc::new(MapStore::default());
    let store = Versioned::new(Arc::clone(&map));
    let index = StoreKey::owner(&user());
    let length = |map: &MapStore| map.map()[&index].1.len();
    let kept = start(&store, Some(user())).await;
    let one = length(&map);
    let gone = start(&store, Some(user())).await;
    assert!(length(&map) > one);
    map.map().remove(&StoreKey::session(gone));
    assert_eq!(ids(&store, NOW).await, [kept]);
    assert_eq!(length(&map), one);
    let unread = start(&store, Some(user())).await;
    map.map().remove(&StoreKey::session(unread));
    // A clock that is ahead doesn't say that a session is over: whoever lists them looks.
    let late = after(Duration::from_secs(3_600) + RECLAIM_GRACE);
    let new = SessionId::generate(late);
    store
        .create(new, record(Some(user()), late), late)
        .await
        .unwrap();
    assert_eq!(ids(&store, late).await, [new]);
    assert_eq!(ids(&store, NOW).await, [kept, new]);
    map.map().remove(&StoreKey::session(kept));
    assert_eq!(ids(&store, late).await, [new]);
    assert_eq!(length(&map), one);
    // A revocation meets them too.
    map.map().remove(&StoreKey::session(new));
    assert_eq!(store.remove_owned(&user(), None, late).await.unwrap(), 0);
    assert!(length(&map) < one);
}

/// A map that drops values at the very end of their time, and notes what it was told.
#[derive(Default)]
struct Exact {
    map: MapStore,
    times: Mutex<Vec<(StoreKey, ValueClass, Duration)>>,
}

impl VersionedStore for Exact {
    async fn get(&self, key: &StoreKey) -> Result<Option<(Version, Bytes)>, StoreError> {
        self.map.get(key).await
    }

    async fn put_if(
        &self,
        key: &StoreKey,
        expected: Option<Version>,
        value: StoreValue,
        keep_for: Duration,
    ) -> Result<bool, StoreError> {
        let class = value.class;
        let written = self.map.put_if(key, expected, value, keep_for).await?;
        if written {
            self.times.lock().unwrap().push((*key, class, keep_for));
        }
        Ok(written)
    }

    async fn delete_if(&self, key: &StoreKey, expected: Version) -> Result<bool, StoreError> {
        self.map.delete_if(key, expected).await
    }
}

impl Exact {
    /// What was written since the last call, at this time, has these ends.
    fn ends(&self, now: Timestamp) -> Vec<(StoreKey, Timestamp)> {
        let times = std::mem::take(&mut *self.times.lock().unwrap());
        let ends = times.into_iter();
        ends.map(|(key, _, keep_for)| (key, now.saturating_add(keep_for)))
            .collect()
    }
}

#[tokio::test]
async fn values_have_their_class_and_are_kept_until_a_slow_request_can_no_longer_commit() {
    let exact = Arc::new(Exact::default());
    let store = Versioned::new(Arc::clone(&exact));
    let id = start(&store, None).await;
    let (key, class, keep_for) = exact.times.lock().unwrap()[0];
    let reclaim = record(None, NOW).reclaim_at();
    let expected = reclaim.saturating_duration_since(NOW);
    assert_eq!((key, class), (StoreKey::session(id), ValueClass::Anonymous));
    assert_eq!(keep_for, expected);
    let later = after(Duration::from_secs(60));
    exact.times.lock().unwrap().clear();
    let delta = sign_in(&user(), later);
    let applied = store.apply(id, &SECRET, &delta, Instants::at(later)).await;
    assert!(matches!(applied, Ok(ApplyOutcome::Applied(_))));
    let index = StoreKey::owner(&user());
    let hour = Duration::from_secs(3_600) + RECLAIM_GRACE;
    let expected = [
        (index, ValueClass::Index, hour),
        (StoreKey::session(id), ValueClass::Owned, expected),
        (index, ValueClass::Index, hour),
    ];
    assert_eq!(*exact.times.lock().unwrap(), expected);
}

#[tokio::test]
async fn the_index_is_kept_until_a_deadline_that_was_moved() {
    let exact = Arc::new(Exact::default());
    let store = Versioned::new(Arc::clone(&exact));
    let id = start(&store, Some(user())).await;
    exact.times.lock().unwrap().clear();
    let (later, delta) = (after(Duration::from_secs(60)), longer(DAY));
    let applied = store.apply(id, &SECRET, &delta, Instants::at(later));
    assert!(matches!(applied.await, Ok(ApplyOutcome::Applied(_))));
    let index = (
        StoreKey::owner(&user()),
        ValueClass::Index,
        DAY + RECLAIM_GRACE,
    );
    let times = exact.times.lock().unwrap();
    assert!(times.contains(&index), "{times:?}");
}

/// Whatever happens to the sessions of a user, on a store that drops each value at the very end of
/// its time no session is alive that the index doesn't list.
#[tokio::test]
async fn the_index_is_kept_as_long_as_its_sessions() {
    for seed in 0..20 {
        let mut random = StdRng::seed_from_u64(seed);
        let exact = Arc::new(Exact::default());
        let store = Versioned::new(Arc::clone(&exact));
        let mut ends = std::collections::HashMap::new();
        let mut all = Vec::new();
        let mut now = NOW;
        for step in 0..300 {
            now = now.saturating_add(Duration::from_secs(random.random_range(0..300)));
            ends.extend(exact.ends(now));
            exact.map.map().retain(|key, _| ends[key] > now);
            let at = Instants::at(now);
            let any = |random: &mut StdRng, all: &[SessionId]| match all.len() {
                0 => SessionId::generate(now),
                count => all[count - 1 - random.random_range(0..count.min(5))],
            };
            let id = any(&mut random, &all);
            match random.random_range(0..10) {
                0 => {
                    let id = SessionId::generate(now);
                    let owner = random.random::<bool>().then(user);
                    store.create(id, record(owner, now), now).await.unwrap();
                    all.push(id);
                }
                1 => {
                    let delta = sign_in(&user(), now);
                    store.apply(id, &SECRET, &delta, at).await.unwrap();
                }
                2 => {
                    let delta = longer(Duration::from_secs(random.random_range(60..20_000)));
                    store.apply(id, &SECRET, &delta, at).await.unwrap();
                }
                3 => drop(store.remove_owned(&user(), Some(id), now).await.unwrap()),
                4 => drop(store.remove(id, None, at).await.unwrap()),
                5 => drop(ids(&store, now).await),
                _ => drop(store.apply(id, &SECRET, &Delta::new(0), at).await.unwrap()),
            }
            ends.extend(exact.ends(now));
            let mut alive = Vec::new();
            for id in &all {
                let record = store.load(*id, now).await.unwrap();
                if record.is_some_and(|record| record.owner.is_some()) {
                    alive.push(*id);
                }
            }
            let mut listed = ids(&store, now).await;
            alive.sort();
            listed.sort();
            assert_eq!(listed, alive, "seed {seed}, step {step}");
            ends.extend(exact.ends(now));
        }
    }
}
