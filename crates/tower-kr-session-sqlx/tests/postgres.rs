//! The PostgreSQL store: the contract, and what can happen to a server.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // Tests, though without the attribute that would tell so.

#[path = "support/pooler.rs"]
mod pooler;
mod support;

use std::{
    future::Future,
    process::{Command, ExitCode},
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use sqlx::{
    AssertSqlSafe, Connection, Postgres, Row,
    postgres::{PgConnection, PgPoolOptions},
};
use support::{
    Holder,
    browser::Browser,
    common::{self, Fixture},
    delta, now, set, until,
};
use test_support::{Check, PostgresServer, Program, run};
use tokio::task::JoinSet;
use tower_kr_session::{
    Owner, SessionId, SessionStore, StoreError,
    store::{ApplyOutcome, Instants, RemoveOutcome, SignIn},
};
use tower_kr_session_sqlx::{Cleanup, PostgresStore, SetupError};

/// The I/O timeout of the layer in these tests.
const IO_TIMEOUT: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let checks = common::checks(SharedServer).into_iter().chain(own_checks());
    let code = run(checks.map(|check| check.needs(Program::Postgres)));
    // What a static holds is never dropped.
    drop(SERVER.lock().unwrap().take());
    code
}

fn own_checks() -> Vec<Check> {
    macro_rules! list {
        ($($test:ident),* $(,)?) => { vec![$(Check::future(stringify!($test), $test)),*] };
    }
    list![
        what_a_killed_server_acknowledged_is_there,
        a_frozen_server_is_cut_off_and_serves_again,
        a_stopped_server_is_unavailable_and_serves_again,
        the_cleanup_survives_a_stopped_server,
        an_exhausted_pool_answers_in_time,
        a_hot_session_leaves_connections_to_others,
        a_wrong_secret_costs_nobody_a_place_in_a_queue,
        a_row_locked_by_somebody_else_is_given_up_in_time,
        who_stops_in_the_middle_is_thrown_out,
        calls_cut_off_while_waiting_leave_nothing_open,
        revocations_and_sign_ins_never_deadlock,
        an_owner_is_locked_in_the_table_by_whatever_name_it_is_called,
        a_touch_is_a_hot_update,
        a_touch_does_not_write_the_values,
        behind_a_transaction_pooler_nothing_stays_prepared,
        the_contract_holds_behind_a_transaction_pooler,
        urls_are_checked_and_never_repeated,
        a_schema_of_ones_own_serves,
        the_isolation_of_the_database_does_not_matter,
        the_guide_has_the_schema,
    ]
}

static SERVER: Mutex<Option<PostgresServer>> = Mutex::new(None);

/// The URL of the server that most tests share.
fn shared() -> &'static str {
    static URL: OnceLock<String> = OnceLock::new();
    URL.get_or_init(|| {
        let mut server = SERVER.lock().unwrap();
        server.insert(PostgresServer::start_quick()).url()
    })
}

/// The server of the tests of both databases.
#[derive(Clone, Copy)]
struct SharedServer;

impl Fixture for SharedServer {
    type Database = Postgres;

    async fn open(self, table: &str) -> PostgresStore {
        open(shared(), table).await
    }

    async fn execute(self, sql: String) -> u64 {
        let mut connection = PgConnection::connect(shared()).await.unwrap();
        let done = sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut connection)
            .await;
        done.unwrap().rows_affected()
    }

    async fn number(self, sql: String) -> i64 {
        number(shared(), &sql).await
    }

    async fn dump(self, table: &str) -> Vec<u8> {
        let program = PostgresServer::program("pg_dump");
        let output = Command::new(program)
            .args(["-t", &format!("{table}*"), shared()])
            .output();
        output.unwrap().stdout
    }
}

async fn open(url: &str, table: &str) -> PostgresStore {
    PostgresStore::builder()
        .table(table)
        .max_connections(4)
        .lock_timeout(Duration::from_secs(8))
        .acquire_timeout(Duration::from_secs(8))
        .connect(url)
        .await
        .unwrap()
}

async fn number(url: &str, sql: &str) -> i64 {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let row = sqlx::query(AssertSqlSafe(sql))
        .fetch_one(&mut connection)
        .await;
    row.unwrap().get(0)
}

/// A migrated store with timeouts inside those of the layer.
async fn impatient(url: &str, table: &str, connections: u32) -> PostgresStore {
    let store = PostgresStore::builder()
        .table(table)
        .max_connections(connections)
        .lock_timeout(Duration::from_millis(500))
        .acquire_timeout(Duration::from_millis(900))
        .connect(url)
        .await
        .unwrap();
    store.migrate().await.unwrap();
    store
}

