//! PostgreSQL.

use std::{str::FromStr, time::Duration};

use sqlx::{
    Connection, Row, SqlStr,
    postgres::{
        PgArguments, PgConnectOptions, PgConnection, PgPool, PgPoolOptions, PgRow, Postgres,
    },
    types::Uuid,
};
use tower_kr_session::SessionId;

use crate::{
    builder::SqlStoreBuilder,
    dialect::{Argument, Dialect, Sealed, add},
    error::{DatabaseFailure, SetupError},
    store::SqlStore,
};

const DEFAULT_CONNECTIONS: u32 = 10;

/// A connection that was used this long ago is asked for a sign of life before it is used again.
const TRUSTED_FOR: Duration = Duration::from_secs(1);

/// How long a transaction may stand still, in milliseconds: no call is that slow.
const IDLE_IN_TRANSACTION: u32 = 10_000;

/// Sessions in PostgreSQL (11 or later): shared by all processes, and surviving all of them.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use tower_kr_session_sqlx::{Cleanup, PostgresStore};
///
/// let store = PostgresStore::connect("postgres://app@db.example.org/app").await?;
/// store.migrate().await?;
/// let cleanup = store.spawn_cleanup(Cleanup::new());
/// # Ok(())
/// # }
/// ```
pub type PostgresStore = SqlStore<Postgres>;

/// What can be set for PostgreSQL alone.
#[derive(Clone, Debug, Default)]
pub struct PostgresSettings {
    transaction_pooler: bool,
}

impl SqlStore<Postgres> {
    /// Sets up a store.
    #[must_use]
    pub fn builder() -> SqlStoreBuilder<Postgres> {
        SqlStoreBuilder::new(DEFAULT_CONNECTIONS)
    }

    /// A store in this database, with a pool of its own, everything else as by default.
    ///
    /// # Errors
    /// If the URL can't be used, or the database can't be reached. No error repeats the URL.
    pub async fn connect(url: &str) -> Result<Self, SetupError> {
        Self::builder().connect(url).await
    }
}

impl SqlStoreBuilder<Postgres> {
    /// Works behind a pooler that gives a connection of the server for just one transaction (PgBouncer with
    /// `pool_mode = transaction`): no statement stays prepared, and each call is a transaction. It costs a reading call three
    /// further round trips, so leave it off behind PgBouncer 1.21 or later with `max_prepared_statements` above 0, which
    /// keeps prepared statements itself. Default: off.
    #[must_use]
    pub fn transaction_pooler(mut self, yes: bool) -> Self {
        self.settings.transaction_pooler = yes;
        self
    }

    /// A store on a pool of yours.
    ///
    /// The time that this pool waits for a connection (`acquire_timeout`, 30 seconds by default) should be below the layer's
    /// I/O timeout.
    ///
    /// # Errors
    /// If the name of the table or the schema is no identifier.
    pub fn build(self, pool: PgPool) -> Result<PostgresStore, SetupError> {
        let behind_pooler = self.settings.transaction_pooler;
        self.store(pool, behind_pooler)
    }

    /// A store with a pool of its own, on the database of this URL.
    ///
    /// # Errors
    /// If a name or the URL can't be used, or the database can't be reached. No error repeats the URL.
    pub async fn connect(self, url: &str) -> Result<PostgresStore, SetupError> {
        let options = options(url)?;
        self.connect_with(options).await
    }

    /// A store with a pool of its own, on the database of these options.
    ///
    /// # Errors
    /// If a name can't be used, or the database can't be reached.
    pub async fn connect_with(
        self,
        options: PgConnectOptions,
    ) -> Result<PostgresStore, SetupError> {
        self.names()?;
        let options = if self.settings.transaction_pooler {
            // A pooler refuses settings of a session that it doesn't know.
            options.statement_cache_capacity(0).extra_float_digits(None)
        } else {
            options
        };
        let pool = PgPoolOptions::new()
            .max_connections(self.max_connections)
            .acquire_timeout(self.acquire_timeout)
            // Not before each use: that is a round trip of its own.
            .test_before_acquire(false)
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    if meta.idle_for > TRUSTED_FOR {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .connect_with(options)
            .await
            .map_err(DatabaseFailure::from)?;
        self.build(pool)
    }
}

/// The parser's words never repeat the URL.
fn options(url: &str) -> Result<PgConnectOptions, SetupError> {
    if !["postgres://", "postgresql://"]
        .iter()
        .any(|scheme| url.starts_with(scheme))
    {
        return Err(SetupError::InvalidUrl {
            reason: "it must start with postgres:// or postgresql://".to_owned(),
        });
    }
    PgConnectOptions::from_str(url).map_err(|error| SetupError::InvalidUrl {
        reason: match error {
            sqlx::Error::Configuration(error) => error.to_string(),
            _ => "it must look like postgres://user:password@host:5432/database".to_owned(),
        },
    })
}

impl Dialect for Postgres {
    type Settings = PostgresSettings;
}

impl Sealed for Postgres {
    const SINGLE_WRITER: bool = false;
    const JOINS_STATEMENTS: bool = false;
    const LOCK_ROW: &'static str = " FOR UPDATE";
    const MIGRATIONS: &'static [&'static str] = &[include_str!("schema/postgres.sql")];

