//! PostgreSQL as a [`Dialect`].

use std::time::Duration;

use sqlx::{
    Row, SqlStr,
    postgres::{PgArguments, PgConnectOptions, PgConnection, PgPool, PgRow, Postgres},
    types::Uuid,
};
use tower_kr_session::SessionId;

use crate::{
    dialect::{Argument, Dialect, Sealed, Server, add},
    error::DatabaseFailure,
    server::{self, Remote, ServerDialect, ServerSettings},
};

/// The server ends a transaction that stands still for this long, in milliseconds. No call is that
/// slow.
const IDLE_IN_TRANSACTION: u32 = 10_000;

impl Dialect for Postgres {}
impl ServerDialect for Postgres {}

impl Sealed for Postgres {
    type Settings = ServerSettings;

    const SINGLE_WRITER: bool = false;
    const COMMIT_GOES_ALONG: bool = false;
    const HAS_DEFAULTS: bool = true;
    const LOCK_ROW: &'static str = " FOR UPDATE";
    const UNCHANGED: &'static str = "id = (SELECT id FROM {sessions} \
         WHERE id = {id} AND revision = {revision} FOR UPDATE SKIP LOCKED)";
    const MIGRATIONS: &'static [&'static str] = &[include_str!("schema.sql")];

    fn begin(lock_timeout: Duration) -> String {
        // `SET LOCAL` ends with the transaction, so it works on any pool and behind a pooler. The
        // server ends a transaction that stops in the middle with a session locked. A timeout of 0
        // would mean no timeout.
        let lock_timeout = lock_timeout.as_millis().clamp(1, i32::MAX as u128);
        format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; \
             SET LOCAL lock_timeout = {lock_timeout}; \
             SET LOCAL idle_in_transaction_session_timeout = {IDLE_IN_TRANSACTION}"
        )
    }

    const NOW: &'static str = "(extract(epoch FROM statement_timestamp()) * 1000)::bigint";

    // `ARRAY` finds the ids once, before the deletion. `SKIP LOCKED` leaves rows alone that another
    // process is just deleting or touching.
    const RECLAIM: &'static str = "DELETE FROM {sessions} WHERE id = ANY (ARRAY(\
         SELECT id FROM {sessions} WHERE {past} ORDER BY reclaim_slot LIMIT $2 \
         FOR UPDATE SKIP LOCKED))";

    // Keyed by the table's oid, since a table has two names, with and without its schema. Two
    // owners with the same hash merely wait for each other.
    const LOCK_OWNER: Option<&'static str> = Some(
        "SELECT pg_advisory_xact_lock(\
         hashtextextended(encode($1, 'hex'), '{revocations}'::regclass::oid::bigint))",
    );
    const SHARE_OWNER: Option<&'static str> = Some(
        "SELECT pg_advisory_xact_lock_shared(\
         hashtextextended(encode($1, 'hex'), '{revocations}'::regclass::oid::bigint))",
    );
    // The tables may not exist yet, so all stores in the database take turns. A step on a large
    // table takes longer than a request may.
    async fn lock_schema(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let lock = "SET LOCAL lock_timeout = 60000; \
             SELECT pg_advisory_xact_lock(hashtextextended('tower-kr-session migrations', 0))";
        sqlx::raw_sql(lock).execute(connection).await.map(drop)
    }

    const TABLE_EXISTS: &'static str =
        "SELECT 1 WHERE to_regclass('{prefix}\"{table}{suffix}\"') IS NOT NULL";

    const IS_SERVER: bool = true;

    fn place(options: &PgConnectOptions) -> String {
        match options.get_socket() {
            Some(socket) => socket.display().to_string(),
            None => format!("{}:{}", options.get_host(), options.get_port()),
        }
    }

    async fn renew(pool: &PgPool, settings: &ServerSettings) -> Result<(), DatabaseFailure> {
        settings.renew(pool).await
    }

    async fn probe(options: &PgConnectOptions) -> Result<Server, sqlx::Error> {
        server::probe::<Self>(options).await
    }

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

    async fn execute(
        connection: &mut PgConnection,
        sql: SqlStr,
        arguments: PgArguments,
        persistent: bool,
    ) -> Result<u64, sqlx::Error> {
        let done = sqlx::query_with(sql, arguments)
            .persistent(persistent)
            .execute(connection)
            .await?;
        Ok(done.rows_affected())
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

impl Remote for Postgres {
    const SCHEMES: [&'static str; 2] = ["postgres", "postgresql"];

    const PARAMETERS: &'static [&'static str] = &[
        "application_name",
        "dbname",
        "host",
        "hostaddr",
        "options",
        "options[",
        "password",
        "port",
        "ssl-ca",
        "ssl-cert",
        "ssl-key",
        "ssl-mode",
        "ssl-root-cert",
        "sslcert",
        "sslkey",
        "sslmode",
        "sslrootcert",
        "statement-cache-capacity",
        "user",
    ];

    const POOLERS: bool = true;

    fn with_password(options: PgConnectOptions, password: &str) -> PgConnectOptions {
        options.password(password)
    }

    fn for_pooler(options: PgConnectOptions) -> PgConnectOptions {
        // A pooler refuses parameters of a session that it doesn't know.
        options.statement_cache_capacity(0).extra_float_digits(None)
    }

    async fn server(connection: &mut PgConnection) -> Result<Server, sqlx::Error> {
        // It is on while a standby is in recovery, with any settings.
        let row = sqlx::raw_sql("SHOW transaction_read_only")
            .fetch_one(connection)
            .await?;
        let read_only: &str = row.try_get_unchecked(0)?;
        Ok(match read_only {
            "on" => Server::ReadOnly,
            _ => Server::Writable,
        })
    }
}
