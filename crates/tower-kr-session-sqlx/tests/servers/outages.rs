//! Servers that stop, freeze, lose their connections or turn out to be standbys.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use sqlx::Connection;
use test_support::{Check, PASSWORD, Scratch, USER};
use tokio::task::JoinSet;
use tower_kr_session::{SessionId, SessionStore, StoreError};
use tower_kr_session_sqlx::{Cleanup, Schema, SetupError};

use super::{
    ServerConnection, Store, TestServer, fails_in_time, impatient, no_transaction_is_left,
    proxy::Proxy, serves_again, timed,
};
use crate::support::{self, Holder, browser::Browser, now, until};

pub(crate) fn checks<S: TestServer>() -> Vec<Check> {
    macro_rules! list {
        ($($test:ident),* $(,)?) => { vec![$(Check::future(stringify!($test), $test::<S>)),*] };
    }
    list![
        what_a_killed_server_acknowledged_is_there,
        a_frozen_server_is_cut_off_and_serves_again,
        a_stopped_server_is_unavailable_and_serves_again,
        the_cleanup_survives_a_stopped_server,
        an_exhausted_pool_answers_in_time,
        a_server_that_is_known_to_be_frozen_costs_nobody_time,
        a_server_that_refuses_is_named_with_the_cause,
        a_server_without_room_is_named_with_the_cause,
        a_pool_without_room_is_named_with_the_cause,
        connections_that_went_silent_cost_one_ping,
        an_idle_pool_finds_silent_connections_before_a_call_does,
        a_standby_serves_nobody,
        a_password_can_change_while_the_store_runs,
        a_start_in_the_background_waits_for_the_server,
        a_start_in_the_background_says_what_waiting_does_not_mend,
    ]
}

async fn what_a_killed_server_acknowledged_is_there<S: TestServer>() {
    let mut server = S::start();
    let store = impatient::<S>(&server.url(), "sessions", 8).await;
    let mut holders = Vec::new();
    for _ in 0..4 {
        holders.push((Holder::new(&store).await, Arc::new(AtomicI64::new(0))));
    }
    for round in 1..=2 {
        let over = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        for (holder, acknowledged) in &holders {
            for _ in 0..2 {
                let (store, holder) = (store.clone(), *holder);
                let (over, acknowledged) = (Arc::clone(&over), Arc::clone(acknowledged));
                tasks.spawn(async move {
                    while !over.load(Ordering::SeqCst) {
                        if let Ok(count) = timed(holder.increment(&store)).await {
                            acknowledged.fetch_max(count, Ordering::SeqCst);
                        }
                    }
                });
            }
        }
        let counted = || {
            holders
                .iter()
                .all(|(_, count)| count.load(Ordering::SeqCst) > round * 30)
        };
        until("enough is counted", || async { counted() }).await;
        server.kill();
        over.store(true, Ordering::SeqCst);
        tasks.join_all().await;
        server.restart();
        for (holder, acknowledged) in &holders {
            let acknowledged = acknowledged.load(Ordering::SeqCst);
            until("the server serves", || async {
                timed(store.load(holder.id, now())).await.is_ok()
            })
            .await;
            let count = holder.count(&store).await;
            assert!(
                (acknowledged..=acknowledged + 2).contains(&count),
                "{acknowledged} were acknowledged, {count} are there"
            );
        }
        serves_again(&store, holders[0].0).await;
    }
}

async fn a_frozen_server_is_cut_off_and_serves_again<S: TestServer>() {
    let server = S::start();
    let store = impatient::<S>(&server.url(), "sessions", 4).await;
    let holder = Holder::new(&store).await;
    holder.increment(&store).await.unwrap();
    let mut browser = Browser::new(store.clone());
    browser.counts(1).await;
    server.freeze();
    browser.is_asked_to_come_again().await;
    let mut tasks = JoinSet::new();
    for number in 0..8 {
        let store = store.clone();
        tasks.spawn(async move {
            if number % 2 == 0 {
                fails_in_time(holder.increment(&store)).await;
            } else {
                fails_in_time(store.load(holder.id, now())).await;
            }
        });
    }
    tasks.join_all().await;
    server.thaw();
    // The increment that was cut off may have been done: nothing is sent twice, nothing is undone.
    assert!((2..=3).contains(&browser.comes_again().await));
    serves_again(&store, holder).await;
    // Those that were cut off may have been done, or not: never twice.
    let count = holder.count(&store).await;
    assert!((2..=2 + 4 + 100).contains(&count), "{count}");
    no_transaction_is_left::<S>(&server.url()).await;
}

