//! The PostgreSQL store: the contract, and what can happen to a server.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // Tests, though without the attribute that would tell so.

mod pooler;
mod server;
#[path = "../servers/mod.rs"]
mod servers;
#[path = "../support/mod.rs"]
mod support;

use std::{process::ExitCode, sync::Arc, time::Duration};

use server::{SharedServer, number, shared};
use servers::{locks, outages, round_trips::the_guide_has_the_round_trips_of_each_call};
use sqlx::{
    Connection, Row,
    postgres::{PgConnection, PgPoolOptions},
};
use support::{Holder, common, delta, now, set, until};
use test_support::{Check, DatabaseServer, PostgresServer, Program, run};
use tokio::task::JoinSet;
use tower_kr_session::{
    Owner, SessionStore,
    store::{ApplyOutcome, Instants, SignIn},
};
use tower_kr_session_sqlx::{Cleanup, PostgresStore, SetupError};

fn main() -> ExitCode {
    let checks = common::checks(SharedServer)
        .into_iter()
        .chain(own_checks())
        .chain([Check::future(
            "the_guide_has_the_round_trips_of_each_call",
            the_guide_has_the_round_trips_of_each_call::<PostgresServer>,
        )])
        .chain(locks::checks::<PostgresServer>())
        .chain(outages::checks::<PostgresServer>());
    let code = run(checks.map(|check| check.needs(Program::Postgres)));
    // What a static holds is never dropped.
    server::stop_shared();
    code
}

fn own_checks() -> Vec<Check> {
    macro_rules! list {
        ($($test:ident),* $(,)?) => { vec![$(Check::future(stringify!($test), $test)),*] };
    }
    list![
        who_stops_in_the_middle_is_thrown_out,
        an_owner_is_locked_in_the_table_by_whatever_name_it_is_called,
        a_touch_is_a_hot_update,
        a_touch_does_not_write_the_values,
        some_of_a_users_sessions_are_found_without_the_others,
        behind_a_transaction_pooler_nothing_stays_prepared,
        the_contract_holds_behind_a_transaction_pooler,
        urls_are_checked_and_never_repeated,
        a_schema_of_ones_own_serves,
        the_isolation_of_the_database_does_not_matter,
        the_guide_has_the_schema,
    ]
}

async fn who_stops_in_the_middle_is_thrown_out() {
    let server = PostgresServer::start();
    let store = impatient(&server.url(), "sessions", 3).await;
    let setting = "SELECT setting::bigint FROM pg_settings \
         WHERE name = 'idle_in_transaction_session_timeout'";
    assert_eq!(
        number(&server.url(), setting).await,
        0,
        "it isn't the server's own"
    );
    let sql = store.pool().acquire().await.unwrap();
    drop(sql);
    // The begin of a call, seen through a trigger on what it writes.
    for sql in [
        "CREATE TABLE seen (lock_timeout text, idle text, isolation text)",
        "CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         INSERT INTO seen VALUES (current_setting('lock_timeout'), \
         current_setting('idle_in_transaction_session_timeout'), \
         current_setting('transaction_isolation')); RETURN NULL; END $$",
        "CREATE TRIGGER see AFTER UPDATE ON sessions FOR EACH ROW EXECUTE FUNCTION see()",
    ] {
        sqlx::raw_sql(sql).execute(store.pool()).await.unwrap();
    }
    // A sign-in takes locks.
    let mut sign_in = delta();
    sign_in.sign_in = Some(SignIn::new(Owner::new("max").unwrap(), now()));
    let applied = Holder::new(&store).await.apply(&store, sign_in).await;
    assert!(matches!(applied.unwrap(), ApplyOutcome::Applied(_)));
    let row = sqlx::query("SELECT lock_timeout, idle, isolation FROM seen")
        .fetch_one(store.pool())
        .await
        .unwrap();
    assert_eq!(row.get::<String, _>(0), "500ms");
    assert_eq!(row.get::<String, _>(1), "10s");
    assert_eq!(row.get::<String, _>(2), "read committed");
}

