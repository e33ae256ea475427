//! Clusters and encryption.

use std::{fs, time::Duration};

use rcgen::{CertificateParams, KeyPair};
use test_support::RedisCluster;
use tokio::task::JoinSet;
use tower_kr_session::{SessionStore, store::ApplyOutcome};
use tower_kr_session_redis::{ConnectError, RedisStore};

use crate::support::{
    Cluster, RIGHTS, Server, eventually,
    session::{ABSOLUTE, IDLE, Session, increment, later, now, owner, sign_in, touch},
};

pub(crate) async fn a_cluster_serves_while_a_node_is_down() {
    let cluster = Cluster::start();
    let store = impatient(&cluster).await;
    let mut sessions = Vec::new();
    for _ in 0..30 {
        sessions.push(Session::create(&store).await);
    }
    cluster.nodes[0].ask::<String>(&["CONFIG", "SET", "cluster-require-full-coverage", "no"]);
    cluster.nodes[1].ask::<String>(&["CONFIG", "SET", "cluster-require-full-coverage", "no"]);
    cluster.nodes[2].freeze();
    // The first call there waits for its answer; the rest know.
    let (mut served, mut failed) = (0, 0);
    for session in &sessions {
        match session.try_load().await {
            Ok(_) => served += 1,
            Err(_) => failed += 1,
        }
    }
    assert!(served > 0 && failed > 0, "{served} served, {failed} failed");
    cluster.nodes[2].thaw();
    eventually("all sessions are there again", || async {
        for session in &sessions {
            if !session
                .try_load()
                .await
                .is_ok_and(|record| record.is_some())
            {
                return false;
            }
        }
        true
    })
    .await;
}

/// A store that soon takes a node of the cluster for lost.
async fn impatient(cluster: &Cluster) -> RedisStore {
    RedisStore::builder(&cluster.url())
        .connect_timeout(Duration::from_millis(300))
        .response_timeout(Duration::from_millis(300))
        .connect()
        .await
        .expect("connect")
}

/// It says so itself, and its map of the slots is an old one.
pub(crate) async fn a_primary_that_is_cut_off_is_left() {
    let cluster = RedisCluster::start(1_000);
    let builder = RedisStore::builder(&cluster.url());
    let store = builder.connect().await.expect("connect");
    let mut sessions = Vec::new();
    for _ in 0..20 {
        let session = Session::create(&store).await;
        session.increment().await.expect("increment");
        sessions.push(session);
    }
    let (primary, replica) = cluster.pair(0);
    cluster.cut_off(primary);
    cluster.wait_until_promoted(replica, primary);
    eventually("the primary knows that it is cut off", || async {
        let state = cluster.nodes[primary].ask(&["CLUSTER", "INFO"]);
        state.contains("cluster_state:fail")
    })
    .await;
    // A refusal is enough to have the map read again, of another node.
    for session in &sessions {
        eventually("it takes writes", || async {
            session.increment().await.is_ok()
        })
        .await;
    }
    for session in &sessions {
        session.increment().await.expect("increment");
    }
}

pub(crate) async fn a_clusters_replica_takes_over() {
    let mut cluster = Cluster::start();
    let replica = cluster.add_replica();
    let store = impatient(&cluster).await;
    let mut sessions = Vec::new();
    for _ in 0..20 {
        let session = Session::create(&store).await;
        session.increment().await.expect("increment");
        sessions.push(session);
    }
    // Replication is asynchronous: the test waits for it.
    eventually("the replica has all that its primary has", || async {
        let keys = |node: &Server| -> i64 { node.ask(&["DBSIZE"]) };
        keys(&replica) == keys(&cluster.nodes[0])
    })
    .await;
    assert!(replica.ask::<i64>(&["DBSIZE"]) > 0);
    cluster.nodes[0].kill();
    eventually("every session is there, and takes writes", || async {
        for session in &sessions {
            if session.increment().await.is_err() {
                return false;
            }
        }
        true
    })
    .await;
    for session in &sessions {
        assert!(session.count().await >= 2);
    }
}

