//! Settings of the server and of an application's pool: neither matters to the store, and the store
//! leaves them as they are.

use std::{sync::Arc, time::Duration};

use sqlx::{Row, mysql::MySqlPoolOptions};
use test_support::{Check, DatabaseServer, MariadbServer};
use tokio::task::JoinSet;
use tower_kr_session::{
    Owner, SessionStore,
    store::{ApplyOutcome, SignIn, contract},
};
use tower_kr_session_sqlx::MysqlStore;

use crate::{
    server::{run_shared, shared},
    servers::{TestServer, fails_in_time, impatient},
    support::{Holder, delta, now, set},
};

pub(crate) fn checks() -> Vec<Check> {
    macro_rules! list {
        ($($test:ident),* $(,)?) => { vec![$(Check::future(stringify!($test), $test)),*] };
    }
    list![
        the_defaults_of_the_server_do_not_matter,
        the_settings_of_a_session_are_given_back,
        who_stops_in_the_middle_is_thrown_out,
        the_rights_of_the_guide_are_enough,
    ]
}

async fn the_defaults_of_the_server_do_not_matter() {
    let server = MariadbServer::start_with(&[
        "--innodb-flush-log-at-trx-commit=0",
        "--autocommit=0",
        "--transaction-isolation=SERIALIZABLE",
        "--innodb-rollback-on-timeout",
        "--innodb-snapshot-isolation=ON",
        "--sql-mode=ANSI",
        "--character-set-server=latin1",
        "--collation-server=latin1_german2_ci",
        "--default-storage-engine=Aria",
    ]);
    let [first, second] = [4, 4].map(|connections| (server.url(), connections));
    let first = impatient::<MariadbServer>(&first.0, "sessions", first.1).await;
    let second = impatient::<MariadbServer>(&second.0, "sessions", second.1).await;
    let holder = Holder::new(&first).await;
    let mut tasks = JoinSet::new();
    for number in 0..100 {
        let store = [&first, &second][number % 2].clone();
        tasks.spawn(async move { holder.increment(&store).await.unwrap() });
    }
    tasks.join_all().await;
    assert_eq!(holder.count(&second).await, 100);
    let (first, second) = (Arc::new(first), Arc::new(second));
    for rule in contract::rules() {
        rule.check(Arc::clone(&first), Arc::clone(&second)).await;
    }
}

async fn the_rights_of_the_guide_are_enough() {
    let server = MariadbServer::start_quick();
    let owner_of_all = MysqlStore::connect(&server.url()).await.unwrap();
    owner_of_all.migrate().await.unwrap();
    server.run("CREATE USER app@'%' IDENTIFIED BY 'word'");
    let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guides/sql.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    let grants = guide.lines().filter(|line| line.starts_with("GRANT "));
    assert_eq!(grants.clone().count(), 3);
    server.run(&grants.collect::<String>());
    let url = format!("mysql://app:word@127.0.0.1:{}/app", server.port());
    let store = Arc::new(MysqlStore::connect(&url).await.unwrap());
    store.check().await.unwrap();
    for rule in contract::rules() {
        rule.check(Arc::clone(&store), Arc::clone(&store)).await;
    }
    store.reclaim(now(), 10).await.unwrap();
}

async fn the_settings_of_a_session_are_given_back() {
    let pool = MySqlPoolOptions::new()
        .max_connections(1)
        .after_connect(|connection, _| {
            Box::pin(async move {
                let set = "SET innodb_lock_wait_timeout = 17, idle_transaction_timeout = 18";
                sqlx::raw_sql(set).execute(connection).await.map(|_| ())
            })
        })
        .connect(shared())
        .await
        .unwrap();
    let store = MysqlStore::builder()
        .table("given")
        .lock_timeout(Duration::from_millis(500))
        .build(pool)
        .unwrap();
    store.migrate().await.unwrap();
    let owner = Owner::new("max").unwrap();
    let holder = Holder::with(&store, |record| record.owner = Some(owner.clone())).await;
    let settings = async || {
        let settings = "SELECT CAST(@@innodb_lock_wait_timeout AS signed), \
             CAST(@@idle_transaction_timeout AS signed), CAST(CONNECTION_ID() AS signed)";
        let row = sqlx::query(settings).fetch_one(store.pool()).await.unwrap();
        [0, 1, 2].map(|column| row.get::<i64, _>(column))
    };
    let [_, _, connection] = settings().await;
    // A commit, a rollback, and a refused lock.
    holder.increment(&store).await.unwrap();
    let removed = store.remove_owned(&owner, Some(holder.id), now()).await;
    assert_eq!(removed.unwrap(), 0);
    let mut late = set("a", b"1");
    late.sign_in = Some(SignIn::new(
        owner.clone(),
        now().saturating_sub(Duration::from_secs(9)),
    ));
    let applied = holder.apply(&store, late).await.unwrap();
    assert_eq!(applied, ApplyOutcome::Revoked);
    let lock = "SELECT 1 FROM given FOR UPDATE".to_owned();
    let lock = MariadbServer::hold(shared(), lock).await;
    fails_in_time(store.remove_owned(&owner, None, now())).await;
    drop(lock);
    assert_eq!(settings().await, [17, 18, connection]);
}

async fn who_stops_in_the_middle_is_thrown_out() {
    let store = impatient::<MariadbServer>(shared(), "stopped", 3).await;
    // The begin of a call, seen through a trigger on what it writes.
    run_shared(
        "CREATE TABLE stopped_seen (lock_wait int, idle int); \
         CREATE TRIGGER see AFTER UPDATE ON stopped FOR EACH ROW \
         INSERT INTO stopped_seen VALUES (@@innodb_lock_wait_timeout, @@idle_transaction_timeout)",
    );
    // A sign-in takes locks.
    let mut sign_in = delta();
    sign_in.sign_in = Some(SignIn::new(Owner::new("max").unwrap(), now()));
    let applied = Holder::new(&store).await.apply(&store, sign_in).await;
    assert!(matches!(applied.unwrap(), ApplyOutcome::Applied(_)));
    assert_eq!(run_shared("SELECT * FROM stopped_seen").trim(), "1\t10");
}
