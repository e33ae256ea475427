//! The SQLite store: the contract, and what can happen to a file.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // Tests, though without the attribute that would tell so.

mod statements;
#[path = "../support/mod.rs"]
mod support;

use std::{
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use sqlx::{
    AssertSqlSafe, Connection, Row, Sqlite,
    sqlite::{
        SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    },
};
use statements::the_guide_has_the_statements_of_each_call;
use support::{
    DEADLINE, Holder,
    browser::Browser,
    common::{self, Fixture},
    delta, now, set,
};
use test_support::{Check, Scratch, block_on, run};
use tokio::task::JoinSet;
use tower_kr_session::{
    ManualClock, Owner, SessionLayer, SessionStore, StoreError,
    store::{ApplyOutcome, Instants, RemoveOutcome, SecretHash, SignIn, contract},
};
use tower_kr_session_sqlx::{SetupError, SqliteStore};

/// The test binary starts itself again as another process that shares the file: `<work> <file>
/// <holder>`.
const WORK: &str = "KR_SESSION_SQLITE_WORK";

fn main() -> ExitCode {
    if let Ok(work) = std::env::var(WORK) {
        block_on(work_in_another_process(&work));
        return ExitCode::SUCCESS;
    }
    statements::count();
    let scratch = Scratch::new();
    let _ = FILE.set(scratch.path().join("sessions.db"));
    run(common::checks(SharedFile).into_iter().chain(own_checks()))
}

fn own_checks() -> Vec<Check> {
    macro_rules! list {
        ($($test:ident),* $(,)?) => { vec![$(Check::future(stringify!($test), $test)),*] };
    }
    list![
        the_contract_holds_in_several_processes_at_once,
        increments_of_several_processes_are_all_counted,
        what_a_killed_process_acknowledged_is_there,
        a_locked_file_is_unavailable_in_time_and_then_serves_again,
        a_wrong_secret_costs_nobody_a_place_in_a_queue,
        a_full_disk_is_unavailable_and_corrupts_nothing,
        a_file_that_can_only_be_read_is_unavailable_for_writes,
        a_layer_over_a_file_that_can_only_be_read_is_not_ready,
        a_touch_does_not_write_the_values,
        a_change_writes_one_page,
        the_guide_has_the_statements_of_each_call,
        some_of_a_users_sessions_cost_as_much_whatever_their_number,
        several_can_open_a_new_file_at_once,
        urls_are_checked,
        a_database_in_memory_is_refused_however_it_is_written,
        a_new_file_is_its_users_alone,
        names_are_checked,
        an_attached_database_serves_as_schema,
        a_pool_of_ones_own_serves,
        a_pool_can_be_closed_under_a_store,
        timeouts_may_be_as_long_as_one_likes,
        the_guide_has_the_schema,
    ]
}

static FILE: OnceLock<PathBuf> = OnceLock::new();

/// The file of the tests of both databases.
#[derive(Clone, Copy)]
struct SharedFile;

impl SharedFile {
    async fn connection() -> SqliteConnection {
        connection(FILE.get().unwrap()).await
    }
}

impl Fixture for SharedFile {
    type Database = Sqlite;

    async fn open(self, table: &str) -> SqliteStore {
        open(FILE.get().unwrap(), table).await
    }

    async fn execute(self, sql: String) -> u64 {
        let mut connection = Self::connection().await;
        let done = sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut connection)
            .await;
        done.unwrap().rows_affected()
    }

    async fn number(self, sql: String) -> i64 {
        number(&mut Self::connection().await, sql).await
    }

    async fn dump(self, _: &str) -> Vec<u8> {
        let path = FILE.get().unwrap();
        let wal = format!("{}-wal", path.display());
        [std::fs::read(path).unwrap(), std::fs::read(wal).unwrap()].concat()
    }
}

fn url(path: &Path) -> String {
    format!("sqlite://{}", path.display())
}

async fn open(path: &Path, table: &str) -> SqliteStore {
    SqliteStore::builder()
        .table(table)
        .lock_timeout(Duration::from_secs(8))
        .acquire_timeout(Duration::from_secs(8))
        .connect(&url(path))
        .await
        .unwrap()
}

/// A store in a file of its own.
async fn fresh() -> (Scratch, SqliteStore) {
    let scratch = Scratch::new();
    let store = open(&scratch.path().join("own.db"), "sessions").await;
    store.migrate().await.unwrap();
    (scratch, store)
}

async fn connection(path: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(DEADLINE);
    SqliteConnection::connect_with(&options).await.unwrap()
}

