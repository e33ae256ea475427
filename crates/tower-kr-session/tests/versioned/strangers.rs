//! Whoever knows a session's public id, and not its secret, makes nobody wait.

use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::{select, task::JoinSet};
use tower_kr_session::{
    SessionId, SessionStore, Timestamp,
    store::{
        ApplyOutcome, Delta, IdleLimit, Instants, Record, RemoveOutcome, SecretHash, Versioned,
    },
};

use crate::{
    faults::{Connection, Fate},
    map_store::MapStore,
};

const SECRET: SecretHash = SecretHash::from_bytes([1; 32]);
const WRONG: SecretHash = SecretHash::from_bytes([2; 32]);

#[tokio::test]
async fn a_wrong_secret_costs_nobody_a_place_in_a_line() {
    let now: Timestamp = SystemTime::now().into();
    let at = Instants::at(now);
    let map = Arc::<MapStore>::default();
    let hour = Duration::from_secs(3_600);
    let id = SessionId::generate(now);
    let record = Record::new(SECRET, now, IdleLimit::new(hour), hour);
    let creator = Versioned::new(Arc::clone(&map));
    creator.create(id, record, now).await.unwrap();

    // The second call, the holder's write, never answers.
    let connection = Connection::new(&map, Some((1, Fate::HangBefore)));
    let store = Arc::new(Versioned::new(Arc::clone(&connection)));
    let delta = Delta::new(u64::MAX);
    let mut holder = pin!(store.apply(id, &SECRET, &delta, at));
    while !connection.hangs() {
        select! {
            biased;
            ended = &mut holder => panic!("{ended:?}"),
            () = tokio::task::yield_now() => {}
        }
    }

    let mut strangers = JoinSet::new();
    for number in 0..50 {
        let store = Arc::clone(&store);
        strangers.spawn(async move {
            if number % 2 == 0 {
                let removed = store.remove(id, Some(&WRONG), at).await;
                assert_eq!(removed.unwrap(), RemoveOutcome::Missing);
            } else {
                let applied = store.apply(id, &WRONG, &Delta::new(u64::MAX), at).await;
                assert_eq!(applied.unwrap(), ApplyOutcome::Missing);
            }
        });
    }
    // All of them are answered though the holder has the turn, and an administrator waits for
    // nobody.
    strangers.join_all().await;
    let removed = store.remove(id, None, at).await;
    assert_eq!(removed.unwrap(), RemoveOutcome::Removed);
}
