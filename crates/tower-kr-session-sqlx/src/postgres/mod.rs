//! The PostgreSQL store and its settings.

mod dialect;

use sqlx::Postgres;

use crate::{builder::SqlStoreBuilder, store::SqlStore};

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

/// On PostgreSQL alone.
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
}
