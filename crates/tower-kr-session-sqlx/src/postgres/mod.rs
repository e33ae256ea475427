//! The PostgreSQL store and its settings.

mod dialect;
mod url;

use std::time::Duration;

use sqlx::{
    Connection,
    postgres::{PgConnectOptions, PgPool, PgPoolOptions, Postgres},
};

use crate::{
    builder::SqlStoreBuilder,
    error::{DatabaseFailure, SetupError},
    store::SqlStore,
};

const DEFAULT_CONNECTIONS: u32 = 10;

/// A connection that was idle for longer is pinged before it is used again.
const TRUSTED_FOR: Duration = Duration::from_secs(1);

/// Stores sessions in PostgreSQL, version 11 or later. All processes share them, and they survive a
/// restart of any of them.
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

/// The settings for PostgreSQL alone.
#[derive(Clone, Debug, Default)]
pub struct PostgresSettings {
    transaction_pooler: bool,
}

impl SqlStore<Postgres> {
    /// Returns a builder, to change the defaults.
    #[must_use]
    pub fn builder() -> SqlStoreBuilder<Postgres> {
        SqlStoreBuilder::new(DEFAULT_CONNECTIONS)
    }

    /// Connects to the database of this URL, with a pool of its own and the default settings.
    ///
    /// # Errors
    /// If the URL can't be used, or the database can't be reached. No error repeats the URL.
    pub async fn connect(url: &str) -> Result<Self, SetupError> {
        Self::builder().connect(url).await
    }
}

impl SqlStoreBuilder<Postgres> {
    /// Works behind a pooler that lends a server connection for one transaction only, such as
    /// PgBouncer with `pool_mode = transaction`. Default: off.
    ///
    /// No statement stays prepared, and each call is a transaction, so a read takes three more
    /// round trips. Leave it off behind PgBouncer 1.21 or later with `max_prepared_statements`
    /// above 0: that one keeps prepared statements itself.
    #[must_use]
    pub fn transaction_pooler(mut self, yes: bool) -> Self {
        self.settings.transaction_pooler = yes;
        self
    }

    /// Builds a store on a pool of yours.
    ///
    /// Set the pool's `acquire_timeout` (30 seconds by default) below the layer's I/O timeout.
    ///
    /// # Errors
    /// If the name of the table or the schema can't be used.
    pub fn build(self, pool: PgPool) -> Result<PostgresStore, SetupError> {
        let behind_pooler = self.settings.transaction_pooler;
        self.store(pool, behind_pooler)
    }

    /// Connects to the database of this URL, with a pool of its own.
    ///
    /// Percent-encode the user and the password. A parameter that sqlx doesn't read is logged by
    /// its name and ignored.
    ///
    /// # Errors
    /// If a name or the URL can't be used, or the database can't be reached. No error repeats the
    /// URL.
    pub async fn connect(self, url: &str) -> Result<PostgresStore, SetupError> {
        let options = url::read(url)?;
        self.connect_with(options).await
    }

    /// Connects to the database of these options, with a pool of its own.
    ///
    /// # Errors
    /// If a name can't be used, or the database can't be reached.
    pub async fn connect_with(
        self,
        options: PgConnectOptions,
    ) -> Result<PostgresStore, SetupError> {
        self.names()?;
        let options = if self.settings.transaction_pooler {
            // A pooler refuses parameters of a session that it doesn't know.
            options.statement_cache_capacity(0).extra_float_digits(None)
        } else {
            options
        };
        let pool = PgPoolOptions::new()
            .max_connections(self.max_connections)
            .acquire_timeout(self.acquire_timeout)
            // Not before each use: a ping is a round trip.
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