async fn number(connection: &mut SqliteConnection, sql: String) -> i64 {
    let row = sqlx::query(AssertSqlSafe(sql)).fetch_one(connection).await;
    row.unwrap().get(0)
}

async fn integrity(path: &Path) {
    let row = sqlx::query("PRAGMA integrity_check")
        .fetch_one(&mut connection(path).await)
        .await;
    assert_eq!(row.unwrap().get::<String, _>(0), "ok");
}

fn spawn(work: &str, path: &Path, holder: Option<Holder>) -> Child {
    let holder = holder.map(to_text).unwrap_or_default();
    Command::new(std::env::current_exe().unwrap())
        .env(WORK, format!("{work}\n{}\n{holder}", path.display()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn to_text(holder: Holder) -> String {
    let bytes = holder.secret.as_bytes().map(|byte| byte.to_string());
    format!("{} {}", holder.id, bytes.join(","))
}

fn from_text(text: &str) -> Holder {
    let (id, secret) = text.split_once(' ').unwrap();
    let bytes: Vec<u8> = secret
        .split(',')
        .map(|byte| byte.parse().unwrap())
        .collect();
    Holder {
        id: id.parse().unwrap(),
        secret: SecretHash::from_bytes(bytes.try_into().unwrap()),
    }
}

async fn work_in_another_process(work: &str) {
    let mut parts = work.splitn(3, '\n');
    let (work, path) = (parts.next().unwrap(), Path::new(parts.next().unwrap()));
    let holder = parts.next().filter(|text| !text.is_empty()).map(from_text);
    let store = Arc::new(open(path, "sessions").await);
    store.migrate().await.unwrap();
    match (work, holder) {
        ("contract", _) => {
            for rule in contract::rules() {
                rule.check(Arc::clone(&store), Arc::clone(&store)).await;
            }
        }
        ("increment", Some(holder)) => {
            increment_in_tasks(&store, holder, 64, 50).await;
        }
        ("increment for ever", Some(holder)) => {
            increment_in_tasks(&store, holder, 4, usize::MAX).await;
        }
        _ => panic!("no such work: {work}"),
    }
}

/// Prints each count that is acknowledged.
async fn increment_in_tasks(store: &Arc<SqliteStore>, holder: Holder, tasks: usize, each: usize) {
    let mut running = JoinSet::new();
    for _ in 0..tasks {
        let store = Arc::clone(store);
        running.spawn(async move {
            for _ in 0..each {
                println!("{}", holder.increment(&*store).await.unwrap());
            }
        });
    }
    running.join_all().await;
}

async fn the_contract_holds_in_several_processes_at_once() {
    let (scratch, store) = fresh().await;
    let path = scratch.path().join("own.db");
    let others = [
        spawn("contract", &path, None),
        spawn("contract", &path, None),
    ];
    let second = Arc::new(open(&path, "sessions").await);
    let store = Arc::new(store);
    for rule in contract::rules() {
        rule.check(Arc::clone(&store), Arc::clone(&second)).await;
    }
    for mut other in others {
        assert!(other.wait().unwrap().success());
    }
}

async fn increments_of_several_processes_are_all_counted() {
    let (scratch, store) = fresh().await;
    let path = scratch.path().join("own.db");
    let holder = Holder::new(&store).await;
    let others = [(); 2].map(|()| spawn("increment", &path, Some(holder)));
    let mut seen: Vec<i64> = Vec::new();
    for mut other in others {
        let mut text = String::new();
        other
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        assert!(other.wait().unwrap().success());
        seen.extend(text.lines().map(|line| line.parse::<i64>().unwrap()));
    }
    seen.sort_unstable();
    assert!(seen.into_iter().eq(1..=6_400));
    assert_eq!(holder.count(&store).await, 6_400);
}

async fn what_a_killed_process_acknowledged_is_there() {
    let (scratch, store) = fresh().await;
    let path = scratch.path().join("own.db");
    let holder = Holder::new(&store).await;
    let mut acknowledged = 0;
    for round in 1..=3 {
        let mut other = spawn("increment for ever", &path, Some(holder));
        let mut lines = BufReader::new(other.stdout.take().unwrap()).lines();
        let count = |line: Option<std::io::Result<String>>| {
            line.and_then(Result::ok)
                .and_then(|line| line.parse::<i64>().ok())
        };
        while acknowledged < round * 200 {
            acknowledged = acknowledged.max(count(lines.next()).expect("the process counts"));
        }
        other.kill().unwrap();
        other.wait().unwrap();
        // What it still acknowledged before it died.
        while let Some(counted) = count(lines.next()) {
            acknowledged = acknowledged.max(counted);
        }
        integrity(&path).await;
        let stored = holder.count(&store).await;
        assert!(
            (acknowledged..=acknowledged + 4).contains(&stored),
            "{acknowledged} were acknowledged, {stored} are there"
        );
        assert_eq!(holder.increment(&store).await.unwrap(), stored + 1);
        acknowledged = stored + 1;
    }
}

fn is_unavailable<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Unavailable(_)))
}

