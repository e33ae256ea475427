//! A master that sentinels watch over: it dies, hands over, or is cut off.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use test_support::RedisSentinels;
use tokio::{sync::watch, task::JoinSet};
use tower_kr_session_redis::RedisStore;

use crate::support::{Server, eventually, session::Session};

/// A server that is silent for this long is down, in milliseconds.
const DOWN_AFTER: u32 = 500;

/// The most that one may lag behind, if a master needs a replica.
const LAG: Duration = Duration::from_secs(1);

/// Nothing that is acknowledged so long after the sentinels have switched is on the old master.
const OLD_MASTER: Duration = Duration::from_millis(500);

/// So long after the sentinels have switched, the new master serves writes.
const NEW_MASTER: Duration = Duration::from_secs(2);

/// Increments a counter again and again.
struct Load {
    session: Session,
    stop: watch::Sender<bool>,
    workers: JoinSet<Vec<(i64, Instant)>>,
}

impl Load {
    fn start(session: &Session) -> Self {
        let (stop, _) = watch::channel(false);
        let mut workers = JoinSet::new();
        for _ in 0..4 {
            let (session, stop) = (session.clone(), stop.subscribe());
            workers.spawn(async move {
                let mut acknowledged = Vec::new();
                while !*stop.borrow() {
                    if let Ok(number) = session.increment().await {
                        acknowledged.push((number, Instant::now()));
                    }
                    // Sentinels that get no time to run think that their clock is wrong, and do
                    // nothing.
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                acknowledged
            });
        }
        Self {
            session: session.clone(),
            stop,
            workers,
        }
    }

    /// Waits until there would be more to lose than the test allows.
    async fn goes_on(&self) {
        let enough = Instant::now() + NEW_MASTER + OLD_MASTER;
        eventually("it goes on", || async { Instant::now() > enough }).await;
    }

    /// The times of all acknowledged increments, and of those that are lost: they gave out a number
    /// that was given out again, or that the counter hasn't reached again.
    async fn end(self) -> (Vec<Instant>, Vec<Instant>) {
        self.stop.send_replace(true);
        let acknowledged = self.workers.join_all().await;
        let acknowledged: Vec<(i64, Instant)> = acknowledged.into_iter().flatten().collect();
        let count = self.session.count().await;
        let mut latest: HashMap<i64, Instant> = HashMap::new();
        for (number, at) in &acknowledged {
            let latest = latest.entry(*number).or_insert(*at);
            *latest = (*latest).max(*at);
        }
        let lost = acknowledged
            .iter()
            .filter(|(number, at)| *number > count || latest[number] > *at);
        let lost = lost.map(|(_, at)| *at).collect();
        (acknowledged.into_iter().map(|(_, at)| at).collect(), lost)
    }
}

/// How long after the moment the last of these times is.
fn last_after(times: &[Instant], moment: Instant) -> Duration {
    let last = times.iter().max();
    last.map_or(Duration::ZERO, |last| {
        last.saturating_duration_since(moment)
    })
}

fn first_after(times: &[Instant], moment: Instant) -> Duration {
    let later = times.iter().filter(|time| **time > moment);
    let first = later.min().expect("writes are served again");
    first.saturating_duration_since(moment)
}

pub(crate) async fn the_master_is_found() {
    let mut master = Server::start(&[]);
    let port = master.port().to_string();
    let replica = Server::start(&["--replicaof", "127.0.0.1", &port]);
    let monitor = format!("sentinel monitor main 127.0.0.1 {port} 1");
    let sentinel = Server::start_sentinel(&[
        &monitor,
        "sentinel down-after-milliseconds main 500",
        "sentinel failover-timeout main 2000",
    ]);
    let at = |name: &str| {
        let (dead, port) = (crate::support::free_port(), sentinel.port());
        format!("redis+sentinel://127.0.0.1:{dead},127.0.0.1:{port}/{name}")
    };
    let error = RedisStore::connect(&at("nobody"))
        .await
        .expect_err("no such master");
    assert!(
        error.to_string().contains("knows no master \"nobody\""),
        "{error}"
    );

    let store = RedisStore::connect(&at("main")).await.expect("connect");
    let session = Session::create(&store).await;
    assert_eq!(session.increment().await.expect("increment"), 1);
    eventually(
        "the sentinel knows the replica, which has the data",
        || async {
            let replicas: Vec<redis::Value> = sentinel.ask(&["SENTINEL", "REPLICAS", "main"]);
            let size: i64 = replica.ask(&["DBSIZE"]);
            !replicas.is_empty() && size == 1
        },
    )
    .await;
    master.kill();
    let failure = session
        .increment()
        .await
        .expect_err("it is dead")
        .to_string();
    assert!(failure.contains(&format!("127.0.0.1:{port}")), "{failure}");
    eventually("the replica has taken over", || async {
        session.increment().await.is_ok()
    })
    .await;
    let role: Vec<redis::Value> = replica.ask(&["ROLE"]);
    assert_eq!(role[0], redis::Value::BulkString(b"master".to_vec()));
    assert_eq!(session.count().await, 2);
}

pub(crate) async fn a_user_of_the_sentinels_needs_few_rights() {
    const FEWEST: &str = "-@all +sentinel|get-master-addr-by-name";
    const RIGHTS: &str =
        "-@all +sentinel|get-master-addr-by-name +sentinel|master +subscribe &+switch-master";
    let group = RedisSentinels::start(&[], DOWN_AFTER);
    for (user, rights) in [("few", FEWEST), ("usual", RIGHTS)] {
        let user_with_rights = format!("ACL SETUSER {user} on >sesame {rights}");
        let words: Vec<&str> = user_with_rights.split_whitespace().collect();
        for sentinel in &group.sentinels {
            assert_eq!(sentinel.ask(&words), "OK");
        }
    }
    let stores = ["few", "usual"].map(|user| {
        let builder = RedisStore::builder(&group.url());
        builder.sentinel_credentials(user, "sesame").connect()
    });
    let mut sessions = Vec::new();
    for store in stores {
        sessions.push(Session::create(&store.await.expect("connect")).await);
    }
    eventually("who may subscribe does", || async {
        group.sentinels.iter().all(|sentinel| {
            let subscribers = sentinel.ask(&["CLIENT", "LIST", "TYPE", "PUBSUB"]);
            subscribers.lines().count() == 1 && subscribers.contains("user=usual")
        })
    })
    .await;
    group.hand_over();
    group.wait_until_switched(0);
    let new = &group.servers[group.master()];
    for session in &sessions {
        eventually("the store writes to the new master", || async {
            let written = session.increment().await.is_ok();
            let there = new.ask(&["HEXISTS", &session.key(), "v:n"]);
            written && there == "1"
        })
        .await;
    }
}

pub(crate) async fn a_planned_fail_over_loses_nothing_later() {
    let group = RedisSentinels::start(&[], DOWN_AFTER);
    let store = RedisStore::connect(&group.url()).await.expect("connect");
    let session = Session::create(&store).await;
    let load = Load::start(&session);
    eventually("there is load", || async {
        session.count_or(0).await > 200
    })
    .await;
    group.hand_over();
    group.wait_until_switched(0);
    let switched = Instant::now();
    load.goes_on().await;
    let (acknowledged, lost) = load.end().await;
    assert!(first_after(&acknowledged, switched) < NEW_MASTER);
    assert!(last_after(&lost, switched) < OLD_MASTER);
}

pub(crate) async fn a_master_that_is_cut_off_is_left() {
    for options in [&[][..], &RedisSentinels::REPLICA_NEEDED] {
        let group = RedisSentinels::start(options, DOWN_AFTER);
        let store = RedisStore::connect(&group.url()).await.expect("connect");
        let session = Session::create(&store).await;
        let load = Load::start(&session);
        eventually("there is load", || async {
            session.count_or(0).await > 200
        })
        .await;
        group.cut_off(0);
        let cut_off = Instant::now();
        group.wait_until_switched(0);
        let switched = Instant::now();
        load.goes_on().await;
        let (acknowledged, lost) = load.end().await;
        assert!(first_after(&acknowledged, switched) < NEW_MASTER);
        assert!(last_after(&lost, switched) < OLD_MASTER);
        if !options.is_empty() {
            // The master counts its replicas once a second.
            assert!(last_after(&lost, cut_off) < LAG + Duration::from_secs(2));
        }
    }
}
