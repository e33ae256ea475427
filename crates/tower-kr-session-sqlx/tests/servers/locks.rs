//! Locks that others hold, and calls that are given up while they wait for one.

use std::time::{Duration, Instant};

use test_support::Check;
use tokio::task::JoinSet;
use tower_kr_session::{
    Owner, SessionId, SessionStore,
    store::{ApplyOutcome, Instants, RemoveOutcome, SignIn},
};

use super::{
    IO_TIMEOUT, TestServer, fails_in_time, impatient, no_transaction_is_left, serves_again, timed,
};
use crate::support::{self, Holder, now, set};

pub(crate) fn checks<S: TestServer>() -> Vec<Check> {
    macro_rules! list {
        ($($test:ident),* $(,)?) => { vec![$(Check::future(stringify!($test), $test::<S>)),*] };
    }
    list![
        a_hot_session_leaves_connections_to_others,
        a_wrong_secret_costs_nobody_a_place_in_a_queue,
        a_row_locked_by_somebody_else_is_given_up_in_time,
        what_others_hold_holds_up_no_revocation,
        calls_cut_off_while_waiting_leave_nothing_open,
        revocations_and_sign_ins_never_deadlock,
    ]
}

async fn a_hot_session_leaves_connections_to_others<S: TestServer>() {
    let store = impatient::<S>(S::shared(), "hot", 3).await;
    let (hot, other) = (Holder::new(&store).await, Holder::new(&store).await);
    // Somebody else holds the hot session's row.
    let id = S::literal(hot.id);
    let sql = format!("SELECT 1 FROM hot WHERE id = {id} FOR UPDATE");
    let lock = S::hold(S::shared(), sql).await;
    let mut tasks = JoinSet::new();
    for _ in 0..50 {
        let store = store.clone();
        tasks.spawn(async move {
            let _ = timed(hot.increment(&store)).await;
        });
    }
    // The others are served as if nothing were.
    for _ in 0..20 {
        let started = Instant::now();
        other.increment(&store).await.unwrap();
        assert!(
            started.elapsed() < Duration::from_millis(450),
            "{:?}",
            started.elapsed()
        );
    }
    drop(lock);
    tasks.join_all().await;
    serves_again(&store, hot).await;
}

/// The id of a session is public, and a client may send any other.
async fn a_wrong_secret_costs_nobody_a_place_in_a_queue<S: TestServer>() {
    let store = impatient::<S>(S::shared(), "stranger", 3).await;
    let locked = Holder::new(&store).await;
    // Whatever of an id may decide where a call queues, the two have it in common.
    let mut id = *locked.id.as_bytes();
    id[6] ^= 1;
    let holder = Holder::at(&store, SessionId::from_bytes(id), |_| {}).await;
    let id = S::literal(locked.id);
    let sql = format!("SELECT 1 FROM stranger WHERE id = {id} FOR UPDATE");
    let lock = S::hold(S::shared(), sql).await;
    let mut tasks = JoinSet::new();
    for number in 0..50 {
        let store = store.clone();
        tasks.spawn(async move {
            let started = Instant::now();
            if number % 3 == 0 {
                let at = Instants::at(now());
                let removed = store.remove(locked.id, Some(&support::secret()), at).await;
                assert_eq!(removed.unwrap(), RemoveOutcome::Missing);
            } else {
                let mut change = set("a", b"1");
                if number % 3 == 1 {
                    let owner = Owner::new("stranger").unwrap();
                    change.sign_in = Some(SignIn::new(owner, now()));
                }
                let applied = locked.stranger().apply(&store, change).await;
                assert_eq!(applied.unwrap(), ApplyOutcome::Missing);
            }
            assert!(
                started.elapsed() < Duration::from_millis(450),
                "a stranger waits for the row"
            );
        });
    }
    for _ in 0..5 {
        let started = Instant::now();
        holder.increment(&store).await.unwrap();
        assert!(
            started.elapsed() < Duration::from_millis(450),
            "{:?}",
            started.elapsed()
        );
    }
    tasks.join_all().await;
    drop(lock);
    serves_again(&store, locked).await;
}