async fn a_locked_file_is_unavailable_in_time_and_then_serves_again() {
    let (scratch, store) = fresh().await;
    let path = scratch.path().join("own.db");
    let holder = Holder::new(&store).await;
    let impatient = SqliteStore::builder()
        .table("sessions")
        .lock_timeout(Duration::from_millis(200))
        .connect(&url(&path))
        .await
        .unwrap();
    let mut browser = Browser::new(impatient.clone());
    browser.counts(1).await;
    let mut locker = connection(&path).await;
    sqlx::raw_sql("BEGIN IMMEDIATE")
        .execute(&mut locker)
        .await
        .unwrap();
    let started = Instant::now();
    let refused = holder.apply(&impatient, set("a", b"1")).await;
    assert!(is_unavailable(&refused), "{refused:?}");
    assert!(started.elapsed() >= Duration::from_millis(200));
    assert!(
        started.elapsed() < Duration::from_secs(3),
        "{:?}",
        started.elapsed()
    );
    let text = refused.unwrap_err().to_string();
    assert!(text.contains("locked"), "{text}");
    browser.is_asked_to_come_again().await;
    // Readers don't wait for a writer.
    holder.record(&impatient).await;
    sqlx::raw_sql("ROLLBACK")
        .execute(&mut locker)
        .await
        .unwrap();
    assert_eq!(browser.comes_again().await, 2);
    let applied = holder.apply(&impatient, set("a", b"1")).await;
    assert!(
        matches!(applied, Ok(ApplyOutcome::Applied(_))),
        "{applied:?}"
    );
}

/// All writers of a process stand in one queue; who holds no session stands in none.
async fn a_wrong_secret_costs_nobody_a_place_in_a_queue() {
    let (scratch, store) = fresh().await;
    let path = scratch.path().join("own.db");
    let holder = Holder::new(&store).await;
    let gone = Holder::new(&store).await;
    // Another process holds the file's lock, and a call waits for it.
    let mut locker = connection(&path).await;
    sqlx::raw_sql("BEGIN IMMEDIATE")
        .execute(&mut locker)
        .await
        .unwrap();
    let first = {
        let store = store.clone();
        tokio::spawn(async move { holder.increment(&store).await.unwrap() })
    };
    let mut strangers = JoinSet::new();
    for number in 0..50 {
        let store = store.clone();
        strangers.spawn(async move {
            let delta = match number % 3 {
                0 => {
                    let at = Instants::at(now());
                    let removed = store.remove(holder.id, Some(&support::secret()), at).await;
                    return assert_eq!(removed.unwrap(), RemoveOutcome::Missing);
                }
                1 => set("a", b"1"),
                _ => {
                    let mut delta = delta();
                    delta.sign_in = Some(SignIn::new(Owner::new("eva").unwrap(), now()));
                    delta
                }
            };
            let applied = holder.stranger().apply(&store, delta).await;
            assert_eq!(applied.unwrap(), ApplyOutcome::Missing);
        });
    }
    // All of them are answered while whoever writes waits.
    strangers.join_all().await;
    assert!(!first.is_finished(), "the file was locked all the time");
    let second = {
        let store = store.clone();
        tokio::spawn(async move {
            let at = Instants::at(now());
            store.remove(gone.id, Some(&gone.secret), at).await.unwrap()
        })
    };
    sqlx::raw_sql("ROLLBACK")
        .execute(&mut locker)
        .await
        .unwrap();
    assert_eq!(first.await.unwrap(), 1);
    assert_eq!(second.await.unwrap(), RemoveOutcome::Removed);
}

