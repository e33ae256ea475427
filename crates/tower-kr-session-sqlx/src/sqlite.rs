//! SQLite.

use std::{fs::OpenOptions, io, path::Path, str::FromStr, time::Duration};

use sqlx::{
    Row, SqlStr,
    sqlite::{
        Sqlite, SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteJournalMode,
        SqlitePool, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
    },
};
use tokio::time::Instant;
use tower_kr_session::SessionId;

use crate::{
    builder::SqlStoreBuilder,
    dialect::{Argument, Dialect, Sealed, add},
    error::{DatabaseFailure, SetupError},
    store::SqlStore,
};

const DEFAULT_CONNECTIONS: u32 = 4;

/// Sessions in an SQLite file: durable on one machine, without a server. Several processes can share the file.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use tower_kr_session_sqlx::{Cleanup, SqliteStore};
///
/// let store = SqliteStore::connect("sqlite://sessions.db").await?;
/// store.migrate().await?;
/// let cleanup = store.spawn_cleanup(Cleanup::new());
/// # Ok(())
/// # }
/// ```
pub type SqliteStore = SqlStore<Sqlite>;

/// What can be set for SQLite alone.
#[derive(Clone, Debug, Default)]
pub struct SqliteSettings {
    survive_power_loss: bool,
}

impl SqlStore<Sqlite> {
    /// Sets up a store.
    #[must_use]
    pub fn builder() -> SqlStoreBuilder<Sqlite> {
        SqlStoreBuilder::new(DEFAULT_CONNECTIONS)
    }

    /// A store in this file, which is made if there is none, everything else as by default.
    ///
    /// # Errors
    /// If the URL can't be used, or the file can't be opened.
    pub async fn connect(url: &str) -> Result<Self, SetupError> {
        Self::builder().connect(url).await
    }
}

impl SqlStoreBuilder<Sqlite> {
    /// Waits on each change until the disk has it (`PRAGMA synchronous = FULL`), so that nothing that was answered is lost
    /// even if the power fails. Without it (`NORMAL`) that holds if the process dies, however hard; a power failure or a
    /// crash of the operating system can undo the last moments, a logout among them, but never corrupts the file. Default:
    /// off. Not used with a pool of yours.
    #[must_use]
    pub fn survive_power_loss(mut self, yes: bool) -> Self {
        self.settings.survive_power_loss = yes;
        self
    }

    /// A store on a pool of yours.
    ///
    /// The pool should have `journal_mode(Wal)`, a `busy_timeout` and an `acquire_timeout` below the layer's I/O timeout, and
    /// no database in memory, which is another one for each connection.
    ///
    /// # Errors
    /// If the name of the table or the schema is no identifier.
    pub fn build(self, pool: SqlitePool) -> Result<SqliteStore, SetupError> {
        self.store(pool, false)
    }

    /// A store with a pool of its own, in the file of this URL (`sqlite://sessions.db`, `sqlite:///var/lib/app/sessions.db`).
    /// The file is made if there is none, unless the URL says otherwise (`?mode=rw`), and then only the user of the process can
    /// read it (mode 0600).
    ///
    /// # Errors
    /// If a name or the URL can't be used, or the file can't be opened.
    pub async fn connect(self, url: &str) -> Result<SqliteStore, SetupError> {
        self.names()?;
        let (options, creates) = options(url)?;
        if creates {
            create_private(options.get_filename()).map_err(|error| SetupError::InvalidUrl {
                reason: format!("the file can't be made: {error}"),
            })?;
        }
        self.connect_with(options).await
    }

    /// A store with a pool of its own, in the file of these options. The journal mode (WAL), `synchronous` and the busy
    /// timeout are set by the store.
    ///
    /// A file that SQLite makes can be read by whomever the process's umask lets; [`connect`](Self::connect) makes one for its
    /// user alone.
    ///
    /// # Errors
    /// If a name can't be used, the file can't be opened, or it is no file but a database in memory.
    pub async fn connect_with(
        self,
        options: SqliteConnectOptions,
    ) -> Result<SqliteStore, SetupError> {
        self.names()?;
        let synchronous = if self.settings.survive_power_loss {
            SqliteSynchronous::Full
        } else {
            SqliteSynchronous::Normal
        };
        let options = options
            .busy_timeout(self.lock_timeout)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(synchronous);
        let pool = SqlitePoolOptions::new()
            .max_connections(self.max_connections)
            .acquire_timeout(self.acquire_timeout)
            // There is no line that could be cut.
            .test_before_acquire(false);
        // Two processes that open a new file at the same moment both want to switch it to WAL, and SQLite doesn't wait then.
        let deadline = Instant::now() + self.acquire_timeout;
        loop {
            match pool.clone().connect_with(options.clone()).await {
                Ok(pool) => {
                    is_file(&pool).await?;
                    return self.build(pool);
                }
                Err(error) if is_busy(&error) && Instant::now() < deadline => {
                    tokio::time::sleep(BUSY_PAUSE).await;
                }
                Err(error) => return Err(DatabaseFailure::from(error).into()),
            }
        }
    }
}

const BUSY_PAUSE: Duration = Duration::from_millis(5);

fn is_busy(error: &sqlx::Error) -> bool {
    // The low byte of SQLite's codes is the kind; 5 is SQLITE_BUSY.
    error
        .as_database_error()
        .and_then(|error| error.code()?.parse().ok())
        .is_some_and(|code: u32| code & 0xff == 5)
}

