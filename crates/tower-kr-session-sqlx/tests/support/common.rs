//! Tests that are the same on all databases.

use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use sha2::{Digest, Sha256};
use test_support::Check;
use tokio::task::JoinSet;
use tower_kr_session::{
    ManualClock, Owner, SessionId, SessionStore, StoreError,
    store::{
        ApplyOutcome, Delta, Instants, RECLAIM_GRACE, Record, RemoveOutcome, SecretHash, SignIn,
        contract,
    },
};
use tower_kr_session_sqlx::{Cleanup, Dialect, SetupError, SqlStore};

use super::{ABSOLUTE, Holder, IDLE, delta, now, set, until};

/// A database to test on. All tests share one, each has a table of its own.
pub(crate) trait Fixture: Copy + Send + Sync + 'static {
    type Database: Dialect;

    /// A store of this table that gives up on locks after a second, with a pool of its own, not yet
    /// migrated.
    fn open(self, table: &str) -> impl Future<Output = SqlStore<Self::Database>> + Send;

    /// Runs one statement and returns how many rows it changed.
    fn execute(self, sql: String) -> impl Future<Output = u64> + Send;

    /// The number that this query gives.
    fn number(self, sql: String) -> impl Future<Output = i64> + Send;

    /// All that is on disk, or all that a dump gives.
    fn dump(self, table: &str) -> impl Future<Output = Vec<u8>> + Send;
}

type Store<F> = SqlStore<<F as Fixture>::Database>;

pub(crate) fn checks<F: Fixture>(fixture: F) -> Vec<Check> {
    let mut checks: Vec<Check> = contract::rules()
        .into_iter()
        .map(|rule| {
            Check::future(rule.name(), move || async move {
                let (first, second) = (
                    migrated(fixture, "contract").await,
                    migrated(fixture, "contract").await,
                );
                rule.check(Arc::new(first), Arc::new(second)).await;
            })
        })
        .collect();
    macro_rules! add {
        ($($test:ident),* $(,)?) => {
            $(checks.push(Check::future(stringify!($test), move || $test(fixture)));)*
        };
    }
    add![
        several_can_migrate_at_once_and_again,
        a_missing_table_and_another_schema_are_errors_at_start,
        a_dropped_table_is_reported_as_dropped,
        a_table_of_another_application_is_refused,
        the_schema_sql_makes_what_migrate_makes,
        names_may_be_words_of_sql,
        a_call_can_be_dropped_at_any_point,
        a_corrupt_row_is_missing_and_kept,
        a_row_of_a_later_version_is_an_error_and_kept,
        expired_sessions_are_deleted_in_batches,
        a_clock_that_is_ahead_deletes_nothing_that_lives,
        the_rows_of_users_outlast_a_machine_that_is_hours_ahead,
        the_cleanup_survives_errors_and_stops,
        a_table_that_is_gone_for_a_while_costs_nothing_but_errors,
        old_revocations_are_forgotten,
        a_dump_holds_no_secret,
        hostile_text_is_data,
        debug_shows_nothing_of_the_connection,
    ];
    checks
}

pub(crate) async fn migrated<F: Fixture>(fixture: F, table: &str) -> Store<F> {
    let store = fixture.open(table).await;
    store.migrate().await.unwrap();
    store
}

async fn several_can_migrate_at_once_and_again<F: Fixture>(fixture: F) {
    let mut tasks = JoinSet::new();
    for _ in 0..8 {
        tasks.spawn(async move {
            let store = fixture.open("at_once").await;
            store.migrate().await.unwrap();
            Holder::new(&store).await.increment(&store).await.unwrap();
        });
    }
    tasks.join_all().await;
    let versions = fixture.number("SELECT count(*) FROM at_once_migrations".into());
    assert_eq!(versions.await, 1);
    let sessions = fixture.number("SELECT count(*) FROM at_once".into());
    assert_eq!(sessions.await, 8);
}