async fn a_full_disk_is_unavailable_and_corrupts_nothing() {
    let (scratch, store) = fresh().await;
    let path = scratch.path().join("own.db");
    let holder = Holder::new(&store).await;
    holder.apply(&store, set("a", b"before")).await.unwrap();
    let pages = number(&mut connection(&path).await, "PRAGMA page_count".into()).await;
    let options = SqliteConnectOptions::new()
        .filename(&path)
        .journal_mode(SqliteJournalMode::Wal)
        .pragma("max_page_count", (pages + 4).to_string());
    let pool = SqlitePoolOptions::new()
        .connect_with(options)
        .await
        .unwrap();
    let full = SqliteStore::builder()
        .table("sessions")
        .build(pool)
        .unwrap();
    let refused = holder.apply(&full, set("large", &[1; 1 << 20])).await;
    assert!(is_unavailable(&refused), "{refused:?}");
    let mut created = 0;
    let refused = loop {
        let record = tower_kr_session::store::Record::new(
            support::secret(),
            now(),
            support::IDLE,
            support::ABSOLUTE,
        );
        let id = tower_kr_session::SessionId::generate(now());
        match full.create(id, record, now()).await {
            Ok(_) => created += 1,
            refused => break refused,
        }
        assert!(created < 1_000);
    };
    assert!(is_unavailable(&refused), "{refused:?}");
    assert!(refused.unwrap_err().to_string().contains("full"));
    let values = holder.record(&full).await.values;
    assert_eq!(values.get("a"), Some(&b"before"[..]));
    integrity(&path).await;
    // There is room again.
    holder
        .apply(&store, set("large", &[1; 1 << 20]))
        .await
        .unwrap();
    let rows = number(
        &mut connection(&path).await,
        "SELECT count(*) FROM sessions".into(),
    )
    .await;
    assert_eq!(rows, created + 1);
}

async fn a_file_that_can_only_be_read_is_unavailable_for_writes() {
    let (scratch, store) = fresh().await;
    let holder = Holder::new(&store).await;
    let options = SqliteConnectOptions::new()
        .filename(scratch.path().join("own.db"))
        .read_only(true);
    let pool = SqlitePool::connect_with(options).await.unwrap();
    let reader = SqliteStore::builder()
        .table("sessions")
        .build(pool)
        .unwrap();
    reader.check().await.unwrap();
    holder.record(&reader).await;
    let refused = holder.apply(&reader, delta()).await;
    assert!(is_unavailable(&refused), "{refused:?}");
    holder.record(&reader).await;
}

async fn a_layer_over_a_file_that_can_only_be_read_is_not_ready() {
    let scratch = Scratch::new();
    let options = SqliteConnectOptions::new()
        .filename(scratch.path().join("own.db"))
        .create_if_missing(true);
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .connect_with(options)
        .await
        .unwrap();
    let store = SqliteStore::builder().build(pool.clone()).unwrap();
    store.migrate().await.unwrap();
    let clock = Arc::new(ManualClock::new(now()));
    let sessions = SessionLayer::new(store).clock(Arc::clone(&clock));
    let sessions = sessions.sessions().unwrap();
    for (query_only, ready) in [("OFF", true), ("ON", false), ("OFF", true)] {
        let pragma = AssertSqlSafe(format!("PRAGMA query_only = {query_only}"));
        sqlx::raw_sql(pragma).execute(&pool).await.unwrap();
        // What was written just before says nothing any more.
        clock.advance(Duration::from_secs(3));
        let began = Instant::now();
        assert_eq!(sessions.ping().await.is_ok(), ready, "{query_only}");
        assert!(began.elapsed() < Duration::from_secs(2));
    }
}

async fn a_touch_does_not_write_the_values() {
    let (scratch, store) = fresh().await;
    let holder = Holder::new(&store).await;
    holder
        .apply(&store, set("large", &[7; 1 << 20]))
        .await
        .unwrap();
    let mut checkpoint = connection(&scratch.path().join("own.db")).await;
    let row = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&mut checkpoint);
    assert_eq!(row.await.unwrap().get::<i64, _>(0), 0, "not busy");
    for _ in 0..5 {
        holder.apply(&store, delta()).await.unwrap();
    }
    let wal = std::fs::metadata(scratch.path().join("own.db-wal"))
        .unwrap()
        .len();
    assert!(wal > 0 && wal < 200_000, "five touches wrote {wal} bytes");
}

