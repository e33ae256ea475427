//! What is the moka store's own: its capacity, its two shares, and what it drops.

// Helpers of tests may panic as tests do; the lint's own exception covers test functions only.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use bytes::Bytes;
use test_support::eventually;
use tokio::task::JoinSet;
use tower_kr_session::{
    MokaStore, Owner, SessionId, SessionStore, Timestamp,
    store::{
        ApplyOutcome, CreateOutcome, Delta, IdleLimit, Instants, Operation, Record, SecretHash,
        SignIn,
    },
};

const KILOBYTE: u64 = 1_024;
const SECRET: SecretHash = SecretHash::from_bytes([7; 32]);
const NOW: Timestamp = Timestamp::from_unix_millis(1_800_000_000_000);

fn record(bytes: usize, owner: Option<&Owner>) -> Record {
    let idle = IdleLimit::new(Duration::from_secs(600));
    let mut record = Record::new(SECRET, NOW, idle, Duration::from_secs(3_600));
    record.values = [("v", vec![b'x'; bytes])].into_iter().collect();
    record.owner = owner.cloned();
    record.authenticated_at = owner.map(|_| record.created_at);
    record
}

async fn create(store: &MokaStore, record: Record) -> SessionId {
    let id = SessionId::generate(NOW);
    let created = store.create(id, record, NOW).await.unwrap();
    assert_eq!(created, CreateOutcome::Created);
    id
}

async fn lives(store: &MokaStore, id: SessionId) -> bool {
    store.load(id, NOW).await.unwrap().is_some()
}

async fn apply(store: &MokaStore, id: SessionId, delta: Delta) -> ApplyOutcome {
    let at = Instants::at(NOW);
    store.apply(id, &SECRET, &delta, at).await.unwrap()
}

fn owner(id: &str) -> Owner {
    Owner::new(id).unwrap()
}

fn sign_in(owner: &Owner) -> Delta {
    let mut delta = Delta::new(u64::MAX);
    delta.sign_in = Some(SignIn::new(owner.clone(), NOW));
    delta
}

fn grow(bytes: usize) -> Delta {
    let mut delta = Delta::new(u64::MAX);
    let value = Bytes::from(vec![b'y'; bytes]);
    delta.change("grown".parse().unwrap(), Some(value));
    delta
}

/// A store with these shares, in kilobytes.
fn store(anonymous: u64, owned: u64) -> MokaStore {
    MokaStore::builder()
        .anonymous_bytes(anonymous * KILOBYTE)
        .owned_bytes(owned * KILOBYTE)
        .build()
}

#[tokio::test]
async fn a_flood_of_anonymous_sessions_leaves_those_with_an_owner_alone() {
    let store = store(64, 64);
    let max = owner("max");
    let owned = create(&store, record(100, Some(&max))).await;
    let became_owned = create(&store, record(100, None)).await;
    let applied = apply(&store, became_owned, sign_in(&max)).await;
    assert!(matches!(applied, ApplyOutcome::Applied(_)));
    for _ in 0..2_000 {
        create(&store, record(100, None)).await;
    }
    store.run_pending_tasks();
    assert!(lives(&store, owned).await);
    assert!(lives(&store, became_owned).await);
    let applied = apply(&store, owned, grow(2_000)).await;
    assert!(matches!(applied, ApplyOutcome::Applied(_)));
    store.run_pending_tasks();
    assert!(store.record_count() < 256, "{store:?}");
    assert_eq!(store.list(&max, NOW).await.unwrap().len(), 2);
    assert_eq!(store.evictions().owned, 0);
}

#[tokio::test]
async fn a_full_share_drops_the_session_that_was_not_used_for_longest() {
    let store = store(64, 64);
    let used = create(&store, record(100, None)).await;
    let unused = create(&store, record(100, None)).await;
    for _ in 0..1_000 {
        create(&store, record(100, None)).await;
        assert!(lives(&store, used).await);
    }
    store.run_pending_tasks();
    assert!(!lives(&store, unused).await);
    let touched = apply(&store, unused, Delta::new(u64::MAX)).await;
    assert_eq!(touched, ApplyOutcome::Missing);
}

#[tokio::test]
async fn sessions_that_grow_count_with_what_they_grew_to() {
    let store = store(256, 64);
    let mut ids = Vec::new();
    for _ in 0..100 {
        ids.push(create(&store, record(1, None)).await);
    }
    store.run_pending_tasks();
    assert_eq!(store.record_count(), 100);
    for id in &ids {
        apply(&store, *id, grow(16 * 1_024)).await;
    }
    store.run_pending_tasks();
    assert!(store.record_count() <= 16, "{store:?}");
}

/// Waits until whatever isn't held counts as evicted: moka frees it once the threads of the other
/// tests are elsewhere.
async fn counted(store: &MokaStore, created: u64) {
    eventually("each session is held or counted", || async {
        let evicted = store.evictions();
        evicted.anonymous + evicted.owned + store.record_count() == created
    })
    .await;
}