async fn a_missing_table_and_another_schema_are_errors_at_start<F: Fixture>(fixture: F) {
    let store = fixture.open("checked").await;
    let error = store.check().await.unwrap_err();
    assert!(
        matches!(&error, SetupError::MissingTable { table } if table == "checked"),
        "{error:?}"
    );
    assert!(error.to_string().contains("migrate()"), "{error}");

    store.migrate().await.unwrap();
    store.check().await.unwrap();
    fixture
        .execute("UPDATE checked_migrations SET version = 0".into())
        .await;
    let error = store.check().await.unwrap_err();
    assert!(
        matches!(
            error,
            SetupError::OldSchema {
                found: 0,
                needed: 1,
                ..
            }
        ),
        "{error:?}"
    );
    fixture
        .execute("UPDATE checked_migrations SET version = 7".into())
        .await;
    for error in [
        store.check().await.unwrap_err(),
        store.migrate().await.unwrap_err(),
    ] {
        assert!(
            matches!(
                error,
                SetupError::NewSchema {
                    found: 7,
                    known: 1,
                    ..
                }
            ),
            "{error:?}"
        );
    }
    fixture
        .execute("UPDATE checked_migrations SET version = 1".into())
        .await;
    store.check().await.unwrap();
    fixture
        .execute("ALTER TABLE checked DROP COLUMN persistent".into())
        .await;
    let error = store.check().await.unwrap_err();
    assert!(error.to_string().contains("persistent"), "{error}");
}

/// `migrate()` can't be the answer: the versions say that all is done.
async fn a_dropped_table_is_reported_as_dropped<F: Fixture>(fixture: F) {
    for dropped in ["gone", "gone_revocations"] {
        let store = migrated(fixture, "gone").await;
        fixture.execute(format!("DROP TABLE {dropped}")).await;
        for error in [
            store.check().await.unwrap_err(),
            store.migrate().await.unwrap_err(),
        ] {
            assert!(
                matches!(&error, SetupError::LostTable { table, versions }
                    if table == dropped && versions == "gone_migrations"),
                "{error:?}"
            );
            assert!(error.to_string().contains(dropped), "{error}");
        }
        // What the message says.
        for table in ["gone", "gone_revocations", "gone_migrations"] {
            if table != dropped {
                fixture.execute(format!("DROP TABLE {table}")).await;
            }
        }
    }
    migrated(fixture, "gone").await;
}

/// Nor does the store put its rows into a table of the application.
async fn a_table_of_another_application_is_refused<F: Fixture>(fixture: F) {
    for taken in ["taken", "taken_revocations"] {
        fixture
            .execute(format!("CREATE TABLE {taken} (id int)"))
            .await;
        let store = fixture.open("taken").await;
        for error in [
            store.check().await.unwrap_err(),
            store.migrate().await.unwrap_err(),
        ] {
            assert!(
                matches!(&error, SetupError::ForeignTable { table, versions }
                    if table == taken && versions == "taken_migrations"),
                "{error:?}"
            );
            assert!(error.to_string().contains(taken), "{error}");
        }
        let tables = fixture.execute(format!("DROP TABLE {taken}"));
        tables.await;
    }
    migrated(fixture, "taken").await;
}

async fn the_schema_sql_makes_what_migrate_makes<F: Fixture>(fixture: F) {
    let store = fixture.open("by_hand").await;
    for statement in store.schema_sql().split_inclusive(";\n") {
        fixture.execute(statement.to_owned()).await;
    }
    store.check().await.unwrap();
    let holder = Holder::new(&store).await;
    assert_eq!(holder.increment(&store).await.unwrap(), 1);
}

async fn names_may_be_words_of_sql<F: Fixture>(fixture: F) {
    let store = migrated(fixture, "select").await;
    let holder = Holder::new(&store).await;
    assert_eq!(holder.increment(&store).await.unwrap(), 1);
    let owner = Owner::new("x").unwrap();
    assert_eq!(store.list(&owner, now()).await.unwrap(), []);
    assert_eq!(store.remove_owned(&owner, None, now()).await.unwrap(), 0);
    assert_eq!(store.reclaim(now(), 5).await.unwrap(), 0);
}

/// Polls a call `polls` times, then drops it. Whether it was over by then.
async fn cut_off<T>(call: impl Future<Output = T>, polls: usize) -> Option<T> {
    let mut call = pin!(call);
    let mut left = polls;
    std::future::poll_fn(move |context: &mut Context<'_>| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        call.as_mut().poll(context).map(Some)
    })
    .await
}

