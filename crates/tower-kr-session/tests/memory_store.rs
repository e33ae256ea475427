//! What is the memory store's own: its capacity, its two shares, and what it forgets.

// Helpers of tests may panic as tests do; the lint's own exception covers test functions only.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tower_kr_session::{
    MemoryStore, Owner, SessionId, SessionStore, Timestamp,
    key::KeyBuf,
    store::{
        ApplyOutcome, CreateOutcome, Delta, IdleLimit, Instants, RECLAIM_GRACE, Record, SecretHash,
        SignIn,
    },
};

const KILOBYTE: u64 = 1_024;
const SECRET: SecretHash = SecretHash::from_bytes([7; 32]);

fn now() -> Timestamp {
    SystemTime::now().into()
}

fn record(bytes: usize, owner: Option<&Owner>) -> Record {
    let idle = IdleLimit::new(Duration::from_secs(600));
    let mut record = Record::new(SECRET, now(), idle, Duration::from_secs(3_600));
    record.values = [("v", vec![b'x'; bytes])].into_iter().collect();
    record.owner = owner.cloned();
    record.authenticated_at = owner.map(|_| record.created_at);
    record
}

async fn create(store: &MemoryStore, record: Record) -> SessionId {
    let id = SessionId::generate(now());
    let created = store.create(id, record, now()).await.unwrap();
    assert_eq!(created, CreateOutcome::Created);
    id
}

async fn lives(store: &MemoryStore, id: SessionId) -> bool {
    store.load(id, now()).await.unwrap().is_some()
}

async fn apply(store: &MemoryStore, id: SessionId, delta: Delta) -> ApplyOutcome {
    let at = Instants::at(now());
    store.apply(id, &SECRET, &delta, at).await.unwrap()
}

fn owner(id: &str) -> Owner {
    Owner::new(id).unwrap()
}