/// No page of an index, that is: neither the owner nor the slot changes.
async fn a_change_writes_one_page() {
    const HEADER: u64 = 32;
    const FRAME: u64 = 24 + 4096;
    let (scratch, store) = fresh().await;
    let holder = Holder::new(&store).await;
    let mut sign_in = delta();
    sign_in.sign_in = Some(SignIn::new(Owner::new("eva").unwrap(), now()));
    let mut checkpoint = connection(&scratch.path().join("own.db")).await;
    for (change, pages) in [(set("a", b"1"), 1), (sign_in, 3), (set("a", b"2"), 1)] {
        let row = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&mut checkpoint);
        assert_eq!(row.await.unwrap().get::<i64, _>(0), 0, "not busy");
        holder.apply(&store, change).await.unwrap();
        let wal = std::fs::metadata(scratch.path().join("own.db-wal")).unwrap();
        assert_eq!(wal.len(), HEADER + pages * FRAME);
    }
}

async fn some_of_a_users_sessions_cost_as_much_whatever_their_number() {
    const MOST: usize = 74;
    let scratch = Scratch::new();
    let options = SqliteConnectOptions::new()
        .filename(scratch.path().join("own.db"))
        .journal_mode(SqliteJournalMode::Wal)
        .create_if_missing(true);
    let steps = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&steps);
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .after_connect(move |connection, _| {
            let steps = Arc::clone(&counted);
            Box::pin(async move {
                let mut handle = connection.lock_handle().await?;
                handle.set_progress_handler(1, move || {
                    steps.fetch_add(1, Ordering::Relaxed);
                    true
                });
                Ok(())
            })
        });
    let pool = pool.connect_with(options).await.unwrap();
    let store = SqliteStore::builder().build(pool).unwrap();
    store.migrate().await.unwrap();
    let owner = Owner::new("max").unwrap();
    let mut costs = Vec::new();
    for sessions in [100, 300] {
        for _ in 0..sessions {
            Holder::with(&store, |record| record.owner = Some(owner.clone())).await;
        }
        steps.store(0, Ordering::Relaxed);
        let some = store.list_up_to(&owner, MOST, now()).await.unwrap();
        assert_eq!(some.len(), MOST);
        costs.push(steps.load(Ordering::Relaxed));
    }
    // The index has one more level, perhaps.
    assert!(costs[0].abs_diff(costs[1]) < 100, "{costs:?}");
}

async fn several_can_open_a_new_file_at_once() {
    let scratch = Scratch::new();
    for round in 0..20 {
        let path = scratch.path().join(format!("{round}.db"));
        let mut tasks = JoinSet::new();
        for _ in 0..6 {
            let path = path.clone();
            tasks.spawn(async move { open(&path, "sessions").await.migrate().await.unwrap() });
        }
        tasks.join_all().await;
    }
}

async fn urls_are_checked() {
    let scratch = Scratch::new();
    let missing = url(&scratch.path().join("no/such/folder.db"));
    for bad in [
        "sessions.db",
        "postgres://kr:hunter2@localhost/x",
        "sqlite://x?mode=hunter",
        &missing,
    ] {
        let error = SqliteStore::connect(bad).await.unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(!text.contains("hunter2"), "{text}");
    }
    let absent = format!("{}?mode=rw", url(&scratch.path().join("absent.db")));
    assert!(SqliteStore::connect(&absent).await.is_err());
    assert!(!scratch.path().join("absent.db").exists());
}

/// Each connection would have a database of its own, without a word.
async fn a_database_in_memory_is_refused_however_it_is_written() {
    for bad in [
        "sqlite:",
        "sqlite://",
        "sqlite://?mode=rwc",
        "sqlite::memory:",
        "sqlite://:memory:",
        "sqlite://%3Amemory%3A",
        "sqlite://%3amemory:?mode=rwc",
        "sqlite://x?mode=memory",
        "sqlite://x?mode=%6demory",
        "sqlite:file::memory:",
        "sqlite:file:x%3Fmode=memory",
        "sqlite:file:",
        "sqlite:%66ile:x.db",
    ] {
        let error = SqliteStore::connect(bad).await.unwrap_err();
        assert!(
            matches!(error, SetupError::InvalidUrl { .. }),
            "{bad}: {error}"
        );
    }
    let error = SqliteStore::connect("sqlite://:memory:").await.unwrap_err();
    assert!(error.to_string().contains("use a file"), "{error}");
    let private = SqliteConnectOptions::new().filename(":memory:");
    let error = SqliteStore::builder().connect_with(private).await;
    let error = error.unwrap_err();
    assert!(matches!(error, SetupError::InvalidUrl { .. }), "{error}");
    // A name is not more than it says.
    let scratch = Scratch::new();
    for name in ["mode=memory.db", "x:memory:.db", "50%25.db"] {
        let url = url(&scratch.path().join(name));
        SqliteStore::connect(&url)
            .await
            .unwrap()
            .migrate()
            .await
            .unwrap();
        let file = scratch.path().join(name.replace("%25", "%"));
        assert!(file.exists(), "{}", file.display());
    }
}