async fn a_call_can_be_dropped_at_any_point<F: Fixture>(fixture: F) {
    let store = migrated(fixture, "dropped").await;
    let other = fixture.open("dropped").await;
    let owner = Owner::new("max").unwrap();
    let holder = Holder::new(&store).await;
    let mut counted = 0;
    for polls in 0..14 {
        let mut sign_in = delta();
        sign_in.sign_in = Some(SignIn::new(owner.clone(), now()));
        let counted_now = cut_off(holder.increment(&store), polls).await;
        cut_off(holder.apply(&store, sign_in), polls).await;
        cut_off(store.load(holder.id, now()), polls).await;
        cut_off(Holder::new(&store), polls).await;
        cut_off(
            store.remove_owned(&Owner::new("nobody").unwrap(), None, now()),
            polls,
        )
        .await;
        cut_off(
            store.remove(holder.id, Some(&super::secret()), Instants::at(now())),
            polls,
        )
        .await;
        cut_off(store.reclaim(now(), 10), polls).await;
        // Nothing is left open: another pool gets at the row within its lock timeout, and the pool
        // of the store serves.
        let before = counted;
        counted = holder.increment(&other).await.unwrap();
        let done = counted - before - 1;
        assert!(
            done == 1 || (done == 0 && counted_now.is_none()),
            "{polls}: {done}"
        );
        holder.apply(&store, set("polls", b"x")).await.unwrap();
    }
    assert_eq!(holder.count(&store).await, counted);
    until("all connections are free", || async {
        store.pool().num_idle() as u32 == store.pool().size()
    })
    .await;
}

async fn a_corrupt_row_is_missing_and_kept<F: Fixture>(fixture: F) {
    let store = migrated(fixture, "corrupt").await;
    for damage in [
        "secret = session_values",
        "session_values = secret",
        "retired_at = 5",
        "idle_timeout = -1",
        "owner = secret",
    ] {
        let holder = Holder::with(&store, |record| {
            record.secret = SecretHash::from_bytes([0xff; 32]);
        })
        .await;
        let holder = Holder {
            secret: SecretHash::from_bytes([0xff; 32]),
            ..holder
        };
        let changed = fixture
            .execute(format!("UPDATE corrupt SET {damage}"))
            .await;
        assert_eq!(changed, 1);
        assert_eq!(
            store.load(holder.id, now()).await.unwrap(),
            None,
            "{damage}"
        );
        let applied = holder.apply(&store, set("a", b"1")).await.unwrap();
        assert_eq!(applied, ApplyOutcome::Missing, "{damage}");
        let at = Instants::at(now());
        if !damage.starts_with("session_values") {
            let removed = store.remove(holder.id, Some(&holder.secret), at).await;
            assert_eq!(removed.unwrap(), RemoveOutcome::Missing, "{damage}");
        }
        let kept = fixture.number("SELECT count(*) FROM corrupt".into());
        assert_eq!(kept.await, 1, "{damage}");
        // An administrator gets rid of it.
        store.remove(holder.id, None, at).await.unwrap();
        let kept = fixture.number("SELECT count(*) FROM corrupt".into());
        assert_eq!(kept.await, 0, "{damage}");
    }
}

async fn a_row_of_a_later_version_is_an_error_and_kept<F: Fixture>(fixture: F) {
    let store = migrated(fixture, "later").await;
    let owner = Owner::new("max").unwrap();
    let holder = Holder::with(&store, |record| record.owner = Some(owner.clone())).await;
    fixture
        .execute("UPDATE later SET version = 2, session_values = secret".into())
        .await;
    let later = |result: Result<(), StoreError>| {
        matches!(result, Err(StoreError::UnknownVersion { version: 2 }))
    };
    assert!(later(store.load(holder.id, now()).await.map(drop)));
    assert!(later(holder.apply(&store, delta()).await.map(drop)));
    assert!(later(holder.apply(&store, set("a", b"1")).await.map(drop)));
    assert!(later(store.list(&owner, now()).await.map(drop)));
    let at = Instants::at(now());
    assert!(later(
        store
            .remove(holder.id, Some(&holder.secret), at)
            .await
            .map(drop)
    ));
    let kept = fixture.number("SELECT count(*) FROM later WHERE version = 2".into());
    assert_eq!(kept.await, 1);
    assert_eq!(store.remove_owned(&owner, None, now()).await.unwrap(), 1);
}

