//! The store for MySQL and MariaDB, on MariaDB: the contract, and what can happen to a server.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // Tests, though without the attribute that would tell so.

mod server;
#[path = "../servers/mod.rs"]
mod servers;
mod settings;
#[path = "../support/mod.rs"]
mod support;
mod tls;

use std::{process::ExitCode, sync::Arc, time::Duration};

use server::{SharedServer, number, run_shared, shared};
use servers::{
    TestServer, impatient, locks, outages, round_trips::the_guide_has_the_round_trips_of_each_call,
    serves_again, timed,
};
use sqlx::{AssertSqlSafe, Connection, mysql::MySqlConnection};
use support::{Holder, common, now, set, until};
use test_support::{Check, DatabaseServer, MariadbServer, PASSWORD, Program, run};
use tls::a_server_is_checked_if_the_url_says_so;
use tower_kr_session::{
    Owner, SessionStore,
    store::{ApplyOutcome, SignIn},
};
use tower_kr_session_sqlx::{MysqlStore, SetupError};

fn main() -> ExitCode {
    let checks = common::checks(SharedServer)
        .into_iter()
        .chain(own_checks())
        .chain(settings::checks())
        .chain(locks::checks::<MariadbServer>())
        .chain(outages::checks::<MariadbServer>());
    let code = run(checks.map(|check| check.needs(Program::Mariadb)));
    server::stop_shared();
    code
}

fn own_checks() -> Vec<Check> {
    macro_rules! list {
        ($($test:ident),* $(,)?) => { vec![$(Check::future(stringify!($test), $test)),*] };
    }
    let mut checks = list![
        a_transaction_that_the_server_undoes_runs_again,
        a_replica_serves_nobody_until_it_is_promoted,
        a_server_that_becomes_read_only_is_left,
        a_migration_that_was_cut_off_goes_on,
        a_sign_in_leaves_a_row_that_the_cleanup_takes_away,
        urls_are_checked_and_never_repeated,
        a_database_of_ones_own_serves,
        the_guide_has_the_schema,
        a_server_is_checked_if_the_url_says_so,
    ];
    checks.push(Check::future(
        "the_guide_has_the_round_trips_of_each_call",
        the_guide_has_the_round_trips_of_each_call::<MariadbServer>,
    ));
    checks
}

/// Somebody else locks a session and then its owner, the other way round than the store.
async fn a_transaction_that_the_server_undoes_runs_again() {
    let server = MariadbServer::start_quick();
    let url = server.url();
    let store = server::open(&url, "undone").await;
    store.migrate().await.unwrap();
    let owner = Owner::new("max").unwrap();
    let holder = Holder::new(&store).await;
    let deadlocks = || number(&url, MariadbServer::DEADLOCKS);
    let before = deadlocks().await;
    server.run("CREATE TABLE weight (n int) ENGINE = InnoDB");
    let mut other = MySqlConnection::connect(&url).await.unwrap();
    let id = MariadbServer::literal(holder.id);
    // Who has changed more is not the one that is undone.
    let sql = format!(
        "BEGIN; INSERT INTO weight SELECT seq FROM seq_1_to_500; \
         SELECT 1 FROM undone WHERE id = {id} FOR UPDATE"
    );
    let run = async |connection: &mut MySqlConnection, sql: String| {
        let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await;
        done.map(|_| ())
    };
    run(&mut other, sql).await.unwrap();
    let sign_in = {
        let (store, owner) = (store.clone(), owner.clone());
        let mut delta = set("a", b"1");
        delta.sign_in = Some(SignIn::new(owner, now()));
        tokio::spawn(async move { holder.apply(&store, delta).await })
    };
    until("the sign-in waits for the session", || async {
        let waiting = "SELECT CAST(variable_value AS signed) \
             FROM information_schema.global_status \
             WHERE variable_name = 'INNODB_ROW_LOCK_CURRENT_WAITS'";
        number(&url, waiting).await == 1
    })
    .await;
    let lock = "SELECT 1 FROM undone_revocations WHERE owner = 'max' FOR UPDATE";
    run(&mut other, lock.to_owned()).await.unwrap();
    assert_eq!(deadlocks().await, before + 1);
    run(&mut other, "ROLLBACK".to_owned()).await.unwrap();
    let applied = sign_in.await.unwrap().unwrap();
    assert!(matches!(applied, ApplyOutcome::Applied(_)), "{applied:?}");
    assert_eq!(holder.record(&store).await.owner, Some(owner));
}

async fn a_replica_serves_nobody_until_it_is_promoted() {
    let primary = MariadbServer::start_quick();
    let store = impatient::<MariadbServer>(&primary.url(), "sessions", 2).await;
    let holder = Holder::new(&store).await;
    holder.increment(&store).await.unwrap();
    let mut replica = primary.replica();
    let builder = || MysqlStore::builder().acquire_timeout(Duration::from_millis(300));
    let error = builder().connect(&replica.url()).await.unwrap_err();
    let error = error.to_string();
    assert!(
        error.contains("read-only") && error.contains("standby"),
        "{error}"
    );
    assert!(!error.contains(PASSWORD), "{error}");
    replica.promote();
    let promoted = impatient::<MariadbServer>(&replica.url(), "sessions", 2).await;
    assert_eq!(holder.increment(&promoted).await.unwrap(), 2);
}

