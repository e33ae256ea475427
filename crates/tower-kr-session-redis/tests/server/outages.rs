//! A server that is slow, frozen or gone, and comes back.

use std::time::{Duration, Instant};

use tokio::{task::JoinSet, time::timeout};
use tower_kr_session::store::ApplyOutcome;
use tower_kr_session_redis::{RedisStore, RedisStoreBuilder};

use crate::support::{
    Fate, Proxy, Server, eventually,
    session::{Session, set},
    throttle,
};

const RESPONSE_TIMEOUT: Duration = Duration::from_millis(400);

/// A call fails this fast once the server is known to be down.
const FAST: Duration = Duration::from_millis(50);

fn builder(url: &str) -> RedisStoreBuilder {
    RedisStore::builder(url)
        .connect_timeout(RESPONSE_TIMEOUT)
        .response_timeout(RESPONSE_TIMEOUT)
}

async fn connect(server: &Server) -> RedisStore {
    builder(&server.url()).connect().await.expect("connect")
}

/// Many calls at once all fail, each within the time that is allowed.
async fn all_fail_fast(session: &Session) {
    let mut calls = JoinSet::new();
    for number in 0..200 {
        let session = session.clone();
        calls.spawn(async move {
            let start = Instant::now();
            if number % 2 == 0 {
                session.increment().await.expect_err("no server");
            } else {
                session.try_load().await.expect_err("no server");
            }
            start.elapsed()
        });
    }
    let slowest = calls.join_all().await.into_iter().max();
    assert!(slowest < Some(FAST), "{slowest:?}");
}

async fn recovers(session: &Session) {
    eventually("the store is back", || async {
        session.try_load().await.is_ok()
    })
    .await;
    session.increment().await.expect("increment");
}

pub(crate) async fn a_frozen_server_is_noticed_once_and_then_calls_fail_fast() {
    let server = Server::start(&[]);
    let session = Session::create(&connect(&server).await).await;
    server.freeze();
    let start = Instant::now();
    let mut calls = JoinSet::new();
    for number in 0..50 {
        let session = session.clone();
        calls.spawn(async move {
            // Those that come later need not wait as long as the first one.
            tokio::time::sleep(RESPONSE_TIMEOUT * (number % 4) / 5).await;
            session.increment().await
        });
    }
    for failed in calls.join_all().await {
        let message = failed.expect_err("no answer").to_string();
        assert!(message.contains("outcome is unknown"), "{message}");
    }
    assert!(
        start.elapsed() < RESPONSE_TIMEOUT * 3 / 2,
        "{:?}",
        start.elapsed()
    );
    // Until the moment of hope is over.
    tokio::time::sleep(Duration::from_millis(30)).await;
    all_fail_fast(&session).await;
    server.thaw();
    recovers(&session).await;
}

/// The layer's I/O timeout may be shorter than the store's: then nobody waits for the answer, but
/// the silence is noticed.
pub(crate) async fn a_caller_that_gives_up_raises_the_alarm() {
    let server = Server::start(&[]);
    let session = Session::create(&connect(&server).await).await;
    server.freeze();
    let given_up = timeout(Duration::from_millis(20), session.increment()).await;
    assert!(given_up.is_err());
    eventually("calls fail fast", || async {
        let start = Instant::now();
        let answer = timeout(FAST, session.try_load()).await;
        answer.is_ok_and(|answer| answer.is_err()) && start.elapsed() < FAST
    })
    .await;
    server.thaw();
    recovers(&session).await;
}

pub(crate) async fn a_server_that_was_killed_is_used_again() {
    let mut server = Server::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let session = Session::create(&connect(&server).await).await;
    assert_eq!(session.increment().await.expect("increment"), 1);
    server.kill();
    eventually("the loss is noticed", || async {
        session.try_load().await.is_err()
    })
    .await;
    tokio::time::sleep(Duration::from_millis(30)).await;
    all_fail_fast(&session).await;
    server.restart();
    recovers(&session).await;
    assert_eq!(session.count().await, 2);
}

pub(crate) async fn killed_connections_are_replaced() {
    let server = Server::start(&[]);
    let session = Session::create(&connect(&server).await).await;
    for _ in 0..5 {
        let _: i64 = server.ask(&["CLIENT", "KILL", "TYPE", "normal"]);
        // The server is there: a moment later all is well, without a single failed call.
        let start = Instant::now();
        while session.try_load().await.is_err() {
            assert!(start.elapsed() < Duration::from_secs(5));
        }
    }
    recovers(&session).await;
}

