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

/// The parameters of a URL that sqlx knows; `options[name]` besides.
const PARAMETERS: [&str; 18] = [
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
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

const ENCODE: &str = "percent-encode the user and the password (`@` is %40, `/` is %2F, `?` is %3F, \
    `#` is %23), and any `@` or `#` after them";

/// The options of a URL. No error repeats it: whatever it holds may be a password.
fn options(url: &str) -> Result<PgConnectOptions, SetupError> {
    let invalid = |reason: &str| SetupError::InvalidUrl {
        reason: reason.to_owned(),
    };
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    if !["postgres", "postgresql"].contains(&scheme) {
        return Err(invalid("it must start with postgres:// or postgresql://"));
    }
    if is_cut_short(rest) {
        return Err(invalid(ENCODE));
    }
    let (url, ignored) = known_parameters(url);
    for parameter in ignored {
        // sqlx would show its value, which may be a secret under a misspelled name.
        tracing::warn!(
            parameter,
            "the database URL has a parameter that is ignored"
        );
    }
    PgConnectOptions::from_str(&url).map_err(|error| match error {
        sqlx::Error::Configuration(error) => invalid(&error.to_string()),
        _ => invalid("it must look like postgres://user:password@host:5432/database"),
    })
}

/// Whether a sign in the user or the password ends what a parser takes for them. It would take the first
/// part of the password for the host, and ask the name servers for it.
fn is_cut_short(after_scheme: &str) -> bool {
    let authority = after_scheme.find(['/', '?']);
    let rest = authority.map_or("", |end| &after_scheme[end..]);
    after_scheme.contains('#') || rest.contains('@')
}

/// The URL without the parameters that sqlx doesn't know, and their names.
fn known_parameters(url: &str) -> (String, Vec<&str>) {
    let Some((start, query)) = url.split_once('?') else {
        return (url.to_owned(), Vec::new());
    };
    let (known, ignored): (Vec<&str>, Vec<&str>) = query.split('&').partition(|pair| {
        let name = pair.split('=').next().unwrap_or_default();
        PARAMETERS.contains(&name) || name.starts_with("options[")
    });
    let names = ignored
        .into_iter()
        .filter_map(|pair| pair.split('=').next())
        .collect();
    (format!("{start}?{}", known.join("&")), names)
}

impl Dialect for Postgres {
    type Settings = PostgresSettings;
}

impl Sealed for Postgres {
    const SINGLE_WRITER: bool = false;
    const COMMIT_GOES_ALONG: bool = false;
    const HAS_DEFAULTS: bool = true;
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

    const NOW: &'static str = "(extract(epoch FROM statement_timestamp()) * 1000)::bigint";

    // The ids are found once, before the deletion, and what another process is just deleting or touching is left alone.
    const RECLAIM: &'static str = "DELETE FROM {sessions} WHERE id = ANY (ARRAY(\
         SELECT id FROM {sessions} WHERE {past} ORDER BY reclaim_slot LIMIT $2 \
         FOR UPDATE SKIP LOCKED)) RETURNING id";

    // Two owners of the same hash merely wait for each other.
    // The table is known by its oid: it has several names, with and without its schema.
    const LOCK_OWNER: Option<&'static str> = Some(
        "SELECT pg_advisory_xact_lock(\
         hashtextextended(encode($1, 'hex'), '{revocations}'::regclass::oid::bigint))",
    );
    const SHARE_OWNER: Option<&'static str> = Some(
        "SELECT pg_advisory_xact_lock_shared(\
         hashtextextended(encode($1, 'hex'), '{revocations}'::regclass::oid::bigint))",
    );
    // The tables may not be there yet, so all stores of the database take turns. A large table takes
    // longer than a request may.
    const LOCK_SCHEMA: Option<&'static str> = Some(
        "SET LOCAL lock_timeout = 60000; \
         SELECT pg_advisory_xact_lock(hashtextextended('tower-kr-session migrations', 0))",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_that_is_not_percent_encoded_is_never_taken_for_a_host() {
        for password in [
            "p@ss#word",
            "p#ss",
            "p#ss@word",
            "p/ss",
            "12/ss",
            "p?ss",
            "12?ss",
            "12?a=b",
            "#",
            "a/@",
        ] {
            let url = format!("postgres://kr:{password}@db.example.org/app");
            let error = options(&url).unwrap_err().to_string();
            // Word for word, so it repeats nothing.
            assert_eq!(error, format!("the database URL can't be used: {ENCODE}"));
        }
        let good = options("postgres://kr:p%40ss%23w%2Fo%3Frd@db.example.org/app").unwrap();
        assert_eq!(good.get_host(), "db.example.org");
        // This one every parser reads as it is meant.
        let good = options("postgres://kr:p@ss@db.example.org/app?sslmode=require").unwrap();
        assert_eq!(good.get_host(), "db.example.org");
    }

    #[test]
    fn a_parameter_that_nobody_knows_is_named_without_its_value() {
        let url =
            "postgres://kr@h/app?pasword=hunter2&sslmode=require&channel_binding&options[a]=b";
        let (known, ignored) = known_parameters(url);
        assert_eq!(known, "postgres://kr@h/app?sslmode=require&options[a]=b");
        assert_eq!(ignored, ["pasword", "channel_binding"]);
        assert_eq!(known_parameters("postgres://h/app").1, [""; 0]);
        options(url).unwrap();
    }
}
