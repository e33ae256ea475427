//! Misconfiguration is told at start.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tower_kr_session::{
    Owner, SessionStore,
    store::{Instants, RemoveOutcome},
};
use tower_kr_session_redis::{ConnectError, RedisStore};

use crate::support::{
    RIGHTS, Server, eventually, free_port,
    session::{Session, increment, now, owner, sign_in},
};

/// The message of the error, which must not show the password.
async fn refusal(url: &str) -> String {
    let started = RedisStore::builder(url)
        .connect_timeout(Duration::from_millis(500))
        .response_timeout(Duration::from_millis(500))
        .connect()
        .await;
    let error = started.expect_err("a refusal");
    let message = format!("{error} {error:?}");
    assert!(!message.contains("sesame"), "{message}");
    message
}

pub(crate) async fn what_is_wrong_is_said_at_start_without_the_password() {
    let open = Server::start(&[]);
    let locked = Server::start(&["--requirepass", "open-sesame"]);
    let primary = open.port().to_string();
    let replica = Server::start(&["--replicaof", "127.0.0.1", &primary]);
    let bus = free_port().to_string();
    let node = Server::start(&["--cluster-enabled", "yes", "--cluster-port", &bus]);

    let at = |scheme: &str, user: &str, server: &Server| {
        format!("{scheme}://{user}127.0.0.1:{}", server.port())
    };
    let message = refusal(&at("redis", ":wrong-sesame@", &locked)).await;
    assert!(message.contains("denies access"), "{message}");
    let message = refusal(&at("redis", "", &locked)).await;
    assert!(message.contains("denies access"), "{message}");
    let message = refusal(&at("redis", "nobody:sesame@", &locked)).await;
    assert!(message.contains("denies access"), "{message}");
    let message = refusal(&at("redis", "", &replica)).await;
    assert!(message.contains("read-only replica"), "{message}");
    let message = refusal(&at("redis", "", &node)).await;
    assert!(message.contains("redis+cluster://"), "{message}");
    let message = refusal(&at("redis+cluster", "", &open)).await;
    assert!(message.contains("use a redis:// URL"), "{message}");
    let message = refusal(&at("redis+cluster", "", &node)).await;
    assert!(message.contains("no slot is assigned"), "{message}");
    let message = refusal(&format!("redis://:sesame@127.0.0.1:{}", free_port())).await;
    assert!(message.contains("can't reach"), "{message}");
    let message = refusal(&(at("redis", "", &open) + "/999")).await;
    assert!(message.contains("DB"), "{message}");
    // Part of the password would be the name of the server.
    let message = refusal("redis://:p@sesame#word@127.0.0.1").await;
    assert!(message.contains("percent-encode"), "{message}");
    let message = refusal("rediss://127.0.0.1:1/#insecure").await;
    assert!(message.contains("127.0.0.1:1"), "{message}");

    let none = RedisStore::builder(&open.url()).response_timeout(Duration::ZERO);
    let error = none.connect().await.expect_err("a refusal");
    assert!(matches!(error, ConnectError::InvalidSetting { .. }));

    let right = at("redis", ":open-sesame@", &locked);
    let builder = RedisStore::builder(&right);
    assert!(!format!("{builder:?}").contains("sesame"));
    let store = builder.connect().await.expect("connect");
    assert!(!format!("{store:?}").contains("sesame"), "{store:?}");
    Session::create(&store).await;
}

