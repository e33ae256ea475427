//! The settings of a store.

use std::{sync::Arc, time::Duration};

use sqlx::Pool;

use crate::{dialect::Dialect, error::SetupError, health::Health, names::Names, store::SqlStore};

/// Two waits together stay well inside the layer's default I/O timeout of 10 seconds.
const DEFAULT_LOCK_TIMEOUT: Duration = Duration::from_secs(4);
pub(crate) const DEFAULT_ACQUIRE_TIMEOUT: Duration = Duration::from_secs(4);

/// The databases count milliseconds in 32 bits, and a time further ahead could pass the clock's
/// end.
const LONGEST_TIMEOUT: Duration = Duration::from_millis(i32::MAX as u64);

/// Builds a [`PostgresStore`](crate::PostgresStore), a [`MysqlStore`](crate::MysqlStore) or a
/// [`SqliteStore`](crate::SqliteStore).
#[derive(Clone, Debug)]
pub struct SqlStoreBuilder<D: Dialect> {
    pub(crate) schema: Option<String>,
    pub(crate) table: Option<String>,
    pub(crate) lock_timeout: Duration,
    pub(crate) acquire_timeout: Duration,
    pub(crate) max_connections: u32,
    pub(crate) settings: D::Settings,
}

impl<D: Dialect> SqlStoreBuilder<D> {
    pub(crate) fn new(max_connections: u32) -> Self {
        Self {
            schema: None,
            table: None,
            lock_timeout: DEFAULT_LOCK_TIMEOUT,
            acquire_timeout: DEFAULT_ACQUIRE_TIMEOUT,
            max_connections,
            settings: D::Settings::default(),
        }
    }

    /// The schema of the tables. Default: the connection's own.
    ///
    /// It must exist. On SQLite it is the name of an attached database, on MySQL of another
    /// database.
    ///
    /// Use ASCII letters, digits and underscores, at most 40.
    #[must_use]
    pub fn schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = Some(schema.into());
        self
    }

    /// The table of the sessions. Default: `kr_sessions`.
    ///
    /// Give each application a table of its own: on the same table they share sessions and users.
    /// The store has two more tables, `<table>_revocations` and `<table>_migrations`.
    ///
    /// Use ASCII letters, digits and underscores, at most 40.
    #[must_use]
    pub fn table(mut self, table: impl Into<String>) -> Self {
        self.table = Some(table.into());
        self
    }

    /// How long a call waits for a lock that another process holds. Default: 4 seconds.
    ///
    /// Keep it below the layer's I/O timeout. MySQL counts whole seconds, rounded up. More than 24
    /// days are cut to that.
    #[must_use]
    pub fn lock_timeout(mut self, timeout: Duration) -> Self {
        self.lock_timeout = timeout.min(LONGEST_TIMEOUT);
        self
    }

    /// How long a call waits for a connection of the pool. Default: 4 seconds.
    ///
    /// Keep it below the layer's I/O timeout. More than 24 days are cut to that. Has no effect on a
    /// pool of yours, which has its own.
    #[must_use]
    pub fn acquire_timeout(mut self, timeout: Duration) -> Self {
        self.acquire_timeout = timeout.min(LONGEST_TIMEOUT);
        self
    }

    /// The most connections that the store opens. Default: 10, on SQLite 4, one of which writes.
    ///
    /// Has no effect on a pool of yours.
    #[must_use]
    pub fn max_connections(mut self, connections: u32) -> Self {
        self.max_connections = connections.max(1);
        self
    }

    pub(crate) fn names(&self) -> Result<Names, SetupError> {
        Names::new(self.schema.clone(), self.table.clone())
    }

    pub(crate) fn store(
        &self,
        pool: Pool<D>,
        health: Arc<Health>,
        behind_pooler: bool,
    ) -> Result<SqlStore<D>, SetupError> {
        let names = self.names()?;
        let lock_timeout = self.lock_timeout;
        Ok(SqlStore::new(
            pool,
            health,
            self.settings.clone(),
            names,
            lock_timeout,
            behind_pooler,
        ))
    }
}