/// Some sessions that are over since long, one that is over but may still be committed to, and a
/// live one.
async fn over_and_alive<F: Fixture>(store: &Store<F>, over: usize) -> [Holder; 2] {
    let start = now();
    for _ in 0..over {
        let record = Record::new(
            super::secret(),
            start.saturating_sub(Duration::from_secs(86_400)),
            IDLE,
            ABSOLUTE,
        );
        let id = SessionId::generate(start);
        store.create(id, record, start).await.unwrap();
    }
    let just_over = Holder::with(store, |record| {
        record.idle_deadline = start.saturating_sub(RECLAIM_GRACE / 2);
    })
    .await;
    [just_over, Holder::new(store).await]
}

async fn expired_sessions_are_deleted_in_batches<F: Fixture>(fixture: F) {
    let store = migrated(fixture, "batches").await;
    let [just_over, alive] = over_and_alive::<F>(&store, 25).await;
    for expected in [10, 10, 5, 0] {
        assert_eq!(store.reclaim(now(), 10).await.unwrap(), expected);
    }
    // A request that began in time still commits.
    let at = Instants {
        first_contact: now().saturating_sub(RECLAIM_GRACE),
        now: now(),
    };
    let applied = store
        .apply(just_over.id, &just_over.secret, &delta(), at)
        .await;
    assert!(
        matches!(applied, Ok(ApplyOutcome::Applied(_))),
        "{applied:?}"
    );
    alive.record(&store).await;
    // Ten minutes and the grace after its deadline, the row of an abandoned session is gone for
    // certain.
    over_for(&store, RECLAIM_GRACE + Duration::from_secs(600), |_| {}).await;
    assert_eq!(store.reclaim(now(), 10).await.unwrap(), 1);
}

/// A session whose idle deadline has passed this long ago.
async fn over_for(
    store: &impl SessionStore,
    ago: Duration,
    prepare: impl FnOnce(&mut Record),
) -> Holder {
    Holder::with(store, |record| {
        record.idle_deadline = now().saturating_sub(ago);
        prepare(record);
    })
    .await
}

const YEARS: Duration = Duration::from_secs(10 * 365 * 86_400);
const DAY: Duration = Duration::from_secs(86_400);

/// A node whose clock is years ahead of the database's cleans up.
async fn a_clock_that_is_ahead_deletes_nothing_that_lives<F: Fixture>(fixture: F) {
    let store = migrated(fixture, "ahead").await;
    let owner = Owner::new("max").unwrap();
    let anonymous = Holder::new(&store).await;
    let user = Holder::with(&store, |record| record.owner = Some(owner)).await;
    let leaving = Owner::new("moritz").unwrap();
    store.remove_owned(&leaving, None, now()).await.unwrap();
    let ahead = Arc::new(ManualClock::new(now().saturating_add(YEARS)));
    let cleanup = Cleanup::new()
        .interval(Duration::from_millis(10))
        .clock(ahead);
    let handle = store.spawn_cleanup(cleanup);
    let rows = || fixture.number("SELECT count(*) FROM ahead".into());
    // The second one is deleted by a pass that began after the first one was over.
    for _ in 0..2 {
        over_for(&store, YEARS, |_| {}).await;
        until("what is over is gone", || async { rows().await == 2 }).await;
    }
    handle.shutdown().await;
    anonymous.record(&store).await;
    user.record(&store).await;
    let revocations = fixture.number("SELECT count(*) FROM ahead_revocations".into());
    assert_eq!(revocations.await, 1, "a revocation of now is not forgotten");
}