async fn a_stopped_server_is_unavailable_and_serves_again<S: TestServer>() {
    let mut server = S::start();
    let store = impatient::<S>(&server.url(), "sessions", 4).await;
    let holder = Holder::new(&store).await;
    let mut browser = Browser::new(store.clone());
    browser.counts(1).await;
    server.stop();
    fails_in_time(holder.increment(&store)).await;
    fails_in_time(store.load(holder.id, now())).await;
    browser.is_asked_to_come_again().await;
    server.restart();
    assert_eq!(browser.comes_again().await, 2);
    serves_again(&store, holder).await;
}

async fn the_cleanup_survives_a_stopped_server<S: TestServer>() {
    let mut server = S::start();
    let store = impatient::<S>(&server.url(), "sessions", 4).await;
    let handle = store.spawn_cleanup(Cleanup::new().interval(Duration::from_millis(20)));
    server.stop();
    fails_in_time(store.reclaim(now(), 10)).await;
    server.restart();
    let long_ago = now().saturating_sub(Duration::from_secs(86_400));
    until("an expired row is there", || async {
        let record = tower_kr_session::store::Record::new(
            support::secret(),
            long_ago,
            support::IDLE,
            support::ABSOLUTE,
        );
        let id = tower_kr_session::SessionId::generate(long_ago);
        timed(store.create(id, record, long_ago)).await.is_ok()
    })
    .await;
    until("the expired row is gone", || async {
        S::number(&server.url(), "SELECT count(*) FROM sessions").await == 0
    })
    .await;
    handle.shutdown().await;
}

async fn an_exhausted_pool_answers_in_time<S: TestServer>() {
    let store = impatient::<S>(S::shared(), "exhausted", 2).await;
    let holder = Holder::new(&store).await;
    let mut browser = Browser::new(store.clone());
    browser.counts(1).await;
    let taken = [
        store.pool().acquire().await.unwrap(),
        store.pool().acquire().await.unwrap(),
    ];
    fails_in_time(store.load(holder.id, now())).await;
    fails_in_time(holder.increment(&store)).await;
    browser.is_asked_to_come_again().await;
    drop(taken);
    assert_eq!(browser.comes_again().await, 2);
    serves_again(&store, holder).await;
}

/// How long an answer takes, and that it is an error.
async fn failure<T>(call: impl Future<Output = Result<T, StoreError>>) -> (Duration, String) {
    let started = Instant::now();
    let error = call.await.err().expect("a failure").to_string();
    (started.elapsed(), error)
}

/// A store as applications have it: with timeouts of seconds.
async fn patient<S: TestServer>(url: &str) -> Store<S> {
    let store = Store::<S>::builder().table("sessions").connect(url);
    let store = store.await.unwrap();
    store.migrate().await.unwrap();
    store
}

async fn a_server_that_is_known_to_be_frozen_costs_nobody_time<S: TestServer>() {
    let server = S::start();
    let store = patient::<S>(&server.url()).await;
    let holder = Holder::new(&store).await;
    server.freeze();
    let (took, error) = failure(holder.increment(&store)).await;
    assert!(took < Duration::from_secs(4), "{took:?} until it is known");
    let place = format!("127.0.0.1:{}", server.port());
    assert!(error.contains(&place), "{error}");
    for _ in 0..50 {
        for (took, error) in [
            failure(store.load(holder.id, now())).await,
            failure(holder.increment(&store)).await,
        ] {
            assert!(took < Duration::from_millis(50), "{took:?}");
            assert!(error.contains("hasn't answered"), "{error}");
        }
    }
    server.thaw();
    let thawed = Instant::now();
    serves_again(&store, holder).await;
    // An attempt that began before the thaw may have to end first.
    assert!(
        thawed.elapsed() < Duration::from_secs(4),
        "{:?}",
        thawed.elapsed()
    );
}

async fn a_server_that_refuses_is_named_with_the_cause<S: TestServer>() {
    let mut server = S::start();
    let place = format!("127.0.0.1:{}", server.port());
    let store = patient::<S>(&server.url()).await;
    let holder = Holder::new(&store).await;
    server.stop();
    until("the store knows", || async {
        let (took, error) = failure(holder.increment(&store)).await;
        took < Duration::from_millis(50) && error.contains("refused") && error.contains(&place)
    })
    .await;
    let connecting = Store::<S>::builder().acquire_timeout(Duration::from_millis(300));
    let error = connecting
        .connect(&server.url())
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("refused") && error.contains(&place),
        "{error}"
    );
    server.restart();
    let restarted = Instant::now();
    serves_again(&store, holder).await;
    assert!(
        restarted.elapsed() < Duration::from_secs(2),
        "{:?}",
        restarted.elapsed()
    );
}