/// A server that answers all commands alike.
async fn server_that_answers(line: &'static str) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let port = listener.local_addr().expect("its address").port();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut commands = [0; 4_096];
                while let Ok(1..) = client.read(&mut commands).await {
                    let starts = commands.iter().filter(|byte| **byte == b'*').count();
                    let answers = format!("{line}\r\n").repeat(starts);
                    commands.fill(0);
                    if client.write_all(answers.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    port
}

pub(crate) async fn errors_name_the_cause_and_the_address() {
    let nobody = free_port();
    for (port, expected) in [
        (nobody, "refused"),
        (
            server_that_answers("-ERR max number of clients reached").await,
            "all its connections are taken (maxclients)",
        ),
        (
            server_that_answers("-LOADING Redis is loading the dataset in memory").await,
            "loading the dataset",
        ),
        (
            server_that_answers("HTTP/1.1 400 Bad Request\r\n\r\n").await,
            "it doesn't speak the protocol of Redis",
        ),
    ] {
        let message = refusal(&format!("redis://:sesame@127.0.0.1:{port}")).await;
        assert!(message.contains(expected), "{message}");
        assert!(message.contains(&format!("127.0.0.1:{port}")), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
    let locked = Server::start(&["--requirepass", "sesame"]);
    let message = refusal(&locked.url()).await;
    assert!(message.contains("it wants a password"), "{message}");
}

pub(crate) async fn a_password_file_is_read_for_each_connection() {
    let server = Server::start(&["--requirepass", "old-sesame"]);
    let file = server.folder().join("password");
    let url = format!("redis://:wrong@127.0.0.1:{}", server.port());
    let builder = || RedisStore::builder(&url).password_file(&file);
    let refused = async || {
        let error = builder()
            .connect()
            .await
            .expect_err("a refusal")
            .to_string();
        assert!(!error.contains("sesame"), "{error}");
        error
    };
    assert!(refused().await.contains(&file.display().to_string()));
    fs::write(&file, "\n").expect("a file");
    assert!(refused().await.contains("is empty"));
    fs::write(&file, "wrong-sesame\n").expect("a file");
    assert!(refused().await.contains("denies access"));

    fs::write(&file, "old-sesame\n").expect("a file");
    let store = builder().connect().await.expect("connect");
    let session = Session::create(&store).await;
    // The server has a new password, and closes the connections that came with the old one.
    let client = redis::Client::open(format!("redis://:old-sesame@127.0.0.1:{}", server.port()));
    let mut admin = client
        .and_then(|client| client.get_connection())
        .expect("a connection");
    let mut ask = |words: &[&str]| {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command.exec(&mut admin).expect("the admin is in");
    };
    ask(&["CONFIG", "SET", "requirepass", "new-sesame"]);
    fs::write(&file, "new-sesame\n").expect("a file");
    ask(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    eventually("it is in with the new one", || async {
        session.increment().await.is_ok()
    })
    .await;
}

pub(crate) async fn an_application_is_asked_for_credentials_at_each_connection() {
    let server = Server::start(&[]);
    let _: String = server.ask(&[
        "ACL", "SETUSER", "app", "on", ">1", ">2", ">3", ">4", ">5", ">6", "~*", "+@all",
    ]);
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let store = RedisStore::builder(&server.url())
        .credentials(move || {
            let number = count.fetch_add(1, Ordering::SeqCst) + 1;
            async move {
                match number {
                    // Two to look at the server with, two to keep, and two more.
                    1..=6 => Ok(("app".to_owned(), number.to_string())),
                    _ => Err("the vault is closed"),
                }
            }
        })
        .connect()
        .await
        .expect("connect");
    let session = Session::create(&store).await;
    assert_eq!(asked.load(Ordering::SeqCst), 4);
    let _: i64 = server.ask(&["CLIENT", "KILL", "USER", "app"]);
    eventually("it is in again", || async {
        session.increment().await.is_ok()
    })
    .await;
    assert_eq!(asked.load(Ordering::SeqCst), 6);
    let _: i64 = server.ask(&["CLIENT", "KILL", "USER", "app"]);
    let port = format!("127.0.0.1:{}", server.port());
    eventually("the reason is known", || async {
        let message = session.try_load().await.map_err(|error| error.to_string());
        message.is_err_and(|message| {
            message.contains("the vault is closed") && message.contains(&port)
        })
    })
    .await;
}

pub(crate) async fn an_existing_client_gives_its_settings() {
    let server = Server::start(&["--requirepass", "sesame"]);
    let url = format!("redis://:sesame@127.0.0.1:{}/2", server.port());
    let client = redis::Client::open(url).expect("a client");
    let store = RedisStore::from_client(&client).connect();
    let session = Session::create(&store.await.expect("connect")).await;
    let mut admin = client.get_connection().expect("a connection");
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut admin).expect("keys");
    assert_eq!(keys, [session.key()]);
}

pub(crate) async fn a_start_in_the_background_waits_for_the_server() {
    let mut server = Server::start(&[]);
    server.kill();
    let store = RedisStore::builder(&server.url())
        .connect_in_background()
        .await
        .expect("the settings are right");
    let (session, record) = Session::prepare(&store);
    let created = store.create(session.id, record, now()).await;
    assert!(created.is_err());
    server.restart();
    eventually("the store finds the server", || async {
        session.try_load().await.is_ok()
    })
    .await;
    Session::create(&store).await;
}

pub(crate) async fn a_start_in_the_background_says_what_waiting_does_not_mend() {
    let locked = Server::start(&["--requirepass", "open-sesame"]);
    let bus = free_port().to_string();
    let node = Server::start(&["--cluster-enabled", "yes", "--cluster-port", &bus]);
    for (url, expected) in [
        (locked.url(), "denies access"),
        (
            locked.url().replace("redis:", "redis+cluster:"),
            "denies access",
        ),
        (node.url(), "redis+cluster://"),
        (
            "redis://:p@sesame#word@127.0.0.1".to_owned(),
            "percent-encode",
        ),
    ] {
        let started = RedisStore::builder(&url).connect_in_background().await;
        let error = started.expect_err("a refusal").to_string();
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains("sesame"), "{error}");
    }
    // Nobody answers: a server that takes connections and is silent.
    let silent = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let port = silent.local_addr().expect("its address").port();
    let start = Instant::now();
    let store = RedisStore::builder(&format!("redis://127.0.0.1:{port}"))
        .connect_in_background()
        .await;
    store.expect("a store without a server");
    assert!(start.elapsed() < Duration::from_secs(1));
    // A replica is a primary once it is promoted.
    let primary = locked.port().to_string();
    let replica = Server::start(&["--replicaof", "127.0.0.1", &primary]);
    let store = RedisStore::builder(&replica.url())
        .connect_in_background()
        .await
        .expect("a store");
    let _: String = replica.ask(&["REPLICAOF", "NO", "ONE"]);
    let (session, record) = Session::prepare(&store);
    eventually("the store finds the primary", || async {
        store
            .create(session.id, record.clone(), now())
            .await
            .is_ok()
    })
    .await;
}

pub(crate) async fn timeouts_without_an_end_are_cut() {
    let server = Server::start(&[]);
    let builder = || {
        RedisStore::builder(&server.url())
            .connect_timeout(Duration::MAX)
            .response_timeout(Duration::MAX)
    };
    Session::create(&builder().connect().await.expect("connect")).await;
    let store = builder()
        .connect_in_background()
        .await
        .expect("the settings are right");
    Session::create(&store).await;
}

pub(crate) async fn prefixes_keep_applications_apart() {
    let server = Server::start(&[]);
    let one = RedisStore::builder(&server.url())
        .key_prefix("one:")
        .connect();
    let one = one.await.expect("connect");
    let other = RedisStore::connect(&server.url()).await.expect("connect");
    let session = Session::create(&one).await;
    assert!(session.load().await.is_some());
    assert!(session.through(&other).load().await.is_none());
    let keys: Vec<String> = server.ask(&["KEYS", "*"]);
    assert_eq!(keys, [format!("one:session:{}", session.id)]);

    // Also if one prefix begins with the other, and the users are called alike.
    let inner = RedisStore::builder(&server.url())
        .key_prefix("one:owner:")
        .connect();
    let inner = inner.await.expect("connect");
    let user = owner("max");
    let namesake = Owner::new(&format!("owner:{user}")).expect("a valid owner");
    let session = Session::signed_in(&one, &namesake).await;
    let other = Session::signed_in(&inner, &user).await;
    assert_eq!(one.list(&namesake, now()).await.expect("list").len(), 1);
    let revoked = inner.remove_owned(&user, None, now()).await;
    assert_eq!(revoked.expect("remove_owned"), 1);
    assert!(session.load().await.is_some() && other.load().await.is_none());
    assert_eq!(one.list(&namesake, now()).await.expect("list").len(), 1);
}

/// The rights that the guide names are enough.
pub(crate) async fn a_user_with_few_rights_is_enough() {
    let server = Server::start(&[]);
    let rights = format!("ACL SETUSER app on >sesame {RIGHTS}");
    let words: Vec<&str> = rights.split_whitespace().collect();
    let _: String = server.ask(&words);
    let url = format!("redis://app:sesame@127.0.0.1:{}", server.port());
    let store = RedisStore::connect(&url).await.expect("connect");
    let user = owner("max");
    let session = Session::create(&store).await;
    session.apply(sign_in(&user)).await.expect("sign in");
    let mut delta = increment();
    delta.clear = true;
    session.apply(delta).await.expect("increment");
    assert!(session.load().await.is_some());
    assert_eq!(store.list(&user, now()).await.expect("list").len(), 1);
    assert_eq!(
        store
            .remove_owned(&user, None, now())
            .await
            .expect("revoke"),
        1
    );
    let session = Session::create(&store).await;
    let at = Instants::at(now());
    let removed = store.remove(session.id, Some(&session.secret), at).await;
    assert_eq!(removed.expect("remove"), RemoveOutcome::Removed);

    let _: String = server.ask(&["ACL", "SETUSER", "app", "-script|load"]);
    let message = refusal(&url).await;
    assert!(message.contains("denies access"), "{message}");
}