/// The clock of the database may be wrong as well, by a time zone say: on one machine there is but
/// one clock.
async fn the_rows_of_users_outlast_a_machine_that_is_hours_ahead<F: Fixture>(fixture: F) {
    let store = migrated(fixture, "zones").await;
    let owner = Owner::new("max").unwrap();
    let mut signed_in = |record: &mut Record| record.owner = Some(owner.clone());
    let user = over_for(&store, DAY, &mut signed_in).await;
    over_for(&store, DAY, |_| {}).await;
    over_for(&store, DAY + DAY / 24, &mut signed_in).await;
    assert_eq!(store.reclaim(now(), 10).await.unwrap(), 2);
    // The clock is right again.
    let right = now().saturating_sub(DAY + Duration::from_secs(1));
    assert!(store.load(user.id, right).await.unwrap().is_some());
    // A sign-in moves the row there, a touch keeps it.
    let holder = Holder::new(&store).await;
    let slot = || fixture.number("SELECT max(reclaim_slot) FROM zones".into());
    let before = slot().await;
    let mut sign_in = delta();
    sign_in.sign_in = Some(SignIn::new(owner.clone(), now()));
    for step in [sign_in, delta()] {
        holder.apply(&store, step).await.unwrap();
        let day = i64::try_from(DAY.as_secs() / 600).unwrap();
        assert!((before + day..=before + day + 1).contains(&slot().await));
    }
}

async fn the_cleanup_survives_errors_and_stops<F: Fixture>(fixture: F) {
    let store = migrated(fixture, "cleaned").await;
    let [_, alive] = over_and_alive::<F>(&store, 25).await;
    let rows = || fixture.number("SELECT count(*) FROM cleaned".into());
    fixture
        .execute("ALTER TABLE cleaned RENAME TO cleaned_away".into())
        .await;
    let cleanup = Cleanup::new().interval(Duration::from_millis(20)).batch(10);
    let handle = store.spawn_cleanup(cleanup);
    assert!(store.reclaim(now(), 10).await.is_err());
    tokio::time::sleep(Duration::from_millis(60)).await;
    fixture
        .execute("ALTER TABLE cleaned_away RENAME TO cleaned".into())
        .await;
    until("the expired rows are gone", || async { rows().await == 2 }).await;
    fixture
        .execute("UPDATE cleaned SET reclaim_slot = 0".into())
        .await;
    until("all rows are gone", || async { rows().await == 0 }).await;

    let stopping = Instant::now();
    handle.shutdown().await;
    assert!(stopping.elapsed() < Duration::from_secs(5));
    over_and_alive::<F>(&store, 3).await;
    tokio::time::sleep(Duration::from_millis(60)).await;
    assert_eq!(rows().await, 5, "nothing is deleted after the shutdown");
    assert_eq!(store.load(alive.id, now()).await.unwrap(), None);
}

async fn a_table_that_is_gone_for_a_while_costs_nothing_but_errors<F: Fixture>(fixture: F) {
    let store = migrated(fixture, "away").await;
    let holder = Holder::new(&store).await;
    let owner = Owner::new("max").unwrap();
    let mut sign_in = set("a", b"1");
    sign_in.sign_in = Some(SignIn::new(owner.clone(), now()));
    // Each call is prepared by then.
    for expected in 1..=2 {
        holder.apply(&store, sign_in.clone()).await.unwrap();
        holder.apply(&store, delta()).await.unwrap();
        assert_eq!(holder.increment(&store).await.unwrap(), expected);
        let wrong = Some(&super::secret());
        let gone = Holder::new(&store).await;
        for secret in [wrong, Some(&gone.secret), None] {
            let removed = store.remove(gone.id, secret, Instants::at(now())).await;
            removed.unwrap();
        }
        store.reclaim(now(), 10).await.unwrap();
        store
            .remove_owned(&owner, Some(holder.id), now().saturating_sub(ABSOLUTE))
            .await
            .unwrap();
    }
    fixture
        .execute("ALTER TABLE away RENAME TO away_away".into())
        .await;
    let at = Instants::at(now());
    for _ in 0..4 {
        assert!(holder.increment(&store).await.is_err());
        assert!(holder.apply(&store, delta()).await.is_err());
        assert!(holder.apply(&store, sign_in.clone()).await.is_err());
        assert!(store.load(holder.id, now()).await.is_err());
        assert!(store.list(&owner, now()).await.is_err());
        assert!(store.remove(holder.id, None, at).await.is_err());
        let removed = store.remove(holder.id, Some(&holder.secret), at).await;
        assert!(removed.is_err());
        assert!(store.remove_owned(&owner, None, now()).await.is_err());
        assert!(store.reclaim(now(), 10).await.is_err());
    }
    fixture
        .execute("ALTER TABLE away_away RENAME TO away".into())
        .await;
    assert_eq!(holder.increment(&store).await.unwrap(), 3);
}