/// The options of a URL, and whether the file is made if there is none.
fn options(url: &str) -> Result<(SqliteConnectOptions, bool), SetupError> {
    if !url.starts_with("sqlite:") {
        return Err(invalid("it must start with sqlite://"));
    }
    let options = SqliteConnectOptions::from_str(url).map_err(|error| match error {
        sqlx::Error::Configuration(error) => invalid(&error.to_string()),
        _ => invalid("it must look like sqlite://sessions.db"),
    })?;
    let file = options.get_filename();
    if file.as_os_str().is_empty() || file == Path::new(":memory:") {
        return Err(invalid(IN_MEMORY));
    }
    if file.as_os_str().as_encoded_bytes().starts_with(b"file:") {
        return Err(invalid("name the file by its path, without `file:`"));
    }
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let mode = query.split('&').find_map(|pair| pair.strip_prefix("mode="));
    match mode {
        Some("memory") => Err(invalid(IN_MEMORY)),
        None | Some("rwc") => Ok((options.create_if_missing(true), true)),
        Some(_) => Ok((options, false)),
    }
}

const IN_MEMORY: &str =
    "a database in memory is another one for each connection; use a file, or the memory store";

fn invalid(reason: &str) -> SetupError {
    SetupError::InvalidUrl {
        reason: reason.to_owned(),
    }
}

/// Makes the file if there is none, before SQLite would make it readable by everybody. What SQLite puts
/// beside it gets the same permissions.
fn create_private(file: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(file) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Whatever the options say, SQLite knows where the database is.
async fn is_file(pool: &SqlitePool) -> Result<(), SetupError> {
    let row = sqlx::query("SELECT file FROM pragma_database_list WHERE name = 'main'")
        .fetch_one(pool)
        .await
        .map_err(DatabaseFailure::from)?;
    let file: Option<String> = row.try_get(0).map_err(DatabaseFailure::from)?;
    match file.as_deref() {
        None | Some("") => Err(invalid(IN_MEMORY)),
        Some(_) => Ok(()),
    }
}

impl Dialect for Sqlite {
    type Settings = SqliteSettings;
}

impl Sealed for Sqlite {
    const SINGLE_WRITER: bool = true;
    // Never the begin with the first one: sqlx's thread for the connection panics, with the transaction
    // open, if a statement behind another one was prepared before its table went away.
    const COMMIT_GOES_ALONG: bool = true;
    const HAS_DEFAULTS: bool = false;
    // The transaction has the whole database.
    const LOCK_ROW: &'static str = "";
    const MIGRATIONS: &'static [&'static str] = &[include_str!("schema/sqlite.sql")];

    /// Waits at most the connection's busy timeout.
    fn begin(_: Duration) -> String {
        "BEGIN IMMEDIATE".to_owned()
    }

    const NOW: &'static str = "CAST(strftime('%s', 'now') AS integer) * 1000";

    const RECLAIM: &'static str = "DELETE FROM {sessions} WHERE id IN \
         (SELECT id FROM {sessions} WHERE {past} LIMIT $2) RETURNING id";

    const LOCK_OWNER: Option<&'static str> = None;
    const SHARE_OWNER: Option<&'static str> = None;
    const LOCK_SCHEMA: Option<&'static str> = None;

    const TABLE_EXISTS: &'static str =
        "SELECT 1 FROM {prefix}sqlite_master WHERE type = 'table' AND name = '{table}{suffix}'";

    fn arguments(arguments: &[Argument<'_>]) -> Result<SqliteArguments, sqlx::Error> {
        let mut added = SqliteArguments::default();
        for argument in arguments {
            match *argument {
                Argument::Id(id) => add(&mut added, id.map(|id| id.as_bytes().to_vec()))?,
                Argument::Integer(number) => add(&mut added, number)?,
                Argument::Flag(flag) => add(&mut added, flag)?,
                Argument::Bytes(bytes) => add(&mut added, bytes)?,
            }
        }
        Ok(added)
    }

    async fn fetch(
        connection: &mut SqliteConnection,
        sql: SqlStr,
        arguments: SqliteArguments,
        persistent: bool,
    ) -> Result<Vec<SqliteRow>, sqlx::Error> {
        sqlx::query_with(sql, arguments)
            .persistent(persistent)
            .fetch_all(connection)
            .await
    }

    async fn run(connection: &mut SqliteConnection, sql: SqlStr) -> Result<(), sqlx::Error> {
        sqlx::raw_sql(sql).execute(connection).await.map(|_| ())
    }

    fn id(row: &SqliteRow, column: usize) -> Result<SessionId, sqlx::Error> {
        let id: &[u8] = row.try_get(column)?;
        let id = id
            .try_into()
            .map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
        Ok(SessionId::from_bytes(id))
    }

    fn integer(row: &SqliteRow, column: usize) -> Result<Option<i64>, sqlx::Error> {
        row.try_get(column)
    }

    fn flag(row: &SqliteRow, column: usize) -> Result<bool, sqlx::Error> {
        row.try_get(column)
    }

    fn bytes(row: &SqliteRow, column: usize) -> Result<Option<&[u8]>, sqlx::Error> {
        row.try_get(column)
    }
}