/// As the layer calls a store: cut off after the I/O timeout.
async fn timed<T>(call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    tokio::time::timeout(IO_TIMEOUT, call)
        .await
        .unwrap_or(Err(StoreError::TimedOut))
}

/// An answer within the I/O timeout, and it is an error.
async fn fails_in_time<T>(call: impl Future<Output = Result<T, StoreError>>) {
    let started = Instant::now();
    let answer = timed(call).await;
    let elapsed = started.elapsed();
    assert!(
        matches!(
            answer,
            Err(StoreError::Unavailable(_) | StoreError::TimedOut)
        ),
        "not an error"
    );
    assert!(elapsed < IO_TIMEOUT + Duration::from_secs(1), "{elapsed:?}");
}

async fn serves_again(store: &PostgresStore, holder: Holder) {
    until("the store serves again", || async {
        timed(holder.increment(store)).await.is_ok()
    })
    .await;
    // And all of its connections do.
    let mut tasks = JoinSet::new();
    for _ in 0..20 {
        let store = store.clone();
        tasks.spawn(async move { timed(store.load(holder.id, now())).await.unwrap() });
    }
    tasks.join_all().await;
}

async fn what_a_killed_server_acknowledged_is_there() {
    let mut server = PostgresServer::start();
    let store = impatient(&server.url(), "sessions", 8).await;
    let mut holders = Vec::new();
    for _ in 0..4 {
        holders.push((Holder::new(&store).await, Arc::new(AtomicI64::new(0))));
    }
    for round in 1..=2 {
        let over = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        for (holder, acknowledged) in &holders {
            for _ in 0..2 {
                let (store, holder) = (store.clone(), *holder);
                let (over, acknowledged) = (Arc::clone(&over), Arc::clone(acknowledged));
                tasks.spawn(async move {
                    while !over.load(Ordering::SeqCst) {
                        if let Ok(count) = timed(holder.increment(&store)).await {
                            acknowledged.fetch_max(count, Ordering::SeqCst);
                        }
                    }
                });
            }
        }
        let counted = || {
            holders
                .iter()
                .all(|(_, count)| count.load(Ordering::SeqCst) > round * 30)
        };
        until("enough is counted", || async { counted() }).await;
        server.kill();
        over.store(true, Ordering::SeqCst);
        tasks.join_all().await;
        server.restart();
        for (holder, acknowledged) in &holders {
            let acknowledged = acknowledged.load(Ordering::SeqCst);
            until("the server serves", || async {
                timed(store.load(holder.id, now())).await.is_ok()
            })
            .await;
            let count = holder.count(&store).await;
            assert!(
                (acknowledged..=acknowledged + 2).contains(&count),
                "{acknowledged} were acknowledged, {count} are there"
            );
        }
        serves_again(&store, holders[0].0).await;
    }
}

async fn a_frozen_server_is_cut_off_and_serves_again() {
    let server = PostgresServer::start();
    let store = impatient(&server.url(), "sessions", 4).await;
    let holder = Holder::new(&store).await;
    holder.increment(&store).await.unwrap();
    let mut browser = Browser::new(store.clone());
    browser.counts(1).await;
    server.freeze();
    browser.is_asked_to_come_again().await;
    let mut tasks = JoinSet::new();
    for number in 0..8 {
        let store = store.clone();
        tasks.spawn(async move {
            if number % 2 == 0 {
                fails_in_time(holder.increment(&store)).await;
            } else {
                fails_in_time(store.load(holder.id, now())).await;
            }
        });
    }
    tasks.join_all().await;
    server.thaw();
    // The increment that was cut off may have been done: nothing is sent twice, nothing is undone.
    assert!((2..=3).contains(&browser.comes_again().await));
    serves_again(&store, holder).await;
    // Those that were cut off may have been done, or not: never twice.
    let count = holder.count(&store).await;
    assert!((2..=2 + 4 + 100).contains(&count), "{count}");
    no_transaction_is_left(&server.url()).await;
}

async fn a_stopped_server_is_unavailable_and_serves_again() {
    let mut server = PostgresServer::start();
    let store = impatient(&server.url(), "sessions", 4).await;
    let holder = Holder::new(&store).await;
    let mut browser = Browser::new(store.clone());
    browser.counts(1).await;
    server.stop();
    fails_in_time(holder.increment(&store)).await;
    fails_in_time(store.load(holder.id, now())).await;
    browser.is_asked_to_come_again().await;
    server.restart();
    assert_eq!(browser.comes_again().await, 2);
    serves_again(&store, holder).await;
}