#[tokio::test]
async fn evictions_are_told_apart_and_each_is_counted_once() {
    let store = store(64, 64);
    for _ in 0..1_000 {
        create(&store, record(100, None)).await;
    }
    counted(&store, 1_000).await;
    assert_eq!(store.evictions().owned, 0);
    for number in 0..1_000 {
        let owner = owner(&format!("user {number}"));
        create(&store, record(100, Some(&owner))).await;
    }
    counted(&store, 2_000).await;
    let evicted = store.evictions();
    assert!(evicted.owned > 800, "{evicted:?}");
}

#[tokio::test]
async fn what_was_dead_already_is_not_counted_as_evicted() {
    let store = store(64, 64);
    for _ in 0..1_000 {
        let mut dead = record(100, None);
        dead.idle_deadline = NOW.saturating_sub(Duration::from_secs(1));
        create(&store, dead).await;
    }
    store.run_pending_tasks();
    assert!(store.record_count() < 200, "{store:?}");
    assert_eq!(store.evictions().anonymous, 0);
}

#[tokio::test]
async fn what_a_user_ends_is_not_counted_as_evicted() {
    let store = store(64, 64);
    let max = owner("max");
    for _ in 0..20 {
        let id = create(&store, record(10, None)).await;
        apply(&store, id, sign_in(&max)).await;
        apply(&store, id, grow(10)).await;
    }
    assert_eq!(store.remove_owned(&max, None, NOW).await.unwrap(), 20);
    store.run_pending_tasks();
    assert_eq!(store.record_count(), 0);
    let evicted = store.evictions();
    assert_eq!((evicted.anonymous, evicted.owned), (0, 0));
}

/// More users than there is room for: their indexes have to make room too.
#[tokio::test]
async fn whatever_is_alive_in_a_full_share_is_in_its_users_list() {
    let store = store(64, 64);
    let mut all = Vec::new();
    for number in 0..500 {
        let owner = owner(&format!("user {}", number % 100));
        let id = create(&store, record(number % 300, Some(&owner))).await;
        all.push((id, owner));
        // Some are used again and again, and keep their users' indexes.
        for (used, _) in all.iter().step_by(90) {
            store.load(*used, NOW).await.unwrap();
        }
    }
    store.run_pending_tasks();
    let mut alive = 0;
    for (id, owner) in &all {
        let listed = store.list(owner, NOW).await.unwrap();
        let listed = listed.iter().any(|session| session.id == *id);
        assert_eq!(lives(&store, *id).await, listed);
        alive += u64::from(listed);
    }
    assert!(alive > 20, "{alive} of {store:?}");
    for (_, owner) in &all {
        store.remove_owned(owner, None, NOW).await.unwrap();
    }
    for (id, _) in &all {
        assert!(!lives(&store, *id).await);
    }
}

#[tokio::test]
async fn a_store_says_what_it_can_hold_and_holds_it() {
    let store = store(1_024, 192);
    let largest = store.largest_session().unwrap();
    assert!((25_000..28_000).contains(&largest), "{largest}");
    // The worst that a session of this size can be: keys of a few bytes, and no values.
    let mut worst = record(0, Some(&owner(&"x".repeat(256))));
    let names: Vec<String> = (0..largest / 4)
        .map(|number| format!("{number:04x}"))
        .collect();
    worst.values = names.iter().map(|name| (name, "")).collect();
    assert!(worst.values.size() > largest - 4);
    let id = create(&store, worst).await;
    store.run_pending_tasks();
    assert!(lives(&store, id).await);
}

#[tokio::test]
async fn a_session_that_gets_an_owner_is_held_once() {
    let store = MokaStore::new();
    let id = create(&store, record(100, None)).await;
    apply(&store, id, sign_in(&owner("max"))).await;
    assert_eq!(store.record_count(), 1);
    let clone = store.clone();
    let at = Instants::at(NOW);
    clone.remove(id, None, at).await.unwrap();
    assert_eq!(store.record_count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_increment_is_lost() {
    let store = MokaStore::new();
    let id = create(&store, record(1, None)).await;
    let mut tasks = JoinSet::new();
    for _ in 0..64 {
        let store = store.clone();
        tasks.spawn(async move {
            for _ in 0..100 {
                let mut delta = Delta::new(u64::MAX);
                delta.operation = Some(("n".parse().unwrap(), Operation::Increment(1)));
                let applied = apply(&store, id, delta).await;
                assert!(matches!(applied, ApplyOutcome::Applied(_)));
            }
        });
    }
    tasks.join_all().await;
    let record = store.load(id, NOW).await.unwrap().unwrap();
    assert_eq!(record.values.get("n"), Some(&b"6400"[..]));
}

#[tokio::test]
async fn debug_shows_how_many_records_there_are() {
    let store = MokaStore::new();
    create(&store, record(10, None)).await;
    let text = format!("{store:?}");
    assert_eq!(text, "MokaStore { records: 1, .. }");
}