#[tokio::test]
async fn a_flood_of_anonymous_sessions_leaves_those_with_an_owner_alone() {
    let store = MemoryStore::builder()
        .anonymous_bytes(64 * KILOBYTE)
        .owned_bytes(64 * KILOBYTE)
        .build();
    let max = owner("max");
    let owned = create(&store, record(100, Some(&max))).await;
    let became_owned = create(&store, record(100, None)).await;
    let mut delta = Delta::new(u64::MAX);
    delta.sign_in = Some(SignIn::new(max.clone(), now()));
    assert!(matches!(
        apply(&store, became_owned, delta).await,
        ApplyOutcome::Applied(_)
    ));
    for _ in 0..2_000 {
        create(&store, record(100, None)).await;
    }
    store.run_pending_tasks(now());
    assert!(lives(&store, owned).await);
    assert!(lives(&store, became_owned).await);
    // Growing by a weight class, a session is put anew into its share, and stays in the list.
    let mut delta = Delta::new(u64::MAX);
    delta.change(
        KeyBuf::new("grown").unwrap(),
        Some(Bytes::from(vec![b'y'; 2_000])),
    );
    assert!(matches!(
        apply(&store, owned, delta).await,
        ApplyOutcome::Applied(_)
    ));
    store.run_pending_tasks(now());
    assert!(store.record_count() < 256, "{store:?}");
    assert_eq!(store.list(&max, now()).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_full_share_drops_the_session_that_was_not_used_for_longest() {
    let store = MemoryStore::builder()
        .anonymous_bytes(64 * KILOBYTE)
        .build();
    let used = create(&store, record(100, None)).await;
    let unused = create(&store, record(100, None)).await;
    for _ in 0..1_000 {
        create(&store, record(100, None)).await;
        assert!(lives(&store, used).await);
    }
    assert!(!lives(&store, unused).await);
    assert_eq!(
        apply(&store, unused, Delta::new(u64::MAX)).await,
        ApplyOutcome::Missing
    );
}

#[tokio::test]
async fn sessions_that_grow_count_with_what_they_grew_to() {
    let store = MemoryStore::builder()
        .anonymous_bytes(256 * KILOBYTE)
        .build();
    let mut ids = Vec::new();
    for _ in 0..100 {
        ids.push(create(&store, record(1, None)).await);
    }
    store.run_pending_tasks(now());
    assert_eq!(store.record_count(), 100);
    for id in &ids {
        let mut delta = Delta::new(u64::MAX);
        let value = Bytes::from(vec![b'y'; 16 * 1_024]);
        delta.change(KeyBuf::new("grown").unwrap(), Some(value));
        apply(&store, *id, delta).await;
    }
    store.run_pending_tasks(now());
    assert!(store.record_count() <= 16, "{store:?}");
}

#[tokio::test]
async fn an_evicted_session_leaves_the_list_of_its_user() {
    let store = MemoryStore::builder().owned_bytes(64 * KILOBYTE).build();
    let (first, flood) = (owner("first"), owner("flood"));
    let evicted = create(&store, record(100, Some(&first))).await;
    for _ in 0..1_000 {
        create(&store, record(100, Some(&flood))).await;
    }
    store.run_pending_tasks(now());
    assert!(!lives(&store, evicted).await);
    assert_eq!(store.list(&first, now()).await.unwrap(), []);
    let listed = store.list(&flood, now()).await.unwrap().len() as u64;
    assert_eq!(listed, store.record_count());
    assert_eq!(
        store.remove_owned(&flood, None, now()).await.unwrap(),
        listed
    );
    store.run_pending_tasks(now());
    assert_eq!(store.record_count(), 0);
}

#[tokio::test]
async fn a_dead_record_is_forgotten_after_the_grace_and_a_living_one_is_not() {
    let store = MemoryStore::new();
    let dead = create(&store, record(1, None)).await;
    let used = create(&store, record(1, None)).await;
    let deadline = record(1, None).idle_deadline;
    let touched = Instants::at(deadline.saturating_sub(Duration::from_secs(60)));
    let touch = store.apply(used, &SECRET, &Delta::new(0), touched).await;
    assert!(matches!(touch, Ok(ApplyOutcome::Applied(_))));
    store.run_pending_tasks(deadline.saturating_add(Duration::from_secs(1)));
    assert_eq!(store.record_count(), 2, "a slow request may still commit");
    // The calendar knows minutes.
    let reclaim = deadline.saturating_add(RECLAIM_GRACE + Duration::from_secs(120));
    store.run_pending_tasks(reclaim);
    assert_eq!(store.record_count(), 1);
    assert!(!lives(&store, dead).await);
    store.run_pending_tasks(reclaim.saturating_add(Duration::from_secs(3_600)));
    assert_eq!(store.record_count(), 0, "it was looked at again");
}

#[tokio::test]
async fn the_start_of_new_sessions_forgets_dead_ones() {
    let store = MemoryStore::new();
    for _ in 0..10_000 {
        create(&store, record(1, None)).await;
    }
    let later = now().saturating_add(Duration::from_secs(3_600));
    for _ in 0..5_000 {
        let id = SessionId::generate(later);
        let record = Record::new(SECRET, later, record(1, None).idle, Duration::from_secs(60));
        store.create(id, record, later).await.unwrap();
    }
    let dead = store.record_count() - 5_000;
    assert!(dead < 100, "{dead} of 10,000 are left");
    store.run_pending_tasks(later);
    assert_eq!(store.record_count(), 5_000);
}

#[tokio::test]
async fn a_store_says_what_it_can_hold_and_holds_it() {
    let store = MemoryStore::builder()
        .anonymous_bytes(1024 * KILOBYTE)
        .build();
    let largest = store.largest_session().unwrap();
    // The worst that a session of this size can be: keys of a few bytes, and no values.
    let mut worst = record(0, None);
    let names: Vec<String> = (0..largest / 4)
        .map(|number| format!("{number:04x}"))
        .collect();
    worst.values = names.iter().map(|name| (name, "")).collect();
    assert!(worst.values.size() <= largest + 4 * 0x10000);
    let id = create(&store, worst).await;
    store.run_pending_tasks(now());
    assert!(lives(&store, id).await);
}

#[tokio::test]
async fn a_session_that_gets_an_owner_is_held_once() {
    let store = MemoryStore::new();
    let id = create(&store, record(100, None)).await;
    let mut delta = Delta::new(u64::MAX);
    delta.sign_in = Some(SignIn::new(owner("max"), now()));
    apply(&store, id, delta).await;
    store.run_pending_tasks(now());
    assert_eq!(store.record_count(), 1);
}

#[tokio::test]
async fn an_administrator_removes_an_expired_record_too() {
    let store = MemoryStore::new();
    let id = create(&store, record(1, None)).await;
    let late = Instants::at(record(1, None).idle_deadline);
    store.remove(id, None, late).await.unwrap();
    store.run_pending_tasks(now());
    assert_eq!(store.record_count(), 0);
}

#[tokio::test]
async fn debug_shows_how_many_records_there_are() {
    let store = MemoryStore::new();
    create(&store, record(10, None)).await;
    let text = format!("{store:?}");
    assert_eq!(text, "MemoryStore { records: 1, .. }");
}