/// A fail-over loses what the replica didn't have: here the index's part of a sign-in and of a
/// revocation.
pub(crate) async fn what_a_dying_primary_lost_of_an_index_can_be_revoked() {
    let mut cluster = Cluster::start();
    let replica = cluster.add_replica();
    let store = impatient(&cluster).await;
    let dying = &cluster.nodes[0];
    let is_there = |key: &str| dying.try_ask(&["EXISTS", key]).is_ok();
    let owner_there = || {
        let owners = std::iter::repeat_with(|| owner("user"));
        let mut owners = owners.filter(|owner| is_there(&format!("kr:owner:{owner}")));
        owners.next().expect("a third of them are")
    };
    let session = async |there: bool| loop {
        let session = Session::create(&store).await;
        if is_there(&session.key()) == there {
            return session;
        }
    };
    let (user, other) = (owner_there(), owner_there());
    let (lost, kept, unrevoked) = (
        session(false).await,
        session(false).await,
        session(true).await,
    );
    unrevoked.apply(sign_in(&other)).await.expect("apply");
    eventually("the replica has all that its primary has", || async {
        let keys = |node: &Server| -> i64 { node.ask(&["DBSIZE"]) };
        keys(&replica) == keys(dying)
    })
    .await;

    let _: String = dying.ask(&["ACL", "SETUSER", "default", "-psync", "-sync"]);
    let _: i64 = dying.ask(&["CLIENT", "KILL", "TYPE", "replica"]);
    for session in [&lost, &kept] {
        session.apply(sign_in(&user)).await.expect("apply");
    }
    assert_eq!(store.list(&user, now()).await.expect("list").len(), 2);
    let revoked = store.remove_owned(&other, None, now()).await;
    assert_eq!(revoked.expect("remove_owned"), 1);
    cluster.nodes[0].kill();
    // The other nodes may say for a moment longer that the cluster is down.
    eventually(
        "the replica has taken over, and every node knows",
        || async {
            for session in [&lost, &kept, &unrevoked] {
                if session.try_load().await.is_err() {
                    return false;
                }
            }
            let listed = store.list(&user, now()).await;
            listed.is_ok_and(|list| list.is_empty())
        },
    )
    .await;

    let revoked = store.remove_owned(&user, Some(kept.id), now()).await;
    assert_eq!(revoked.expect("remove_owned"), 0, "nobody knows of it");
    for session in [&lost, &kept] {
        assert!(session.load().await.is_some());
    }
    let due = later(IDLE.touch_interval);
    let ended = lost.apply_at(touch(), due).await.expect("apply");
    assert_eq!(ended, ApplyOutcome::Missing);
    assert_eq!(lost.load().await, None);
    let touched = kept.apply_at(touch(), due).await.expect("apply");
    assert!(matches!(touched, ApplyOutcome::Applied(_)), "{touched:?}");
    let listed = store.list(&user, now()).await.expect("list");
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].id, kept.id);
    // What a lost revocation had ended is there again, and a repeated one ends it.
    assert!(unrevoked.load().await.is_some());
    let revoked = store.remove_owned(&other, None, now()).await;
    assert_eq!(revoked.expect("remove_owned"), 1);
    assert_eq!(unrevoked.load().await, None);
}

/// An index that can't be asked stops nobody, and is asked again by the next call.
pub(crate) async fn a_session_goes_on_while_the_node_of_its_index_is_down() {
    let cluster = Cluster::start();
    let store = impatient(&cluster).await;
    for node in &cluster.nodes[1..] {
        let _: String = node.ask(&["CONFIG", "SET", "cluster-require-full-coverage", "no"]);
    }
    let frozen = &cluster.nodes[0];
    let is_there = |key: &str| frozen.try_ask(&["EXISTS", key]).is_ok();
    let (user, session) = loop {
        let (user, session) = (owner("user"), Session::create(&store).await);
        if is_there(&format!("kr:owner:{user}")) && !is_there(&session.key()) {
            break (user, session);
        }
    };
    session.apply(sign_in(&user)).await.expect("apply");
    let due = later(IDLE.touch_interval);
    frozen.freeze();
    for count in 1..4 {
        let done = session.apply_at(increment(), due).await.expect("apply");
        assert!(matches!(done, ApplyOutcome::Applied(_)), "{done:?}");
        assert_eq!(session.count().await, count);
    }
    let mut longer = touch();
    longer.limits.absolute_timeout = Some(2 * ABSOLUTE);
    let refused = session.apply_at(longer, due).await;
    refused.expect_err("the index must know of it first");
    frozen.thaw();
    eventually("the node is back", || async {
        store.list(&user, now()).await.is_ok()
    })
    .await;
    // It still has to be asked.
    let lost: i64 = frozen.ask(&["DEL", &format!("kr:owner:{user}")]);
    assert_eq!(lost, 1);
    let revoked = store.remove_owned(&user, None, now()).await;
    assert_eq!(revoked.expect("remove_owned"), 0);
    let ended = session.apply_at(touch(), due).await.expect("apply");
    assert_eq!(ended, ApplyOutcome::Missing);
    assert_eq!(session.load().await, None);
}