    fn begin(lock_timeout: Duration) -> String {
        // For this transaction only, so that it works on any pool and behind a pooler. Whoever stops in the middle, with a
        // session locked, is thrown out by the server. A timeout of 0 would mean without end.
        let lock_timeout = lock_timeout.as_millis().clamp(1, i32::MAX as u128);
        format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL lock_timeout = {lock_timeout}; \
             SET LOCAL idle_in_transaction_session_timeout = {IDLE_IN_TRANSACTION}"
        )
    }

    // The ids are found once, before the deletion, and what another process is just deleting or touching is left alone.
    const RECLAIM: &'static str = "DELETE FROM {sessions} WHERE id = ANY (ARRAY(\
         SELECT id FROM {sessions} WHERE reclaim_slot <= $1 ORDER BY reclaim_slot LIMIT $2 \
         FOR UPDATE SKIP LOCKED)) RETURNING id";

    // Two owners of the same hash merely wait for each other.
    const LOCK_OWNER: Option<&'static str> = Some(
        "SELECT pg_advisory_xact_lock(hashtextextended('{revocations}' || encode($1, 'hex'), 0))",
    );
    const SHARE_OWNER: Option<&'static str> = Some(
        "SELECT pg_advisory_xact_lock_shared(hashtextextended('{revocations}' || encode($1, 'hex'), 0))",
    );
    // A large table takes longer than a request may.
    const LOCK_SCHEMA: Option<&'static str> = Some(
        "SET LOCAL lock_timeout = 60000; \
         SELECT pg_advisory_xact_lock(hashtextextended('{migrations}', 0))",
    );

    const TABLE_EXISTS: &'static str =
        "SELECT 1 WHERE to_regclass('{prefix}\"{table}{suffix}\"') IS NOT NULL";

    fn arguments(arguments: &[Argument<'_>]) -> Result<PgArguments, sqlx::Error> {
        let mut added = PgArguments::default();
        for argument in arguments {
            match *argument {
                Argument::Id(id) => add(&mut added, id.map(|id| Uuid::from_bytes(*id.as_bytes())))?,
                Argument::Integer(number) => add(&mut added, number)?,
                Argument::Flag(flag) => add(&mut added, flag)?,
                Argument::Bytes(bytes) => add(&mut added, bytes)?,
            }
        }
        Ok(added)
    }

    async fn fetch(
        connection: &mut PgConnection,
        sql: SqlStr,
        arguments: PgArguments,
        persistent: bool,
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        sqlx::query_with(sql, arguments)
            .persistent(persistent)
            .fetch_all(connection)
            .await
    }

    async fn run(connection: &mut PgConnection, sql: SqlStr) -> Result<(), sqlx::Error> {
        sqlx::raw_sql(sql).execute(connection).await.map(|_| ())
    }

    fn id(row: &PgRow, column: usize) -> Result<SessionId, sqlx::Error> {
        let id: Uuid = row.try_get(column)?;
        Ok(SessionId::from_bytes(id.into_bytes()))
    }

    fn integer(row: &PgRow, column: usize) -> Result<Option<i64>, sqlx::Error> {
        row.try_get(column)
    }

    fn flag(row: &PgRow, column: usize) -> Result<bool, sqlx::Error> {
        row.try_get(column)
    }

    fn bytes(row: &PgRow, column: usize) -> Result<Option<&[u8]>, sqlx::Error> {
        row.try_get(column)
    }
}
