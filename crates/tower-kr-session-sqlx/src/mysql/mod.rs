//! The store for MySQL and MariaDB.

mod dialect;

use sqlx::MySql;

use crate::store::SqlStore;

/// Stores sessions in MariaDB, version 10.6 or later, or MySQL, version 8.0 or later. All processes
/// share them, and they survive a restart of any of them.
///
/// It is tried on MariaDB 10.11. It asks nothing of it that MySQL lacks, but it isn't tried there.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use tower_kr_session_sqlx::{Cleanup, MysqlStore};
///
/// let store = MysqlStore::connect("mysql://app@db.example.org/app").await?;
/// store.migrate().await?;
/// let cleanup = store.spawn_cleanup(Cleanup::new());
/// # Ok(())
/// # }
/// ```
pub type MysqlStore = SqlStore<MySql>;
