//! Threads that start, sign in, change, end and revoke sessions of a store in memory that is too
//! small for them.
//!
//! No acknowledged write is lost but with its session, no session is alive that a revocation
//! answered for, and whatever is alive is in its user's list.

// Helpers of tests may panic as tests do; the lint's own exception covers test functions only.
#![allow(clippy::unwrap_used)]

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use bytes::Bytes;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tower_kr_session::{
    Evictions, MemoryStore, MokaStore, Owner, SessionId, SessionStore, Timestamp,
    store::{ApplyOutcome, Delta, IdleLimit, Instants, Operation, Record, SecretHash, SignIn},
};

const SECRET: SecretHash = SecretHash::from_bytes([7; 32]);
const THREADS: u64 = 4;
const STEPS: usize = 4_000;
const USERS: usize = 4;
const SHARE: u64 = 100 * 1_024;

/// A session that somebody started, and the increments of it that were acknowledged.
struct Begun {
    id: SessionId,
    counted: AtomicU64,
}

/// What the threads share.
struct Stage<S> {
    store: S,
    begun: Mutex<Vec<Arc<Begun>>>,
    /// Each step has a time of its own.
    clock: AtomicI64,
    /// The latest revocation of each user that has answered, and what it spared.
    revoked: [Mutex<(Timestamp, Option<SessionId>)>; USERS],
}

fn user(number: usize) -> Owner {
    Owner::new(&format!("user {number}")).unwrap()
}

fn record(owner: Option<Owner>, now: Timestamp, bytes: usize) -> Record {
    let idle = IdleLimit::new(Duration::from_secs(600));
    let mut record = Record::new(SECRET, now, idle, Duration::from_secs(3_600));
    record.values = [("v", vec![b'x'; bytes])].into_iter().collect();
    record.authenticated_at = owner.as_ref().map(|_| now);
    record.owner = owner;
    record
}