/// Whoever else has an account on the machine reads no values of sessions.
#[cfg(unix)]
async fn a_new_file_is_its_users_alone() {
    use std::{fs, os::unix::fs::PermissionsExt};
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let scratch = Scratch::new();
    for query in ["", "?mode=rwc"] {
        let path = scratch.path().join(format!("new{}.db", query.len()));
        let store = SqliteStore::connect(&format!("{}{query}", url(&path))).await;
        let store = store.unwrap();
        store.migrate().await.unwrap();
        Holder::new(&store).await;
        for end in ["", "-wal", "-shm"] {
            let file = PathBuf::from(format!("{}{end}", path.display()));
            assert_eq!(mode(&file), 0o600, "{}", file.display());
        }
    }
    // What somebody made before stays as they made it.
    let path = scratch.path().join("shared.db");
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o660)).unwrap();
    let store = SqliteStore::connect(&url(&path)).await.unwrap();
    store.migrate().await.unwrap();
    assert_eq!(mode(&path), 0o660);
}

async fn names_are_checked() {
    let scratch = Scratch::new();
    let path = scratch.path().join("own.db");
    let error = SqliteStore::builder()
        .table("x\"; DROP TABLE y; --")
        .connect(&url(&path))
        .await
        .unwrap_err();
    assert!(
        matches!(error, SetupError::InvalidName { what: "table", .. }),
        "{error:?}"
    );
    assert!(!path.exists(), "names are checked before the file is made");
}

async fn an_attached_database_serves_as_schema() {
    let scratch = Scratch::new();
    let path = scratch.path().join("own.db");
    let attached = scratch.path().join("attached.db");
    let attach = format!("ATTACH '{}' AS aside", attached.display());
    let pool = SqlitePoolOptions::new()
        .after_connect(move |connection, _| {
            let attach = AssertSqlSafe(attach.clone());
            Box::pin(async move {
                sqlx::raw_sql(attach).execute(connection).await?;
                Ok(())
            })
        })
        .connect_with(
            SqliteConnectOptions::new()
                .filename(&path)
                .create_if_missing(true),
        )
        .await
        .unwrap();
    let store = SqliteStore::builder()
        .schema("aside")
        .table("s")
        .build(pool)
        .unwrap();
    store.migrate().await.unwrap();
    let holder = Holder::new(&store).await;
    assert_eq!(holder.increment(&store).await.unwrap(), 1);
    let tables = number(
        &mut connection(&attached).await,
        "SELECT count(*) FROM sqlite_master WHERE type = 'table'".into(),
    )
    .await;
    assert_eq!(tables, 3);
}

async fn a_pool_of_ones_own_serves() {
    let scratch = Scratch::new();
    let options = SqliteConnectOptions::new()
        .filename(scratch.path().join("own.db"))
        .create_if_missing(true);
    let pool = SqlitePool::connect_with(options).await.unwrap();
    let store = SqliteStore::builder().build(pool).unwrap();
    store.migrate().await.unwrap();
    store.migrate().await.unwrap();
    let holder = Holder::new(&store).await;
    assert_eq!(holder.increment(&store).await.unwrap(), 1);
}

/// The connection of those who write keeps nobody waiting.
async fn a_pool_can_be_closed_under_a_store() {
    let (_scratch, store) = fresh().await;
    let holder = Holder::new(&store).await;
    assert_eq!(holder.increment(&store).await.unwrap(), 1);
    tokio::time::timeout(DEADLINE, store.pool().close())
        .await
        .unwrap();
    let refused = holder.apply(&store, set("a", b"1")).await;
    assert!(is_unavailable(&refused), "{refused:?}");
}

async fn timeouts_may_be_as_long_as_one_likes() {
    let scratch = Scratch::new();
    let store = SqliteStore::builder()
        .lock_timeout(Duration::MAX)
        .acquire_timeout(Duration::MAX)
        .connect(&url(&scratch.path().join("own.db")))
        .await
        .unwrap();
    store.migrate().await.unwrap();
    let holder = Holder::new(&store).await;
    assert_eq!(holder.increment(&store).await.unwrap(), 1);
}

async fn the_guide_has_the_schema() {
    let scratch = Scratch::new();
    let store = SqliteStore::connect(&url(&scratch.path().join("own.db"))).await;
    support::assert_in_guide(&store.unwrap().schema_sql());
}
