//! The SQLite store and its settings.

mod dialect;
mod file;

use std::time::Duration;

use sqlx::sqlite::{
    Sqlite, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use tokio::time::Instant;

use crate::{
    builder::SqlStoreBuilder,
    dialect::Sealed,
    error::{DatabaseFailure, SetupError},
    health::Health,
    store::SqlStore,
};

const DEFAULT_CONNECTIONS: u32 = 4;

/// How long to wait before a new file is opened again that another process is just setting up.
const BUSY_PAUSE: Duration = Duration::from_millis(5);

/// Stores sessions in an SQLite file: durable on one machine, without a server. Several processes
/// can share the file.
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

/// The settings for SQLite alone.
#[derive(Clone, Debug, Default)]
pub struct SqliteSettings {
    survive_power_loss: bool,
}

impl SqlStore<Sqlite> {
    /// Returns a builder, to change the defaults.
    #[must_use]
    pub fn builder() -> SqlStoreBuilder<Sqlite> {
        SqlStoreBuilder::new(DEFAULT_CONNECTIONS)
    }

    /// Opens the file of this URL, with the default settings. A missing file is created.
    ///
    /// # Errors
    /// If the URL can't be used, or the file can't be opened.
    pub async fn connect(url: &str) -> Result<Self, SetupError> {
        Self::builder().connect(url).await
    }
}

impl SqlStoreBuilder<Sqlite> {
    /// Waits on each change until it is on the disk (`PRAGMA synchronous = FULL`). Default: off.
    ///
    /// With it, nothing that was answered is lost, even if the power fails. Without it (`NORMAL`)
    /// that holds if the process dies, by any signal. A power failure or a crash of the
    /// operating system can then undo the last moments, a logout among them, but never corrupts the
    /// file. Has no effect on a pool of yours.
    #[must_use]
    pub fn survive_power_loss(mut self, yes: bool) -> Self {
        self.settings.survive_power_loss = yes;
        self
    }

    /// Builds a store on a pool of yours.
    ///
    /// The store takes its connections out of the pool and keeps them, one of them to write with.
    /// They close with the store, and the pool may open as many again for others. If the pool has
    /// one connection only, it is given back after each call.
    ///
    /// The pool should have `journal_mode(Wal)`, and a `busy_timeout` and an `acquire_timeout`
    /// below the layer's I/O timeout. It must not be in memory: each connection would have a
    /// database of its own.
    ///
    /// # Errors
    /// If the name of the table or the schema can't be used.
    pub fn build(self, pool: SqlitePool) -> Result<SqliteStore, SetupError> {
        let health = Health::new::<Sqlite>(&pool.connect_options());
        self.store(pool, health, false)
    }

    /// Opens the file of this URL, such as `sqlite://sessions.db` or
    /// `sqlite:///var/lib/app/sessions.db`.
    ///
    /// A missing file is created, readable by its user alone (mode 0600), unless the URL says
    /// otherwise (`?mode=rw`).
    ///
    /// # Errors
    /// If a name or the URL can't be used, or the file can't be opened.
    pub async fn connect(self, url: &str) -> Result<SqliteStore, SetupError> {
        self.names()?;
        let (options, creates) = file::read_url(url)?;
        if creates {
            file::create_private(options.get_filename())?;
        }
        self.connect_with(options).await
    }

    /// Opens the file of these options. The store sets the journal mode (WAL), `synchronous` and
    /// the busy timeout.
    ///
    /// If the options create the file, the process's umask decides who can read it. Unlike
    /// [`connect`](Self::connect), this method can't.
    ///
    /// # Errors
    /// If a name can't be used, the file can't be opened, or the database is in memory.
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
            .test_before_acquire(false);
        // SQLite doesn't wait if two processes switch a new file to WAL at the same moment.
        let deadline = Instant::now() + self.acquire_timeout;
        loop {
            match pool.clone().connect_with(options.clone()).await {
                Ok(pool) => {
                    file::refuse_memory(&pool).await?;
                    return self.build(pool);
                }
                Err(error) if is_busy(&error) && Instant::now() < deadline => {
                    tokio::time::sleep(BUSY_PAUSE).await;
                }
                Err(error) => {
                    let place = Sqlite::place(&options);
                    return Err(DatabaseFailure::new(error, Some(&place)).into());
                }
            }
        }
    }
}

/// Whether this is SQLITE_BUSY (5) in one of its variants: the low byte of a code is its kind.
fn is_busy(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(|error| error.code()?.parse().ok())
        .is_some_and(|code: u32| code & 0xff == 5)
}