async fn a_server_without_room_is_named_with_the_cause<S: TestServer>() {
    let server = S::start();
    let url = server.url();
    let store = impatient::<S>(&url, "sessions", 1).await;
    let holder = Holder::new(&store).await;
    let mut others = Vec::new();
    while let Ok(other) = ServerConnection::<S>::connect(&url).await {
        others.push(other);
    }
    // The store loses its connection, and somebody else gets the room.
    let mine = store.pool().acquire().await.unwrap().detach();
    mine.close().await.unwrap();
    while others.len() < 60 {
        others.extend(ServerConnection::<S>::connect(&url).await.ok());
    }
    let waiting = Store::<S>::builder()
        .acquire_timeout(Duration::from_millis(900))
        .connect(&url);
    let error = waiting.await.unwrap_err().to_string();
    assert!(error.contains(S::NO_ROOM[0]), "{error}");
    let (_, error) = failure(timed(holder.increment(&store))).await;
    assert!(
        S::NO_ROOM.iter().all(|part| error.contains(part)),
        "{error}"
    );
    drop(others);
    serves_again(&store, holder).await;
}

async fn a_pool_without_room_is_named_with_the_cause<S: TestServer>() {
    let store = impatient::<S>(S::shared(), "room", 2).await;
    let holder = Holder::new(&store).await;
    let taken = [
        store.pool().acquire().await.unwrap(),
        store.pool().acquire().await.unwrap(),
    ];
    let (_, error) = failure(timed(holder.increment(&store))).await;
    assert!(error.contains("all 2 connections"), "{error}");
    drop(taken);
}

/// A store whose connections all lead through a proxy, and have been used.
async fn behind<S: TestServer>(server: &S, proxy: &Proxy, connections: u32) -> (Store<S>, Holder) {
    let store = Store::<S>::builder()
        .table("sessions")
        .max_connections(connections)
        .connect(&proxy.url(&server.url(), server.port()))
        .await
        .unwrap();
    store.migrate().await.unwrap();
    let holder = Holder::new(&store).await;
    let mut taken = Vec::new();
    for _ in 0..connections {
        taken.push(store.pool().acquire().await.unwrap());
    }
    drop(taken);
    until("all connections are idle", || async {
        store.pool().num_idle() == connections as usize
    })
    .await;
    (store, holder)
}

/// A firewall forgets connections without a word; the database is healthy.
async fn connections_that_went_silent_cost_one_ping<S: TestServer>() {
    let server = S::start();
    let proxy = Proxy::start(server.port()).await;
    let (store, holder) = behind::<S>(&server, &proxy, 10).await;
    // Until then a connection is trusted without a ping.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    proxy.forget_connections();
    let started = Instant::now();
    for _ in 0..10 {
        holder.increment(&store).await.unwrap();
    }
    let took = started.elapsed();
    assert!(took < Duration::from_secs(2), "ten requests took {took:?}");
}

async fn an_idle_pool_finds_silent_connections_before_a_call_does<S: TestServer>() {
    let server = S::start();
    let proxy = Proxy::start(server.port()).await;
    let (store, holder) = behind::<S>(&server, &proxy, 3).await;
    // The first call starts the supervisor. The pool pings what it gets back.
    store.load(holder.id, now()).await.unwrap();
    until("all connections are idle", || async {
        store.pool().num_idle() == 3
    })
    .await;
    proxy.forget_connections();
    until("the heartbeat finds one", || async {
        store.pool().size() < 3
    })
    .await;
    assert_eq!(proxy.swallowed(), 1, "one ping is enough");
    let started = Instant::now();
    holder.increment(&store).await.unwrap();
    let took = started.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
}

