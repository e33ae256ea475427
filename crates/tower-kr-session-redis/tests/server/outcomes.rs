//! What was acknowledged is there, and nothing is there twice.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::task::JoinSet;
use tower_kr_session_redis::RedisStore;

use crate::support::{Fate, Proxy, Server, eventually, session::Session};

const WORKERS: usize = 8;

pub(crate) async fn no_acknowledged_increment_is_lost_by_a_crash() {
    let mut server = Server::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let store = RedisStore::builder(&server.url())
        .response_timeout(Duration::from_secs(5))
        .connect();
    let session = Session::create(&store.await.expect("connect")).await;
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let mut workers = JoinSet::new();
    for _ in 0..WORKERS {
        let (session, acknowledged) = (session.clone(), Arc::clone(&acknowledged));
        workers.spawn(async move {
            let mut seen = Vec::new();
            while let Ok(number) = session.increment().await {
                acknowledged.fetch_add(1, Ordering::SeqCst);
                seen.push(number);
            }
            seen
        });
    }
    eventually("there is load", || async {
        acknowledged.load(Ordering::SeqCst) > 200
    })
    .await;
    server.kill();
    let seen: Vec<i64> = workers.join_all().await.into_iter().flatten().collect();
    server.restart();
    eventually("the server is back", || async {
        session.try_load().await.is_ok()
    })
    .await;
    let count = session.count().await;
    let distinct: BTreeSet<i64> = seen.iter().copied().collect();
    assert_eq!(distinct.len(), seen.len(), "no number was given out twice");
    assert!(
        distinct.last() <= Some(&count),
        "{:?} of {count}",
        distinct.last()
    );
    // What was on its way at the crash is unknown: one call of each worker at most.
    let unknown = usize::try_from(count).expect("a count") - seen.len();
    assert!(unknown <= WORKERS, "{unknown} more than acknowledged");
}

pub(crate) async fn a_broken_connection_counts_nothing_twice() {
    const EACH: usize = 30;
    let server = Server::start(&[]);
    let direct = RedisStore::connect(&server.url()).await.expect("connect");
    let session = Session::create(&direct).await;
    let proxy = Proxy::start(server.port(), |call| match call % 80 {
        39 => Fate::CutBefore,
        79 => Fate::CutAfter,
        _ => Fate::Pass,
    });
    let proxy = proxy.await;
    let store = RedisStore::connect(&proxy.url()).await.expect("connect");
    let unknown = Arc::new(AtomicUsize::new(0));
    let mut workers = JoinSet::new();
    for _ in 0..WORKERS {
        let (session, unknown) = (session.through(&store), Arc::clone(&unknown));
        workers.spawn(async move {
            let mut seen = Vec::new();
            while seen.len() < EACH {
                match session.increment().await {
                    Ok(number) => seen.push(number),
                    Err(error) if error.to_string().contains("outcome is unknown") => {
                        unknown.fetch_add(1, Ordering::SeqCst);
                    }
                    // Nothing was sent, so it may be tried again.
                    Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            }
            seen
        });
    }
    let seen: Vec<i64> = workers.join_all().await.into_iter().flatten().collect();
    let unknown = unknown.load(Ordering::SeqCst);
    assert!(
        unknown > 0 && proxy.connections() > 3,
        "the proxy did its work"
    );
    let distinct: BTreeSet<i64> = seen.iter().copied().collect();
    assert_eq!(
        distinct.len(),
        seen.len(),
        "each acknowledged one is counted once"
    );
    let count = usize::try_from(session.count().await).expect("a count");
    // The server did what reached it, and each call reached it at most once.
    assert_eq!(count, proxy.forwarded());
    assert!(count >= seen.len() && count <= seen.len() + unknown);
}