impl<S: SessionStore> Stage<S> {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_millis(self.clock.fetch_add(1, Ordering::SeqCst))
    }

    /// One of the newest sessions: those are still there, and others are at them too.
    fn any(&self, random: &mut StdRng) -> Option<Arc<Begun>> {
        let begun = self.begun.lock().unwrap();
        match begun.len().min(60) {
            0 => None,
            newest => Some(Arc::clone(
                &begun[begun.len() - 1 - random.random_range(0..newest)],
            )),
        }
    }

    async fn start(&self, random: &mut StdRng, number: usize) {
        let now = self.now();
        let owner = random.random::<bool>().then(|| user(number));
        let id = SessionId::generate(now);
        let record = record(owner, now, random.random_range(0..1_024));
        self.store.create(id, record, now).await.unwrap();
        let counted = AtomicU64::new(0);
        let begun = Arc::new(Begun { id, counted });
        self.begun.lock().unwrap().push(begun);
    }

    async fn step(&self, random: &mut StdRng) {
        let number = random.random_range(0..USERS);
        let step = random.random_range(0..100);
        let Some(begun) = self.any(random).filter(|_| step >= 20) else {
            return self.start(random, number).await;
        };
        let (id, user, now) = (begun.id, user(number), self.now());
        let at = Instants::at(now);
        let mut delta = Delta::new(u64::MAX);
        match step {
            20..40 => {
                delta.sign_in = Some(SignIn::new(user, now));
                self.store.apply(id, &SECRET, &delta, at).await.unwrap();
            }
            40..55 => {
                let value = Bytes::from(vec![b'y'; random.random_range(0..8_192)]);
                delta.change("g".parse().unwrap(), Some(value));
                self.store.apply(id, &SECRET, &delta, at).await.unwrap();
            }
            55..75 => {
                delta.operation = Some(("n".parse().unwrap(), Operation::Increment(1)));
                let applied = self.store.apply(id, &SECRET, &delta, at).await.unwrap();
                if matches!(applied, ApplyOutcome::Applied(_)) {
                    begun.counted.fetch_add(1, Ordering::SeqCst);
                }
            }
            75..80 => drop(self.store.remove(id, None, at).await.unwrap()),
            80..81 => {
                let spared = random.random::<bool>().then_some(id);
                let removed = self.store.remove_owned(&user, spared, now).await;
                removed.unwrap();
                let mut revoked = self.revoked[number].lock().unwrap();
                *revoked = (*revoked).max((now, spared));
            }
            81..90 => drop(self.store.list(&user, now).await.unwrap()),
            _ => drop(self.store.load(id, now).await.unwrap()),
        }
    }

    /// When all have ended: how many sessions are alive.
    async fn check(&self) -> u64 {
        let now = self.now();
        let mut listed = Vec::new();
        for number in 0..USERS {
            listed.push(self.store.list(&user(number), now).await.unwrap());
        }
        let mut alive = 0;
        let all = std::mem::take(&mut *self.begun.lock().unwrap());
        for begun in all {
            let Some(record) = self.store.load(begun.id, now).await.unwrap() else {
                continue;
            };
            alive += 1;
            let counted = begun.counted.load(Ordering::SeqCst);
            let value = record.values.get("n").map(<[u8]>::to_vec);
            let expected = (counted > 0).then(|| counted.to_string().into_bytes());
            assert_eq!(value, expected, "an acknowledged write was lost");
            let Some(owner) = record.owner else { continue };
            let number = (0..USERS).find(|number| user(*number) == owner).unwrap();
            let mut sessions = listed[number].iter();
            let found = sessions.any(|session| session.id == begun.id);
            assert!(found, "{} of {owner} would escape a revocation", begun.id);
            let (revoked_at, spared) = *self.revoked[number].lock().unwrap();
            let signed_in_at = record.authenticated_at.unwrap();
            assert!(
                signed_in_at > revoked_at || spared == Some(begun.id),
                "{} of {owner} survived a revocation",
                begun.id
            );
        }
        alive
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

/// Works on a store with four threads, and returns it with the number of sessions that are alive in
/// the end.
fn work<S: SessionStore>(store: S, round: u64) -> (S, u64) {
    let stage = Stage {
        store,
        begun: Mutex::default(),
        clock: AtomicI64::new(1_800_000_000_000),
        revoked: [const { Mutex::new((Timestamp::from_unix_millis(0), None)) }; USERS],
    };
    thread::scope(|scope| {
        for number in 0..THREADS {
            let stage = &stage;
            scope.spawn(move || {
                let mut random = StdRng::seed_from_u64(round * THREADS + number);
                block_on(async {
                    for _ in 0..STEPS {
                        stage.step(&mut random).await;
                    }
                });
            });
        }
    });
    let alive = block_on(stage.check());
    (stage.store, alive)
}

fn assert_evicted(evictions: Evictions) {
    assert!(evictions.anonymous > 100, "{evictions:?}");
    assert!(evictions.owned > 50, "{evictions:?}");
}

#[test]
fn nothing_is_lost_escapes_or_is_left_over_in_the_memory_store() {
    for round in 0..3 {
        let store = MemoryStore::builder()
            .anonymous_bytes(SHARE)
            .owned_bytes(SHARE)
            .build();
        let (store, alive) = work(store, round);
        assert!(alive > 0);
        assert_eq!(store.record_count(), alive, "dead or double entries");
        assert_evicted(store.evictions());
    }
}

#[test]
fn nothing_is_lost_or_escapes_in_the_moka_store() {
    for round in 0..3 {
        let store = MokaStore::builder()
            .anonymous_bytes(SHARE)
            .owned_bytes(SHARE)
            .build();
        let (store, alive) = work(store, round);
        assert!(alive > 0);
        store.run_pending_tasks();
        // A session whose index was evicted is dead, and goes in its turn.
        let held = store.record_count();
        assert!((alive..alive + 50).contains(&held), "{held} for {alive}");
        assert_evicted(store.evictions());
    }
}