/// After a fail-over the name of the server may lead to a standby for a while.
async fn a_standby_serves_nobody<S: TestServer>() {
    let mut server = S::start();
    let store = impatient::<S>(&server.url(), "sessions", 4).await;
    let holder = Holder::new(&store).await;
    holder.increment(&store).await.unwrap();
    server.demote();
    until("the store knows", || async {
        let (took, error) = failure(timed(store.load(holder.id, now()))).await;
        took < Duration::from_millis(50) && error.contains("standby")
    })
    .await;
    for _ in 0..20 {
        let (_, error) = failure(timed(store.load(holder.id, now()))).await;
        assert!(error.contains("read-only"), "{error}");
        failure(timed(holder.increment(&store))).await;
    }
    let connecting = Store::<S>::builder().acquire_timeout(Duration::from_millis(300));
    let error = connecting
        .connect(&server.url())
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("standby"), "{error}");
    assert!(!error.contains(PASSWORD), "{error}");
    server.promote();
    serves_again(&store, holder).await;
    assert!(holder.count(&store).await >= 2);
}

async fn a_password_can_change_while_the_store_runs<S: TestServer>() {
    let server = S::start();
    let url = server.url().replace(&format!(":{PASSWORD}"), "");
    let folder = Scratch::new();
    let file = folder.path().join("password");
    server.set_password(&format!("first-{PASSWORD}"));
    until("the server asks for a password", || async {
        ServerConnection::<S>::connect(&url).await.is_err()
    })
    .await;
    fs::write(&file, "wrong\n").unwrap();
    let builder = || Store::<S>::builder().table("sessions").password_file(&file);
    let error = builder().connect(&url).await.unwrap_err().to_string();
    assert!(error.contains(S::WRONG_PASSWORD), "{error}");
    fs::write(&file, format!("first-{PASSWORD}\n")).unwrap();
    let store = builder().connect(&url).await.unwrap();
    store.migrate().await.unwrap();
    let holder = Holder::new(&store).await;
    assert!(!format!("{store:?} {:?}", builder()).contains(PASSWORD));

    server.set_password(&format!("second-{PASSWORD}"));
    until("the server refuses the old password", || async {
        let answer = timed(holder.increment(&store)).await;
        let error = answer
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default();
        assert!(!error.contains(PASSWORD), "{error}");
        error.contains(S::WRONG_PASSWORD)
    })
    .await;
    fs::write(&file, format!("second-{PASSWORD}\n")).unwrap();
    serves_again(&store, holder).await;

    fs::remove_file(&file).unwrap();
    let error = builder().connect(&url).await.unwrap_err().to_string();
    assert!(error.contains("password"), "{error}");
}

async fn a_start_in_the_background_waits_for_the_server<S: TestServer>() {
    let mut server = S::start();
    let url = server.url();
    server.stop();
    let builder = Store::<S>::builder().acquire_timeout(Duration::from_millis(900));
    let start = Instant::now();
    let store = builder.connect_in_background(&url, Schema::Migrate).await;
    let store = store.expect("a store without a server");
    assert!(start.elapsed() < Duration::from_secs(1));
    let id = SessionId::generate(now());
    let start = Instant::now();
    let error = store.load(id, now()).await.unwrap_err();
    assert!(start.elapsed() < Duration::from_millis(50), "at once");
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
    until("the reason is known", || async {
        let error = store.load(id, now()).await;
        error
            .unwrap_err()
            .to_string()
            .contains(&server.port().to_string())
    })
    .await;
    let mut browser = Browser::new(store.clone());
    browser.is_asked_to_come_again().await;
    server.restart();
    assert_eq!(browser.comes_again().await, 1);
    let holder = Holder::new(&store).await;
    serves_again(&store, holder).await;
}

async fn a_start_in_the_background_says_what_waiting_does_not_mend<S: TestServer>() {
    let server = S::start_quick();
    let at_start = async |url: &str, schema| {
        let builder = Store::<S>::builder().table("background");
        builder.connect_in_background(url, schema).await
    };
    let wrong = server.url().replace(USER, "nobody");
    let error = at_start(&wrong, Schema::Migrate).await.unwrap_err();
    assert!(error.to_string().contains(S::NO_USER), "{error}");
    assert!(!error.to_string().contains(PASSWORD), "{error}");
    let error = at_start(&server.url(), Schema::Check).await.unwrap_err();
    assert!(matches!(error, SetupError::MissingTable { .. }), "{error}");
    let error = at_start("http://localhost", Schema::Check)
        .await
        .unwrap_err();
    assert!(matches!(error, SetupError::InvalidUrl { .. }), "{error}");
    let store = at_start(&server.url(), Schema::Migrate).await.unwrap();
    Holder::new(&store).await;
    let store = at_start(&server.url(), Schema::Check).await.unwrap();
    Holder::new(&store).await;
}