/// Its connections stay open; the user may not write any more.
async fn a_server_that_becomes_read_only_is_left() {
    let server = MariadbServer::start_quick();
    let store = impatient::<MariadbServer>(&server.url(), "sessions", 3).await;
    let holder = Holder::new(&store).await;
    holder.increment(&store).await.unwrap();
    server.run("SET GLOBAL read_only = ON");
    let error = timed(holder.increment(&store)).await.unwrap_err();
    assert!(error.to_string().contains("1290"), "{error}");
    until("nothing is read from it either", || async {
        let answer = timed(store.load(holder.id, now())).await;
        answer.is_err_and(|error| error.to_string().contains("standby"))
    })
    .await;
    server.run("SET GLOBAL read_only = OFF");
    serves_again(&store, holder).await;
}

/// Each `CREATE TABLE` commits by itself.
async fn a_migration_that_was_cut_off_goes_on() {
    let store = server::open(shared(), "cut").await;
    let sql = store.schema_sql();
    for statement in sql.split_inclusive(";\n").take(2) {
        run_shared(statement);
    }
    assert!(store.check().await.is_err());
    store.migrate().await.unwrap();
    Holder::new(&store).await.increment(&store).await.unwrap();
}

/// It is what a sign-in and a revocation of the same user take turns with.
async fn a_sign_in_leaves_a_row_that_the_cleanup_takes_away() {
    let store = server::open(shared(), "rows").await;
    store.migrate().await.unwrap();
    let rows = || number(shared(), "SELECT count(*) FROM rows_revocations");
    let of = async |owner: &str| {
        let owner = Owner::new(owner).unwrap();
        Holder::with(&store, |record| record.owner = Some(owner)).await
    };
    for owner in ["max", "moritz", "max"] {
        of(owner).await;
    }
    assert_eq!(rows().await, 2);
    let revoked = Owner::new("moritz").unwrap();
    let ended = store.remove_owned(&revoked, None, now()).await;
    assert_eq!(ended.unwrap(), 1);
    let cleanup = store.spawn_cleanup(tower_kr_session_sqlx::Cleanup::new());
    until("the row without a revocation is gone", || async {
        rows().await == 1
    })
    .await;
    cleanup.shutdown().await;
    of("max").await;
    let max = Owner::new("max").unwrap();
    assert_eq!(store.list(&max, now()).await.unwrap().len(), 3);
}

async fn urls_are_checked_and_never_repeated() {
    for bad in [
        "postgres://kr:hunter2@localhost/x",
        "hunter2",
        "mysql://kr:hunter2@localhost:99999/x",
        "mysql://kr:hunter2@loc alhost/x",
        "mysql://kr:hunter2@localhost/x?ssl-mode=hunter",
        "mysql://kr:hun/ter2@localhost/x",
        "mysql://kr:hun#ter2@localhost/x",
        "mysql://kr:h@hun#ter2@localhost/x",
        "mysql://kr:12?hunter2@localhost/x",
        "mysql://kr:12/hunter2@localhost/x",
        "mysql://kr:hunter2@[::1/x",
        "mysql://kr:hunter2@127.0.0.1:1/x",
        "mariadb://kr:hunter2@127.0.0.1:1/x?ssl-mode=REQUIRED",
        &shared().replace("/app", "/absent"),
        // This server has no certificate.
        &format!("{}?ssl-mode=REQUIRED", shared()),
    ] {
        let connecting = MysqlStore::builder()
            .acquire_timeout(Duration::from_millis(200))
            .connect(bad);
        let error = connecting.await.unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(
            !text.contains("hunter2") && !text.contains("ter2@"),
            "{text}"
        );
        assert!(!text.contains(PASSWORD), "{text}");
    }
    let mariadb = shared().replace("mysql://", "mariadb://");
    MysqlStore::connect(&mariadb).await.unwrap();
}

async fn a_database_of_ones_own_serves() {
    run_shared("CREATE DATABASE Aside; GRANT ALL ON Aside.* TO kr_user@'127.0.0.1'");
    let aside = MysqlStore::builder().schema("Aside").connect(shared());
    let store = Arc::new(aside.await.unwrap());
    store.migrate().await.unwrap();
    let holder = Holder::new(&*store).await;
    assert_eq!(holder.increment(&*store).await.unwrap(), 1);
    let sessions = number(shared(), "SELECT count(*) FROM Aside.kr_sessions").await;
    assert_eq!(sessions, 1);
    let absent = MysqlStore::builder().schema("absent").connect(shared());
    let absent = absent.await.unwrap();
    let error = absent.check().await.unwrap_err();
    assert!(
        matches!(error, SetupError::MissingTable { .. }),
        "{error:?}"
    );
    let error = absent.migrate().await.unwrap_err();
    assert!(error.to_string().contains("absent"), "{error}");
}

async fn the_guide_has_the_schema() {
    let store = MysqlStore::connect(shared()).await;
    support::assert_in_guide(&store.unwrap().schema_sql());
}