/// `t` and `public.t` are one table. A sign-in through one name stands still between its look for a
/// revocation and its commit: a revocation through the other name waits for it, and finds it.
async fn an_owner_is_locked_in_the_table_by_whatever_name_it_is_called() {
    let named = |application: &str, schema: Option<&str>| {
        let url = format!("{}?application_name={application}", shared());
        let builder = PostgresStore::builder().table("named");
        let builder = match schema {
            Some(schema) => builder.schema(schema),
            None => builder,
        };
        async move { builder.connect(&url).await.unwrap() }
    };
    let bare = named("bare", None).await;
    bare.migrate().await.unwrap();
    let schema = Some("public");
    for sql in [
        "CREATE FUNCTION stand_still() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         PERFORM pg_advisory_xact_lock(42); RETURN NULL; END $$",
        "CREATE TRIGGER stand_still AFTER UPDATE ON named FOR EACH ROW \
         EXECUTE FUNCTION stand_still()",
    ] {
        sqlx::raw_sql(sql).execute(bare.pool()).await.unwrap();
    }
    let owner = Owner::new("max").unwrap();
    let checked_at = now();
    for (first, second) in [(None, schema), (schema, None)] {
        let signing_in = named("signing in", first).await;
        let revoking = named("revoking", second).await;
        let holder = Holder::new(&signing_in).await;
        let mut still = PgConnection::connect(shared()).await.unwrap();
        sqlx::raw_sql("SELECT pg_advisory_lock(42)")
            .execute(&mut still)
            .await
            .unwrap();
        let sign_in = {
            let (store, owner) = (signing_in.clone(), owner.clone());
            let mut delta = delta();
            delta.sign_in = Some(SignIn::new(owner, checked_at));
            tokio::spawn(async move { holder.apply(&store, delta).await.unwrap() })
        };
        until("the sign-in stands still", || async {
            waiting("signing in").await == 1
        })
        .await;
        let revocation = {
            let (store, owner) = (revoking.clone(), owner.clone());
            let at = checked_at;
            tokio::spawn(async move { store.remove_owned(&owner, None, at).await.unwrap() })
        };
        until("the revocation waits, or is over", || async {
            revocation.is_finished() || waiting("revoking").await == 1
        })
        .await;
        assert!(!revocation.is_finished(), "it didn't wait for the sign-in");
        sqlx::raw_sql("SELECT pg_advisory_unlock(42)")
            .execute(&mut still)
            .await
            .unwrap();
        let applied = sign_in.await.unwrap();
        assert!(matches!(applied, ApplyOutcome::Applied(_)), "{applied:?}");
        assert_eq!(revocation.await.unwrap(), 1);
        assert_eq!(bare.load(holder.id, now()).await.unwrap(), None);
        sqlx::raw_sql("DELETE FROM named_revocations")
            .execute(bare.pool())
            .await
            .unwrap();
    }
}

/// How many connections of this application wait for a lock.
async fn waiting(application: &str) -> i64 {
    let sql = format!(
        "SELECT count(*) FROM pg_stat_activity \
         WHERE application_name = '{application}' AND wait_event_type = 'Lock'"
    );
    number(shared(), &sql).await
}

async fn a_touch_is_a_hot_update() {
    let store = impatient(shared(), "touched", 2).await;
    let owner = Owner::new("max").unwrap();
    let holder = Holder::with(&store, |record| record.owner = Some(owner)).await;
    // Within one slot of ten minutes, whatever the time is now.
    for step in 0..40 {
        let at = tower_kr_session::store::Instants::at(
            now().saturating_add(Duration::from_millis(step)),
        );
        let applied = store.apply(holder.id, &holder.secret, &delta(), at).await;
        assert!(matches!(applied, Ok(ApplyOutcome::Applied(_))));
    }
    // A connection tells its statistics at its end for certain.
    store.pool().close().await;
    let updates = "SELECT n_tup_upd FROM pg_stat_user_tables WHERE relname = 'touched'";
    until("the statistics know of all updates", || async {
        number(shared(), updates).await == 40
    })
    .await;
    let hot = "SELECT n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'touched'";
    let hot = number(shared(), hot).await;
    // One at most may step into the next slot.
    assert!(hot >= 39, "{hot} of 40");
}

async fn a_touch_does_not_write_the_values() {
    let store = impatient(shared(), "large", 2).await;
    let holder = Holder::new(&store).await;
    let noise: Vec<u8> = (0..4096)
        .flat_map(|_| *support::secret().as_bytes())
        .collect();
    holder.apply(&store, set("large", &noise)).await.unwrap();
    store.pool().close().await;
    let chunks = "SELECT n_tup_ins FROM pg_stat_all_tables WHERE relid = \
         (SELECT reltoastrelid FROM pg_class WHERE relname = 'large')";
    until("the statistics know of the values", || async {
        number(shared(), chunks).await > 0
    })
    .await;
    let before = number(shared(), chunks).await;

    let store = impatient(shared(), "large", 2).await;
    for _ in 0..10 {
        holder.apply(&store, delta()).await.unwrap();
    }
    let values = holder.record(&store).await.values;
    assert_eq!(values.get("large"), Some(&noise[..]));
    store.pool().close().await;
    let updates = "SELECT n_tup_upd FROM pg_stat_user_tables WHERE relname = 'large'";
    until("the statistics know of the touches", || async {
        number(shared(), updates).await == 11
    })
    .await;
    assert_eq!(number(shared(), chunks).await, before);
}

