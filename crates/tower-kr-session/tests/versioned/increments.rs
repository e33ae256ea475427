//! 64 tasks that add to one number: none of the steps is lost, on one handle or on two.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::task::JoinSet;
use tower_kr_session::{
    SessionId, SessionStore, Timestamp,
    store::{
        ApplyOutcome, Delta, IdleLimit, Instants, Operation, Record, SecretHash, Versioned,
        VersionedStore,
    },
};

use crate::{faults::Connection, map_store::MapStore};

const SECRET: SecretHash = SecretHash::from_bytes([1; 32]);
const TASKS: usize = 64;
const EACH: usize = 100;

/// Adds one, to what the request has seen if it has.
fn increment(seen: Option<Record>) -> Delta {
    let mut delta = Delta::new(u64::MAX);
    delta.operation = Some(("n".parse().unwrap(), Operation::Increment(1)));
    delta.seen = seen.map(Arc::new);
    delta
}

async fn create<S: VersionedStore>(handle: &Versioned<S>, now: Timestamp) -> SessionId {
    let id = SessionId::generate(now);
    let hour = Duration::from_secs(3_600);
    let record = Record::new(SECRET, now, IdleLimit::new(hour), hour);
    handle.create(id, record, now).await.unwrap();
    id
}

async fn count<S: VersionedStore>(handles: &[Arc<Versioned<S>>]) {
    let now: Timestamp = SystemTime::now().into();
    let id = create(&handles[0], now).await;
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let handle = Arc::clone(&handles[task % handles.len()]);
        tasks.spawn(async move {
            for _ in 0..EACH {
                let delta = increment(None);
                let applied = handle.apply(id, &SECRET, &delta, Instants::at(now)).await;
                assert!(
                    matches!(applied, Ok(ApplyOutcome::Applied(_))),
                    "{applied:?}"
                );
            }
        });
    }
    tasks.join_all().await;
    let record = handles[0].load(id, now).await.unwrap().unwrap();
    let total = (TASKS * EACH).to_string();
    assert_eq!(record.values.get("n"), Some(total.as_bytes()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn on_one_handle_none_is_lost_or_tried_twice() {
    let store = Arc::new(MapStore::default());
    let connection = Connection::new(&store, None);
    count(&[Arc::new(Versioned::new(Arc::clone(&connection)))]).await;
    // The start and the last look, and a read and a write for each step: nobody wrote past anybody.
    assert_eq!(connection.calls(), 2 + 2 * TASKS * EACH);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn on_two_handles_none_is_lost() {
    let store = Arc::new(MapStore::default());
    let handle = || Arc::new(Versioned::new(Connection::new(&store, None)));
    count(&[handle(), handle()]).await;
}

#[tokio::test]
async fn a_step_on_what_was_read_is_one_call_unless_that_is_out_of_date() {
    let connection = Connection::new(&Arc::default(), None);
    let handle = Versioned::new(Arc::clone(&connection));
    let now: Timestamp = SystemTime::now().into();
    let id = create(&handle, now).await;
    let delta = increment(handle.load(id, now).await.unwrap());
    let apply = async |secret: SecretHash| {
        let before = connection.calls();
        let applied = handle.apply(id, &secret, &delta, Instants::at(now)).await;
        (applied.unwrap(), connection.calls() - before)
    };
    let (applied, calls) = apply(SECRET).await;
    assert!(matches!(applied, ApplyOutcome::Applied(_)), "{applied:?}");
    assert_eq!(calls, 1);
    // Written over since: a write in vain, then a read and a write.
    let (applied, calls) = apply(SECRET).await;
    assert!(matches!(applied, ApplyOutcome::Applied(_)), "{applied:?}");
    assert_eq!(calls, 3);
    let record = handle.load(id, now).await.unwrap().unwrap();
    assert_eq!(record.values.get("n"), Some(&b"2"[..]));
    // What was read says no: what is there now decides.
    let (applied, calls) = apply(SecretHash::from_bytes([2; 32])).await;
    assert!(matches!(applied, ApplyOutcome::Missing), "{applied:?}");
    assert_eq!(calls, 1);
}
