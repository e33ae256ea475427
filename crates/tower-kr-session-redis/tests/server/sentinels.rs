//! A master that sentinels watch over: it dies, hands over, or is cut off.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use tokio::{sync::watch, task::JoinSet};
use tower_kr_session_redis::RedisStore;

use crate::support::{Server, eventually, session::Session};

/// The rights of the sentinels, as Redis documents them, and of the replicas.
const SENTINEL: &str = "ACL SETUSER sentinel on >sesame allchannels +multi +slaveof +ping +exec +subscribe \
    +config|rewrite +role +publish +info +client|setname +client|kill +script|kill";
const REPLICA: &str = "ACL SETUSER replica on >sesame +psync +replconf +ping";

/// The most that one may lag behind, if a master needs a replica.
const LAG: Duration = Duration::from_secs(1);
const REPLICAS_NEEDED: [&str; 4] = [
    "--min-replicas-to-write",
    "1",
    "--min-replicas-max-lag",
    "1",
];

/// Nothing that is acknowledged so long after the sentinels have switched is on the old master.
const OLD_MASTER: Duration = Duration::from_millis(500);

/// So long after the sentinels have switched, the new master serves writes.
const NEW_MASTER: Duration = Duration::from_secs(2);

/// A master, two replicas, and three sentinels.
struct Group {
    master: Server,
    replicas: [Server; 2],
    sentinels: [Server; 3],
}

impl Group {
    async fn start(options: &[&str]) -> Self {
        let credentials = ["--masteruser", "replica", "--masterauth", "sesame"];
        let master = Server::start(&[&credentials, options].concat());
        let port = master.port().to_string();
        let copies = ["--replicaof", "127.0.0.1", &port];
        let options = [&credentials, &copies[..], options].concat();
        let replicas = [Server::start(&options), Server::start(&options)];
        for server in [&master, &replicas[0], &replicas[1]] {
            for user in [SENTINEL, REPLICA] {
                let words: Vec<&str> = user.split_whitespace().collect();
                let _: String = server.ask(&words);
            }
        }
        let monitor = format!("sentinel monitor main 127.0.0.1 {port} 2");
        let lines = [
            &monitor,
            "sentinel auth-user main sentinel",
            "sentinel auth-pass main sesame",
            "sentinel down-after-milliseconds main 500",
            "sentinel failover-timeout main 10000",
        ];
        let group = Self {
            master,
            replicas,
            sentinels: [(); 3].map(|()| Server::start_sentinel(&lines)),
        };
        eventually("everybody knows everybody", || async {
            let copies = |replica: &Server| {
                let link: String = replica.ask(&["INFO", "replication"]);
                link.contains("master_link_status:up")
            };
            let knows = |sentinel: &Server| {
                let details: HashMap<String, String> =
                    sentinel.ask(&["SENTINEL", "MASTER", "main"]);
                let count = |name: &str| details.get(name).map(String::as_str) == Some("2");
                let flags = details.get("flags").map(String::as_str) == Some("master");
                let replicas: Vec<HashMap<String, String>> =
                    sentinel.ask(&["SENTINEL", "REPLICAS", "main"]);
                let fit = |replica: &HashMap<String, String>| replica["master-link-status"] == "ok";
                let known = count("num-other-sentinels") && count("num-slaves");
                known && flags && replicas.iter().all(fit)
            };
            group.replicas.iter().all(copies) && group.sentinels.iter().all(knows)
        })
        .await;
        group
    }

    fn url(&self) -> String {
        let hosts = self.sentinels.iter();
        let hosts: Vec<String> = hosts
            .map(|sentinel| format!("127.0.0.1:{}", sentinel.port()))
            .collect();
        format!("redis+sentinel://{}/main", hosts.join(","))
    }

    /// Waits until most sentinels name a replica as the master.
    async fn switched(&self) {
        let port = self.master.port().to_string();
        eventually("the sentinels name a replica", || async {
            let names = |sentinel: &&Server| {
                let words = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main"];
                let address: Vec<String> = sentinel.ask(&words);
                address[1] != port
            };
            self.sentinels.iter().filter(names).count() >= 2
        })
        .await;
    }

    /// Cuts the master off from the sentinels and the replicas, but not from the application.
    fn cut_off(&self) {
        let mut admin = self.master.admin();
        let mut ask = |words: &[&str]| {
            let mut command = redis::cmd(words[0]);
            command.arg(&words[1..]);
            command.exec(&mut admin).expect("the master is there");
        };
        // For new connections; those of the application are in already.
        ask(&["CONFIG", "SET", "requirepass", "sesame"]);
        for user in ["sentinel", "replica"] {
            ask(&["ACL", "SETUSER", user, "off"]);
            ask(&["CLIENT", "KILL", "USER", user]);
        }
    }
}

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
                    // Sentinels that get no time to run think that their clock is wrong, and do nothing.
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

    /// The times of all acknowledged increments, and of those that are lost: they gave out a number that was
    /// given out again, or that the counter hasn't reached again.
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
    let group = Group::start(&[]).await;
    for (user, rights) in [("few", FEWEST), ("usual", RIGHTS)] {
        let user_with_rights = format!("ACL SETUSER {user} on >sesame {rights}");
        let words: Vec<&str> = user_with_rights.split_whitespace().collect();
        for sentinel in &group.sentinels {
            let _: String = sentinel.ask(&words);
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
            let subscribers: String = sentinel.ask(&["CLIENT", "LIST", "TYPE", "PUBSUB"]);
            subscribers.lines().count() == 1 && subscribers.contains("user=usual")
        })
    })
    .await;
    let asked: String = group.sentinels[0].ask(&["SENTINEL", "FAILOVER", "main"]);
    assert_eq!(asked, "OK");
    group.switched().await;
    let role = |server: &Server| -> Vec<redis::Value> { server.ask(&["ROLE"]) };
    let new = group
        .replicas
        .iter()
        .find(|server| role(server)[0] == redis::Value::BulkString(b"master".to_vec()));
    let new = new.expect("a new master");
    for session in &sessions {
        eventually("the store writes to the new master", || async {
            let written = session.increment().await.is_ok();
            let there: bool = new.ask(&["HEXISTS", &session.key(), "v:n"]);
            written && there
        })
        .await;
    }
}

pub(crate) async fn a_planned_fail_over_loses_nothing_later() {
    let group = Group::start(&[]).await;
    let store = RedisStore::connect(&group.url()).await.expect("connect");
    let session = Session::create(&store).await;
    let load = Load::start(&session);
    eventually("there is load", || async {
        session.count_or(0).await > 200
    })
    .await;
    let asked: String = group.sentinels[0].ask(&["SENTINEL", "FAILOVER", "main"]);
    assert_eq!(asked, "OK");
    group.switched().await;
    let switched = Instant::now();
    load.goes_on().await;
    let (acknowledged, lost) = load.end().await;
    assert!(first_after(&acknowledged, switched) < NEW_MASTER);
    assert!(last_after(&lost, switched) < OLD_MASTER);
}

pub(crate) async fn a_master_that_is_cut_off_is_left() {
    for options in [&[][..], &REPLICAS_NEEDED] {
        let group = Group::start(options).await;
        let store = RedisStore::connect(&group.url()).await.expect("connect");
        let session = Session::create(&store).await;
        let load = Load::start(&session);
        eventually("there is load", || async {
            session.count_or(0).await > 200
        })
        .await;
        group.cut_off();
        let cut_off = Instant::now();
        group.switched().await;
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