async fn some_of_a_users_sessions_are_found_without_the_others() {
    const MANY: i64 = 600;
    const MOST: i64 = 74;
    let owner = Owner::new("max").unwrap();
    let store = impatient(shared(), "many", 2).await;
    for _ in 0..MANY {
        Holder::with(&store, |record| record.owner = Some(owner.clone())).await;
    }
    store.pool().close().await;
    let rows_read = || async {
        let read = "SELECT (coalesce(idx_tup_fetch, 0) + seq_tup_read)::bigint \
             FROM pg_stat_user_tables WHERE relname = 'many'";
        number(shared(), read).await
    };
    let before = rows_read().await;
    let mut read = 0;
    for (most, expected) in [(MOST, MOST), (i64::MAX, MANY)] {
        let store = impatient(shared(), "many", 2).await;
        let most = usize::try_from(most).unwrap();
        let some = store.list_up_to(&owner, most, now()).await.unwrap();
        assert_eq!(i64::try_from(some.len()).unwrap(), expected);
        store.pool().close().await;
        read += expected;
        until("the statistics know of the rows", || async {
            rows_read().await - before >= read
        })
        .await;
        assert_eq!(rows_read().await - before, read);
    }
}

async fn impatient(url: &str, table: &str, connections: u32) -> PostgresStore {
    servers::impatient::<PostgresServer>(url, table, connections).await
}

async fn behind_pooler(table: &str) -> PostgresStore {
    let store = PostgresStore::builder()
        .table(table)
        .max_connections(1)
        .transaction_pooler(true)
        .connect(shared())
        .await
        .unwrap();
    store.migrate().await.unwrap();
    store
}

async fn behind_a_transaction_pooler_nothing_stays_prepared() {
    let prepared = "SELECT count(*) FROM pg_prepared_statements";
    let store = behind_pooler("pooled").await;
    let holder = Holder::new(&store).await;
    holder.increment(&store).await.unwrap();
    holder.record(&store).await;
    let row = sqlx::raw_sql(prepared)
        .fetch_one(store.pool())
        .await
        .unwrap();
    assert_eq!(row.get_unchecked::<String, _>(0), "0");
    let usual = impatient(shared(), "pooled", 1).await;
    holder.record(&usual).await;
    let row = sqlx::raw_sql(prepared)
        .fetch_one(usual.pool())
        .await
        .unwrap();
    assert_ne!(row.get_unchecked::<String, _>(0), "0");
}

async fn the_contract_holds_behind_a_transaction_pooler() {
    let port = shared().rsplit([':', '/']).nth(1).unwrap().parse().unwrap();
    let pooler = pooler::start(port, test_support::USER).await;
    let url = shared().replace(&port.to_string(), &pooler.to_string());
    let open = |yes| {
        PostgresStore::builder()
            .table("behind")
            .max_connections(6)
            .transaction_pooler(yes)
            .connect(&url)
    };
    let (first, second) = (open(true).await.unwrap(), open(true).await.unwrap());
    first.migrate().await.unwrap();
    let (first, second) = (Arc::new(first), Arc::new(second));
    for rule in tower_kr_session::store::contract::rules() {
        rule.check(Arc::clone(&first), Arc::clone(&second)).await;
    }
    // The pooler is one: without the option, statements are prepared on one connection and looked
    // for on another.
    let usual = open(false).await.unwrap();
    let holder = Holder::new(&*first).await;
    let mut answers = Vec::new();
    for _ in 0..6 {
        answers.push(usual.load(holder.id, now()).await);
    }
    let text = format!("{:?}", answers.iter().find(|answer| answer.is_err()));
    assert!(text.contains("prepared statement"), "{text}");
}

async fn urls_are_checked_and_never_repeated() {
    for bad in [
        "mysql://kr:hunter2@localhost/x",
        "hunter2",
        "postgres://kr:hunter2@localhost:99999/x",
        "postgres://kr:hunter2@loc alhost/x",
        "postgres://kr:hunter2@localhost/x?sslmode=hunter",
        "postgres://kr:hun/ter2@localhost/x",
        "postgres://kr:hun#ter2@localhost/x",
        "postgres://kr:h@hun#ter2@localhost/x",
        "postgres://kr:12?hunter2@localhost/x",
        "postgres://kr:12/hunter2@localhost/x",
        "postgres://kr:hunter2@[::1/x",
        "postgres://kr:hunter2@127.0.0.1:1/x",
        "postgres://kr:hunter2@127.0.0.1:1/x?sslmode=require",
        &shared()
            .replace("/postgres", "/absent")
            .replace("/absent://", "/postgres://"),
    ] {
        let connecting = PostgresStore::builder()
            .acquire_timeout(Duration::from_millis(200))
            .connect(bad);
        let error = connecting.await.unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(
            !text.contains("hunter2") && !text.contains("ter2@"),
            "{text}"
        );
        assert!(!text.contains(test_support::PASSWORD), "{text}");
    }
}