/// Redirections (`MOVED`, `ASK`, `TRYAGAIN`) are followed, and count nothing twice.
pub(crate) async fn a_slot_may_move_under_load() {
    const WORKERS: usize = 4;
    let cluster = Cluster::start();
    // With no more rights than the guide names.
    let rights = format!("ACL SETUSER app on >sesame {RIGHTS} +cluster|slots +asking");
    let words: Vec<&str> = rights.split_whitespace().collect();
    for node in &cluster.nodes {
        let _: String = node.ask(&words);
    }
    let url = cluster.url().replace("://", "://app:sesame@");
    let store = RedisStore::connect(&url).await.expect("connect");
    let other = RedisStore::connect(&url).await.expect("connect");
    let session = Session::create(&store).await;
    let key = session.key();
    let slot: i64 = cluster.nodes[0].ask(&["CLUSTER", "KEYSLOT", &key]);
    let slot = slot.to_string();
    let owns = |node: &&Server| {
        let keys: i64 = node.ask(&["CLUSTER", "COUNTKEYSINSLOT", &slot]);
        keys == 1
    };
    let source = cluster.nodes.iter().find(owns).expect("the slot's node");
    let target = cluster
        .nodes
        .iter()
        .find(|node| !owns(node))
        .expect("another node");
    let id = |node: &Server| -> String { node.ask(&["CLUSTER", "MYID"]) };

    let (stop, _) = tokio::sync::watch::channel(false);
    let mut workers = JoinSet::new();
    for number in 0..WORKERS {
        let session = session.through(if number % 2 == 0 { &store } else { &other });
        let stop = stop.subscribe();
        workers.spawn(async move {
            let mut count = 0;
            while !*stop.borrow() {
                session.apply(increment()).await.expect("apply");
                count += 1;
            }
            count
        });
    }
    let pause = || tokio::time::sleep(Duration::from_millis(50));
    pause().await;
    let set_slot = |node: &Server, words: &[&str]| {
        let words = [&["CLUSTER", "SETSLOT", &slot], words].concat();
        let _: String = node.ask(&words);
    };
    set_slot(target, &["IMPORTING", &id(source)]);
    set_slot(source, &["MIGRATING", &id(target)]);
    pause().await;
    let port = target.port().to_string();
    let moved: String = source.ask(&["MIGRATE", "127.0.0.1", &port, &key, "0", "5000"]);
    assert_eq!(moved, "OK");
    pause().await;
    set_slot(target, &["NODE", &id(target)]);
    set_slot(source, &["NODE", &id(target)]);
    pause().await;
    stop.send_replace(true);
    let counts: i64 = workers.join_all().await.into_iter().sum();
    assert!(counts > 0);
    assert_eq!(session.count().await, counts);
    assert!(owns(&target));
}

pub(crate) async fn encrypted_connections_check_the_certificate() {
    let key = KeyPair::generate().expect("a key");
    let certificate = CertificateParams::new(["localhost".to_owned()])
        .and_then(|params| params.self_signed(&key))
        .expect("a certificate");
    let plain = Server::start(&[]);
    let (certificate_file, key_file) = (plain.folder().join("cert"), plain.folder().join("key"));
    fs::write(&certificate_file, certificate.pem()).expect("write");
    fs::write(&key_file, key.serialize_pem()).expect("write");
    let port = crate::support::free_port().to_string();
    let path = |file: &std::path::PathBuf| file.display().to_string();
    let _server = Server::start(&[
        "--tls-port",
        &port,
        "--tls-cert-file",
        &path(&certificate_file),
        "--tls-key-file",
        &path(&key_file),
        "--tls-ca-cert-file",
        &path(&certificate_file),
        "--tls-auth-clients",
        "no",
    ]);
    let url = format!("rediss://localhost:{port}");
    let error = RedisStore::connect(&url)
        .await
        .expect_err("an unknown authority");
    assert!(error.to_string().contains("certificate"), "{error}");
    let store = RedisStore::builder(&url).root_certificates(certificate.pem());
    let session = Session::create(&store.connect().await.expect("connect")).await;
    assert_eq!(session.increment().await.expect("increment"), 1);

    let misplaced = RedisStore::builder(&plain.url()).root_certificates(certificate.pem());
    let error = misplaced
        .connect()
        .await
        .expect_err("no encryption is asked for");
    assert!(matches!(error, ConnectError::InvalidSetting { .. }));
}
