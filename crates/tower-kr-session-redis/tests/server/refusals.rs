//! A server that is there and refuses.

use tower_kr_session::{
    SessionStore,
    store::{Instants, RemoveOutcome},
};
use tower_kr_session_redis::RedisStore;

use crate::support::{
    Server, eventually,
    session::{Session, increment, now, owner, sign_in},
};

pub(crate) async fn a_full_server_refuses_writes_but_lets_sessions_end() {
    let server = Server::start(&["--maxmemory-policy", "noeviction"]);
    let store = RedisStore::connect(&server.url()).await.expect("connect");
    let user = owner("max");
    let session = Session::create(&store).await;
    let leaving = Session::create(&store).await;
    let revoked = Session::create(&store).await;
    revoked.apply(sign_in(&user)).await.expect("apply");
    let before = session.load().await;
    let _: String = server.ask(&["CONFIG", "SET", "maxmemory", "1"]);

    let (new, record) = Session::prepare(&store);
    let message = store.create(new.id, record, now()).await.expect_err("full");
    assert!(message.to_string().contains("OOM"), "{message}");
    let mut shrinking = increment();
    shrinking.clear = true;
    for delta in [increment(), shrinking, sign_in(&user)] {
        let message = session.apply(delta).await.expect_err("full").to_string();
        assert!(message.contains("OOM"), "{message}");
    }
    assert_eq!(
        session.load().await,
        before,
        "all or nothing; and reads go on"
    );

    let at = Instants::at(now());
    let removed = store.remove(leaving.id, Some(&leaving.secret), at).await;
    assert_eq!(removed.expect("remove"), RemoveOutcome::Removed);
    assert_eq!(
        store
            .remove_owned(&user, None, now())
            .await
            .expect("revoke"),
        1
    );
    assert_eq!(revoked.load().await, None);

    let _: String = server.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_eq!(session.increment().await.expect("increment"), 1);
}

pub(crate) async fn a_replica_refuses_until_it_is_a_primary() {
    let primary = Server::start(&[]);
    let server = Server::start(&[]);
    let store = RedisStore::connect(&server.url()).await.expect("connect");
    let session = Session::create(&store).await;
    // A primary that nobody answers for: it keeps its data and takes no writes.
    let port = primary.port().to_string();
    drop(primary);
    let _: String = server.ask(&["REPLICAOF", "127.0.0.1", &port]);
    let message = session
        .increment()
        .await
        .expect_err("read only")
        .to_string();
    assert!(message.to_lowercase().contains("read only"), "{message}");
    eventually("the reason is known", || async {
        let error = session.increment().await.expect_err("read only");
        error.to_string().contains("read-only replica")
    })
    .await;
    let _: String = server.ask(&["REPLICAOF", "NO", "ONE"]);
    eventually("it takes writes again", || async {
        session.increment().await.is_ok()
    })
    .await;
    assert_eq!(session.count().await, 1);
}

pub(crate) async fn a_changed_password_is_told_and_survived() {
    let server = Server::start(&[]);
    let store = RedisStore::connect(&server.url()).await.expect("connect");
    let session = Session::create(&store).await;
    let mut admin = server.admin();
    let mut ask = |words: &[&str]| {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command.exec(&mut admin).expect("the admin is in");
    };
    ask(&["CONFIG", "SET", "requirepass", "sesame"]);
    ask(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    eventually("the reason is known", || async {
        let message = session.try_load().await.map_err(|error| error.to_string());
        message.is_err_and(|message| message.contains("denies access"))
    })
    .await;
    ask(&["CONFIG", "SET", "requirepass", ""]);
    eventually("it is let in again", || async {
        session.increment().await.is_ok()
    })
    .await;
}