async fn old_revocations_are_forgotten<F: Fixture>(fixture: F) {
    let store = migrated(fixture, "forgotten").await;
    let day = Duration::from_secs(86_400);
    for (owner, ago) in [("old", day + Duration::from_secs(60)), ("new", day / 2)] {
        let owner = Owner::new(owner).unwrap();
        let at = now().saturating_sub(ago);
        store.remove_owned(&owner, None, at).await.unwrap();
    }
    // An earlier time doesn't undo a later one.
    let new = Owner::new("new").unwrap();
    let early = now().saturating_sub(day * 2);
    store.remove_owned(&new, None, early).await.unwrap();
    let handle = store.spawn_cleanup(Cleanup::new());
    until("the old revocation is gone", || async {
        fixture
            .number("SELECT count(*) FROM forgotten_revocations".into())
            .await
            == 1
    })
    .await;
    drop(handle);
    let mut sign_in = delta();
    let checked_at = now().saturating_sub(day / 2 + Duration::from_secs(1));
    sign_in.sign_in = Some(SignIn::new(new, checked_at));
    let holder = Holder::new(&store).await;
    let applied = holder.apply(&store, sign_in).await.unwrap();
    assert_eq!(applied, ApplyOutcome::Revoked);
}

async fn a_dump_holds_no_secret<F: Fixture>(fixture: F) {
    let store = migrated(fixture, "dumped").await;
    let secrets = [*super::secret().as_bytes(), *super::secret().as_bytes()];
    let hashes = secrets.map(|secret| SecretHash::from_bytes(Sha256::digest(secret).into()));
    let holder = Holder::with(&store, |record| record.secret = hashes[0]).await;
    let holder = Holder {
        secret: hashes[0],
        ..holder
    };
    let mut rotate = set("color", b"purple-and-visible");
    rotate.rotate = Some(hashes[1]);
    assert!(matches!(
        holder.apply(&store, rotate).await,
        Ok(ApplyOutcome::Applied(_))
    ));
    let dump = fixture.dump("dumped").await;
    let holds = |wanted: &[u8]| dump.windows(wanted.len()).any(|window| window == wanted);
    assert!(holds(b"purple-and-visible") || holds(hex(b"purple-and-visible").as_bytes()));
    for (secret, hash) in secrets.iter().zip(hashes) {
        assert!(holds(hash.as_bytes()) || holds(hex(hash.as_bytes()).as_bytes()));
        assert!(!holds(secret) && !holds(hex(secret).as_bytes()));
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn hostile_text_is_data<F: Fixture>(fixture: F) {
    let store = migrated(fixture, "hostile").await;
    for text in [
        "'; DROP TABLE hostile; --",
        "\"; DROP TABLE hostile; --",
        "$1",
        "%s%n%",
        "\\'; --",
        "\u{0}\u{1f36a}\u{ffff}",
        "{sessions}",
        "' OR 1=1 --",
    ] {
        let owner = Owner::new(text).unwrap();
        let other = Owner::new("bystander").unwrap();
        let holder = Holder::with(&store, |record| record.owner = Some(owner.clone())).await;
        let bystander = Holder::with(&store, |record| record.owner = Some(other)).await;
        let name = text.replace('\u{0}', "");
        let mut delta: Delta = set(&name, text.as_bytes());
        delta.change(super::key("megabyte"), Some(vec![0; 1 << 20].into()));
        holder.apply(&store, delta).await.unwrap();
        let record = holder.record(&store).await;
        assert_eq!(record.values.get(&name), Some(text.as_bytes()));
        assert_eq!(record.values.get("megabyte"), Some(&vec![0; 1 << 20][..]));
        assert_eq!(record.owner.as_ref(), Some(&owner));
        assert_eq!(store.list(&owner, now()).await.unwrap().len(), 1);
        assert_eq!(store.remove_owned(&owner, None, now()).await.unwrap(), 1);
        bystander.record(&store).await;
    }
}

async fn debug_shows_nothing_of_the_connection<F: Fixture>(fixture: F) {
    let store = fixture.open("shown").await;
    let text = format!("{store:?}");
    assert!(text.contains("shown"), "{text}");
    for private in ["kr_user", "127.0.0.1", "/tmp", ".db"] {
        assert!(!text.contains(private), "{text}");
    }
}