/// A call waits a moment for a connection that broke just now: the server is back before anybody
/// but the one whose answer was on its way has noticed.
pub(crate) async fn a_broken_connection_is_replaced_unnoticed() {
    let server = Server::start(&[]);
    let session = Session::create(&connect(&server).await).await;
    let mut failures = Vec::new();
    // The machine may be too busy for a new connection in time, but not always.
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        let caller = session.clone();
        let calling = tokio::spawn(async move {
            let start = Instant::now();
            let mut failed = 0;
            while start.elapsed() < Duration::from_millis(150) {
                failed += usize::from(caller.try_load().await.is_err());
            }
            failed
        });
        tokio::time::sleep(Duration::from_millis(50)).await;
        let _: i64 = server.ask(&["CLIENT", "KILL", "TYPE", "normal"]);
        let failed = calling.await.expect("a task");
        if failed <= 1 {
            return;
        }
        failures.push(failed);
    }
    panic!("failed calls after each loss: {failures:?}");
}

pub(crate) async fn a_slow_answer_is_waited_for() {
    let server = Server::start(&["--enable-debug-command", "yes"]);
    let session = Session::create(&connect(&server).await).await;
    let sleep = |seconds: &'static str| {
        let mut admin = server.admin();
        std::thread::spawn(move || {
            let mut command = redis::cmd("DEBUG");
            command.arg("SLEEP").arg(seconds).exec(&mut admin)
        })
    };
    let sleeping = sleep("0.15");
    assert_eq!(session.increment().await.expect("in time"), 1);
    sleeping.join().expect("a thread").expect("DEBUG SLEEP");

    // Too slow: the outcome is unknown, and the increment is not sent again. When the server wakes
    // up it does it, once.
    let sleeping = sleep("1");
    tokio::time::sleep(Duration::from_millis(50)).await;
    session.increment().await.expect_err("too late");
    sleeping.join().expect("a thread").expect("DEBUG SLEEP");
    recovers(&session).await;
    assert_eq!(session.count().await, 3);
}

/// 48 sessions of 250 kB through a network of 5 MB/s take 2.4 seconds, more than twice the response
/// timeout.
pub(crate) async fn large_answers_on_a_slow_network_are_waited_for_and_hold_up_no_write() {
    const READERS: usize = 48;
    const TIMEOUT: Duration = Duration::from_secs(1);
    let server = Server::start(&[]);
    let direct = connect(&server).await;
    let port = throttle(server.port(), 5_000_000).await;
    let store = RedisStore::builder(&format!("redis://127.0.0.1:{port}"))
        .response_timeout(TIMEOUT)
        .connect();
    let store = store.await.expect("connect");
    let (large, small) = (
        Session::create(&direct).await,
        Session::create(&direct).await,
    );
    let done = large.apply(set("large", &"x".repeat(250_000))).await;
    assert!(matches!(done, Ok(ApplyOutcome::Applied(_))), "{done:?}");
    let (large, small) = (large.through(&store), small.through(&store));

    let start = Instant::now();
    let mut readers = JoinSet::new();
    for _ in 0..READERS {
        let large = large.clone();
        readers.spawn(async move { large.try_load().await.map(|record| record.is_some()) });
    }
    let mut slowest = Duration::ZERO;
    while !readers.is_empty() {
        let call = Instant::now();
        small.increment().await.expect("a write goes on");
        slowest = slowest.max(call.elapsed());
        while let Some(read) = readers.try_join_next() {
            assert!(read.expect("no panic").expect("a large answer comes"));
        }
    }
    assert!(start.elapsed() > 2 * TIMEOUT, "{:?}", start.elapsed());
    assert!(slowest < TIMEOUT, "{slowest:?}");
}

/// Nobody has to fall into the hole first.
pub(crate) async fn an_idle_store_notices_that_the_server_is_gone() {
    let server = Server::start(&[]);
    let proxy = Proxy::start(server.port(), |_| Fate::Pass).await;
    let store = builder(&proxy.url()).connect().await.expect("connect");
    let session = Session::create(&store).await;
    let connections = proxy.connections();
    let start = Instant::now();
    let _: i64 = server.ask(&["CLIENT", "KILL", "TYPE", "normal"]);
    eventually("a new connection, without a call", || async {
        proxy.connections() > connections
    })
    .await;
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "not only by the heartbeat"
    );
    eventually("it serves", || async { session.try_load().await.is_ok() }).await;
}