async fn a_row_locked_by_somebody_else_is_given_up_in_time<S: TestServer>() {
    let store = impatient::<S>(S::shared(), "locked", 1).await;
    let owner = Owner::new("max").unwrap();
    let holder = Holder::with(&store, |record| record.owner = Some(owner.clone())).await;
    let sql = "SELECT 1 FROM locked FOR UPDATE".to_owned();
    let lock = S::hold(S::shared(), sql).await;
    let started = Instant::now();
    let refused = timed(holder.increment(&store)).await;
    assert!(started.elapsed() >= Duration::from_millis(500));
    assert!(started.elapsed() < IO_TIMEOUT);
    let text = refused.unwrap_err().to_string();
    assert!(S::NO_LOCK.iter().all(|part| text.contains(part)), "{text}");
    fails_in_time(store.remove_owned(&owner, None, now())).await;
    // Reading waits for nobody, and nobody was removed.
    holder.record(&store).await;
    let before = S::connection_of(&store).await;
    fails_in_time(holder.increment(&store)).await;
    let after = S::connection_of(&store).await;
    assert_eq!(before, after, "a refused lock costs no connection");
    drop(lock);
    assert_eq!(holder.increment(&store).await.unwrap(), 1);
}

/// The table is so small that reading all of it would be quicker than using an index.
async fn what_others_hold_holds_up_no_revocation<S: TestServer>() {
    let store = impatient::<S>(S::shared(), "others", 2).await;
    let [max, moritz] = ["max", "moritz"].map(|owner| Owner::new(owner).unwrap());
    let of = async |owner: &Owner| {
        Holder::with(&store, |record| record.owner = Some(owner.clone())).await
    };
    let held = of(&moritz).await;
    let id = S::literal(held.id);
    let sql = format!("SELECT 1 FROM others WHERE id = {id} FOR UPDATE");
    let lock = S::hold(S::shared(), sql).await;
    for _ in 0..3 {
        let (kept, ended) = (of(&max).await, of(&max).await);
        let mut sign_in = set("a", b"1");
        sign_in.sign_in = Some(SignIn::new(max.clone(), now()));
        let started = Instant::now();
        kept.apply(&store, sign_in).await.unwrap();
        let removed = store.remove_owned(&max, Some(kept.id), now()).await;
        assert!(removed.unwrap() >= 1);
        assert_eq!(store.load(ended.id, now()).await.unwrap(), None);
        let at = Instants::at(now());
        let removed = store.remove(kept.id, None, at).await;
        assert_eq!(removed.unwrap(), RemoveOutcome::Removed);
        store.reclaim(now(), 10).await.unwrap();
        assert!(
            started.elapsed() < Duration::from_millis(450),
            "{:?}",
            started.elapsed()
        );
    }
    drop(lock);
    held.record(&store).await;
}

async fn calls_cut_off_while_waiting_leave_nothing_open<S: TestServer>() {
    let server = S::start();
    let store = impatient::<S>(&server.url(), "sessions", 6).await;
    let holder = Holder::new(&store).await;
    let mut tasks = JoinSet::new();
    for number in 0..300_u64 {
        let store = store.clone();
        tasks.spawn(async move {
            let patience = Duration::from_micros(number * 37 % 5_000);
            tokio::time::timeout(patience, holder.increment(&store))
                .await
                .is_ok()
        });
    }
    let done = tasks
        .join_all()
        .await
        .into_iter()
        .filter(|done| *done)
        .count() as i64;
    no_transaction_is_left::<S>(&server.url()).await;
    let count = holder.count(&store).await;
    assert!(
        (done..=300).contains(&count),
        "{done} were acknowledged, {count} are there"
    );
    serves_again(&store, holder).await;
}

async fn revocations_and_sign_ins_never_deadlock<S: TestServer>() {
    let server = S::start_quick();
    let store = impatient::<S>(&server.url(), "sessions", 8).await;
    let second = impatient::<S>(&server.url(), "sessions", 8).await;
    let owners = [Owner::new("max").unwrap(), Owner::new("moritz").unwrap()];
    let mut tasks = JoinSet::new();
    for number in 0..16 {
        let store = if number % 2 == 0 {
            store.clone()
        } else {
            second.clone()
        };
        let owner = owners[number / 2 % 2].clone();
        tasks.spawn(async move {
            for _ in 0..15 {
                let holder = Holder::new(&store).await;
                let mut sign_in = set("a", b"1");
                sign_in.sign_in = Some(SignIn::new(owner.clone(), now()));
                holder.apply(&store, sign_in).await.unwrap();
                match number % 4 {
                    0 => drop(
                        store
                            .remove_owned(&owner, Some(holder.id), now())
                            .await
                            .unwrap(),
                    ),
                    1 => drop(store.reclaim(now(), 10).await.unwrap()),
                    _ => drop(holder.apply(&store, set("b", b"2")).await.unwrap()),
                }
            }
        });
    }
    tasks.join_all().await;
    assert_eq!(S::number(&server.url(), S::DEADLOCKS).await, 0);
}