async fn the_cleanup_survives_a_stopped_server() {
    let mut server = PostgresServer::start();
    let store = impatient(&server.url(), "sessions", 4).await;
    let handle = store.spawn_cleanup(Cleanup::new().interval(Duration::from_millis(20)));
    server.stop();
    fails_in_time(store.reclaim(now(), 10)).await;
    server.restart();
    let long_ago = now().saturating_sub(Duration::from_secs(86_400));
    until("an expired row is there", || async {
        let record = tower_kr_session::store::Record::new(
            support::secret(),
            long_ago,
            support::IDLE,
            support::ABSOLUTE,
        );
        let id = tower_kr_session::SessionId::generate(long_ago);
        timed(store.create(id, record, long_ago)).await.is_ok()
    })
    .await;
    until("the expired row is gone", || async {
        number(&server.url(), "SELECT count(*) FROM sessions").await == 0
    })
    .await;
    handle.shutdown().await;
}

async fn an_exhausted_pool_answers_in_time() {
    let store = impatient(shared(), "exhausted", 2).await;
    let holder = Holder::new(&store).await;
    let mut browser = Browser::new(store.clone());
    browser.counts(1).await;
    let taken = [
        store.pool().acquire().await.unwrap(),
        store.pool().acquire().await.unwrap(),
    ];
    fails_in_time(store.load(holder.id, now())).await;
    fails_in_time(holder.increment(&store)).await;
    browser.is_asked_to_come_again().await;
    drop(taken);
    assert_eq!(browser.comes_again().await, 2);
    serves_again(&store, holder).await;
}

async fn a_hot_session_leaves_connections_to_others() {
    let store = impatient(shared(), "hot", 3).await;
    let (hot, other) = (Holder::new(&store).await, Holder::new(&store).await);
    // Somebody else holds the hot session's row.
    let mut locker = PgConnection::connect(shared()).await.unwrap();
    let mut lock = locker.begin().await.unwrap();
    let sql = format!("SELECT 1 FROM hot WHERE id = '{}' FOR UPDATE", hot.id);
    sqlx::query(AssertSqlSafe(sql))
        .fetch_one(&mut *lock)
        .await
        .unwrap();
    let mut tasks = JoinSet::new();
    for _ in 0..50 {
        let store = store.clone();
        tasks.spawn(async move {
            let _ = timed(hot.increment(&store)).await;
        });
    }
    // The others are served as if nothing were.
    for _ in 0..20 {
        let started = Instant::now();
        other.increment(&store).await.unwrap();
        assert!(
            started.elapsed() < Duration::from_millis(450),
            "{:?}",
            started.elapsed()
        );
    }
    drop(lock);
    drop(locker);
    tasks.join_all().await;
    serves_again(&store, hot).await;
}

/// The id of a session is public, and a client may send any other.
async fn a_wrong_secret_costs_nobody_a_place_in_a_queue() {
    let store = impatient(shared(), "stranger", 3).await;
    let locked = Holder::new(&store).await;
    // Whatever of an id may decide where a call queues, the two have it in common.
    let mut id = *locked.id.as_bytes();
    id[6] ^= 1;
    let holder = Holder::at(&store, SessionId::from_bytes(id), |_| {}).await;
    let mut locker = PgConnection::connect(shared()).await.unwrap();
    let mut lock = locker.begin().await.unwrap();
    let sql = format!(
        "SELECT 1 FROM stranger WHERE id = '{}' FOR UPDATE",
        locked.id
    );
    sqlx::query(AssertSqlSafe(sql))
        .fetch_one(&mut *lock)
        .await
        .unwrap();
    let mut tasks = JoinSet::new();
    for number in 0..50 {
        let store = store.clone();
        tasks.spawn(async move {
            let started = Instant::now();
            if number % 2 == 0 {
                let at = Instants::at(now());
                let removed = store.remove(locked.id, Some(&support::secret()), at).await;
                assert_eq!(removed.unwrap(), RemoveOutcome::Missing);
            } else {
                let applied = locked.stranger().apply(&store, set("a", b"1")).await;
                assert_eq!(applied.unwrap(), ApplyOutcome::Missing);
            }
            assert!(
                started.elapsed() < Duration::from_millis(450),
                "a stranger waits for the row"
            );
        });
    }
    for _ in 0..5 {
        let started = Instant::now();
        holder.increment(&store).await.unwrap();
        assert!(
            started.elapsed() < Duration::from_millis(450),
            "{:?}",
            started.elapsed()
        );
    }
    tasks.join_all().await;
    drop(lock);
    drop(locker);
    serves_again(&store, locked).await;
}

