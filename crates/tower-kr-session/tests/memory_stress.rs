//! Threads that start, sign in, grow, end and revoke sessions of a store that is too small for them: afterwards every owned session
//! is in its owner's list, and nothing dead is held.

// Helpers of tests may panic as tests do; the lint's own exception covers test functions only.
#![allow(clippy::unwrap_used)]

use std::{
    sync::{
        Mutex,
        atomic::{AtomicI64, Ordering},
    },
    thread,
    time::Duration,
};

use bytes::Bytes;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tower_kr_session::{
    MemoryStore, Owner, SessionId, SessionStore, Timestamp,
    key::KeyBuf,
    store::{Delta, IdleLimit, Instants, Record, SecretHash, SignIn},
};

const SECRET: SecretHash = SecretHash::from_bytes([7; 32]);
const THREADS: u64 = 4;
const STEPS: usize = 4_000;

fn record(owner: Option<Owner>, now: Timestamp, bytes: usize) -> Record {
    let idle = IdleLimit::new(Duration::from_secs(600));
    let mut record = Record::new(SECRET, now, idle, Duration::from_secs(3_600));
    record.values = [("v", vec![b'x'; bytes])].into_iter().collect();
    record.authenticated_at = owner.as_ref().map(|_| now);
    record.owner = owner;
    record
}

fn owner(number: u32) -> Owner {
    Owner::new(&format!("owner {number}")).unwrap()
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

async fn work(
    store: &MemoryStore,
    ids: &Mutex<Vec<SessionId>>,
    clock: &AtomicI64,
    random: &mut StdRng,
) {
    let now = Timestamp::from_unix_millis(clock.fetch_add(1, Ordering::SeqCst));
    let user = owner(random.random_range(0..4));
    let id = {
        let ids = ids.lock().unwrap();
        // One of the newest: those are still there, and others are at them too.
        let newest = ids.len().min(60);
        match newest {
            0 => SessionId::generate(now),
            newest => ids[ids.len() - 1 - random.random_range(0..newest)],
        }
    };
    let at = Instants::at(now);
    let mut delta = Delta::new(u64::MAX);
    match random.random_range(0..100) {
        0..20 => {
            let id = SessionId::generate(now);
            ids.lock().unwrap().push(id);
            let owner = random.random::<bool>().then_some(user);
            let record = record(owner, now, random.random_range(0..1_024));
            store.create(id, record, now).await.unwrap();
        }
        20..40 => {
            delta.sign_in = Some(SignIn::new(user, now));
            store.apply(id, &SECRET, delta, at).await.unwrap();
        }
        40..70 => {
            let value = Bytes::from(vec![b'y'; random.random_range(0..8_192)]);
            delta.change(KeyBuf::new("g").unwrap(), Some(value));
            store.apply(id, &SECRET, delta, at).await.unwrap();
        }
        70..80 => drop(store.remove(id, None, at).await.unwrap()),
        80..81 => drop(store.remove_owned(&user, None, now).await.unwrap()),
        81..90 => drop(store.list(&user, now).await.unwrap()),
        _ => drop(store.load(id, now).await.unwrap()),
    }
}

#[test]
fn no_race_leaves_a_session_outside_of_its_index() {
    for round in 0..3 {
        let store = MemoryStore::builder()
            .anonymous_bytes(200 * 1_024)
            .owned_bytes(200 * 1_024)
            .build();
        let ids = Mutex::new(Vec::new());
        let clock = AtomicI64::new(1_800_000_000_000);
        thread::scope(|scope| {
            for number in 0..THREADS {
                let (store, ids, clock) = (&store, &ids, &clock);
                scope.spawn(move || {
                    let mut random = StdRng::seed_from_u64(round * THREADS + number);
                    block_on(async {
                        for _ in 0..STEPS {
                            work(store, ids, clock, &mut random).await;
                        }
                    });
                });
            }
        });
        let now = Timestamp::from_unix_millis(clock.load(Ordering::SeqCst));
        // The second time around nothing is left over by the first.
        store.run_pending_tasks(now);
        store.run_pending_tasks(now);
        block_on(async {
            let mut alive = 0;
            let mut listed = Vec::new();
            for number in 0..4 {
                listed.push(store.list(&owner(number), now).await.unwrap());
            }
            for id in ids.into_inner().unwrap() {
                let Some(record) = store.load(id, now).await.unwrap() else {
                    continue;
                };
                alive += 1;
                if let Some(held) = record.owner {
                    let number = (0..4).find(|number| owner(*number) == held).unwrap();
                    let found = listed[number as usize]
                        .iter()
                        .any(|session| session.id == id);
                    assert!(found, "{id} of {held} would escape a revocation");
                }
            }
            assert!(alive > 0);
            assert_eq!(store.record_count(), alive, "dead or double entries");
        });
    }
}