async fn a_schema_of_ones_own_serves() {
    let sql = "CREATE SCHEMA \"Aside\"";
    sqlx::raw_sql(sql)
        .execute(&mut PgConnection::connect(shared()).await.unwrap())
        .await
        .unwrap();
    let store = PostgresStore::builder()
        .schema("Aside")
        .connect(shared())
        .await
        .unwrap();
    store.migrate().await.unwrap();
    let holder = Holder::new(&store).await;
    assert_eq!(holder.increment(&store).await.unwrap(), 1);
    let sessions = number(shared(), "SELECT count(*) FROM \"Aside\".kr_sessions").await;
    assert_eq!(sessions, 1);
    let absent = PostgresStore::builder()
        .schema("absent")
        .connect(shared())
        .await
        .unwrap();
    let error = absent.check().await.unwrap_err();
    assert!(
        matches!(error, SetupError::MissingTable { .. }),
        "{error:?}"
    );
    let error = absent.migrate().await.unwrap_err();
    assert!(error.to_string().contains("absent"), "{error}");
}

/// An application may have made `serializable` the default.
async fn the_isolation_of_the_database_does_not_matter() {
    let options = shared()
        .parse::<sqlx::postgres::PgConnectOptions>()
        .unwrap()
        .options([("default_transaction_isolation", "serializable")]);
    let pool = PgPoolOptions::new()
        .max_connections(8)
        .connect_with(options)
        .await
        .unwrap();
    let store = PostgresStore::builder()
        .table("isolated")
        .build(pool)
        .unwrap();
    store.migrate().await.unwrap();
    let second = impatient(shared(), "isolated", 4).await;
    // What the database sees, through triggers.
    for sql in [
        "CREATE TABLE isolation (call text, level text)",
        "CREATE FUNCTION isolation() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         INSERT INTO isolation VALUES (TG_TABLE_NAME || ' ' || TG_OP, \
         current_setting('transaction_isolation')); RETURN NULL; END $$",
        "CREATE TRIGGER isolation AFTER UPDATE OR DELETE ON isolated \
         FOR EACH ROW EXECUTE FUNCTION isolation()",
        "CREATE TRIGGER isolation AFTER INSERT OR DELETE ON isolated_revocations \
         FOR EACH ROW EXECUTE FUNCTION isolation()",
    ] {
        sqlx::raw_sql(sql).execute(store.pool()).await.unwrap();
    }
    let owner = Owner::new("max").unwrap();
    let long_ago = now().saturating_sub(Duration::from_secs(7 * 86_400));
    store.remove_owned(&owner, None, long_ago).await.unwrap();
    for _ in 0..2 {
        let over = Holder::with(&store, |record| record.idle_deadline = long_ago).await;
        store
            .remove(over.id, None, Instants::at(now()))
            .await
            .unwrap();
        Holder::with(&store, |record| record.idle_deadline = long_ago).await;
    }
    let cleanup = Cleanup::new().interval(Duration::from_millis(5));
    let cleanup = store.spawn_cleanup(cleanup);
    until("all is cleaned up", || async {
        let rows = "SELECT (SELECT count(*) FROM isolated) + \
             (SELECT count(*) FROM isolated_revocations)";
        number(shared(), rows).await == 0
    })
    .await;
    let levels = "SELECT count(*) FROM isolation WHERE level <> 'read committed'";
    assert_eq!(number(shared(), levels).await, 0);
    let calls = "SELECT count(DISTINCT call) FROM isolation";
    assert_eq!(number(shared(), calls).await, 3);

    let holder = Holder::new(&store).await;
    let mut tasks = JoinSet::new();
    for number in 0..100 {
        let store = if number % 2 == 0 {
            store.clone()
        } else {
            second.clone()
        };
        tasks.spawn(async move { holder.increment(&store).await.unwrap() });
    }
    tasks.join_all().await;
    assert_eq!(holder.count(&store).await, 100);
    cleanup.shutdown().await;
}

async fn the_guide_has_the_schema() {
    let store = PostgresStore::connect(shared()).await;
    support::assert_in_guide(&store.unwrap().schema_sql());
}