async fn a_row_locked_by_somebody_else_is_given_up_in_time() {
    let store = impatient(shared(), "locked", 1).await;
    let owner = Owner::new("max").unwrap();
    let holder = Holder::with(&store, |record| record.owner = Some(owner.clone())).await;
    let mut locker = PgConnection::connect(shared()).await.unwrap();
    let mut lock = locker.begin().await.unwrap();
    sqlx::query("SELECT 1 FROM locked FOR UPDATE")
        .fetch_one(&mut *lock)
        .await
        .unwrap();
    let started = Instant::now();
    let refused = timed(holder.increment(&store)).await;
    assert!(started.elapsed() >= Duration::from_millis(500));
    assert!(started.elapsed() < IO_TIMEOUT);
    let text = refused.unwrap_err().to_string();
    assert!(
        text.contains("lock timeout") && text.contains("55P03"),
        "{text}"
    );
    fails_in_time(store.remove_owned(&owner, None, now())).await;
    // Reading waits for nobody, and nobody was removed.
    holder.record(&store).await;
    let connection = "SELECT pg_backend_pid()::bigint";
    let before = sqlx::query_scalar::<_, i64>(connection)
        .fetch_one(store.pool())
        .await
        .unwrap();
    fails_in_time(holder.increment(&store)).await;
    let after = sqlx::query_scalar::<_, i64>(connection)
        .fetch_one(store.pool())
        .await
        .unwrap();
    assert_eq!(before, after, "a refused lock costs no connection");
    drop(lock);
    drop(locker);
    assert_eq!(holder.increment(&store).await.unwrap(), 1);
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
    Holder::new(&store).await.increment(&store).await.unwrap();
    let row = sqlx::query("SELECT lock_timeout, idle, isolation FROM seen")
        .fetch_one(store.pool())
        .await
        .unwrap();
    assert_eq!(row.get::<String, _>(0), "500ms");
    assert_eq!(row.get::<String, _>(1), "10s");
    assert_eq!(row.get::<String, _>(2), "read committed");
}

async fn no_transaction_is_left(url: &str) {
    until("no transaction is open", || async {
        number(
            url,
            "SELECT count(*) FROM pg_stat_activity WHERE pid <> pg_backend_pid() \
             AND backend_type = 'client backend' AND state <> 'idle'",
        )
        .await
            == 0
    })
    .await;
}

async fn calls_cut_off_while_waiting_leave_nothing_open() {
    let server = PostgresServer::start();
    let store = impatient(&server.url(), "sessions", 6).await;
    let holder = Holder::new(&store).await;
    let mut tasks = JoinSet::new();
    for number in 0..300_u64 {
        let store = store.clone();
        tasks.spawn(async move {
            let patience = Duration::from_micros(number * 37 % 5_000);
            tokio::time::timeout(patience, holder.increment(&store))
                .await
                .is_ok()
        });
    }
    let done = tasks
        .join_all()
        .await
        .into_iter()
        .filter(|done| *done)
        .count() as i64;
    no_transaction_is_left(&server.url()).await;
    let count = holder.count(&store).await;
    assert!(
        (done..=300).contains(&count),
        "{done} were acknowledged, {count} are there"
    );
    serves_again(&store, holder).await;
}

async fn revocations_and_sign_ins_never_deadlock() {
    let store = impatient(shared(), "deadlock", 8).await;
    let second = impatient(shared(), "deadlock", 8).await;
    let owners = [Owner::new("max").unwrap(), Owner::new("moritz").unwrap()];
    let mut tasks = JoinSet::new();
    for number in 0..16 {
        let store = if number % 2 == 0 {
            store.clone()
        } else {
            second.clone()
        };
        let owner = owners[number / 2 % 2].clone();
        tasks.spawn(async move {
            for _ in 0..15 {
                let holder = Holder::new(&store).await;
                let mut sign_in = set("a", b"1");
                sign_in.sign_in = Some(SignIn::new(owner.clone(), now()));
                holder.apply(&store, sign_in).await.unwrap();
                match number % 4 {
                    0 => drop(
                        store
                            .remove_owned(&owner, Some(holder.id), now())
                            .await
                            .unwrap(),
                    ),
                    1 => drop(store.reclaim(now(), 10).await.unwrap()),
                    _ => drop(holder.apply(&store, set("b", b"2")).await.unwrap()),
                }
            }
        });
    }
    tasks.join_all().await;
    let deadlocks = number(
        shared(),
        "SELECT sum(deadlocks)::bigint FROM pg_stat_database",
    )
    .await;
    assert_eq!(deadlocks, 0);
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
        let applied = store.apply(holder.id, &holder.secret, delta(), at).await;
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
