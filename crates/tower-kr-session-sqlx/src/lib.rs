//! SQLite, PostgreSQL and MySQL stores for [`tower_kr_session`].
//!
//! [`SqliteStore`] keeps sessions in a file, durable on one machine. [`PostgresStore`] and
//! [`MysqlStore`] (MariaDB too) keep them in a server that all processes share. Each is a
//! [`SqlStore`], which is a [`SessionStore`](tower_kr_session::SessionStore) for the layer.
//!
//! ```no_run
//! # #[cfg(feature = "sqlite")]
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use tower_kr_session_sqlx::{Cleanup, SqliteStore};
//!
//! let store = SqliteStore::connect("sqlite://sessions.db").await?;
//! // Creates the tables, or brings them up to date.
//! store.migrate().await?;
//! // Deletes expired sessions, until the handle is dropped.
//! let cleanup = store.spawn_cleanup(Cleanup::new());
//! # Ok(())
//! # }
//! ```
//!
//! A session is one row. A change locks the row, applies what the request changed by
//! [`Record::apply`](tower_kr_session::store::Record::apply), as every store does, and writes it
//! back. The values are one column, so a change of one value writes all of them. The
//! [guide](https://tower-kr-session.github.io/tower-kr-session/guides/sql.html) has the tables,
//! what is durable when, poolers, and figures.
//!
//! # Features
//!
//! `postgres` and `sqlite`, both on by default, and `mysql`.

// Links lead to all stores, also to one that isn't compiled in.
#![cfg_attr(
    not(all(feature = "mysql", feature = "postgres", feature = "sqlite")),
    allow(rustdoc::broken_intra_doc_links)
)]
// Without any database nothing uses what they share.
#![cfg_attr(
    not(any(feature = "mysql", feature = "postgres", feature = "sqlite")),
    allow(dead_code)
)]

mod answers;
// SQLite needs no start in the background.
#[cfg_attr(not(any(feature = "postgres", feature = "mysql")), allow(dead_code))]
mod background;
mod builder;
mod cleanup;
mod columns;
mod dialect;
#[cfg_attr(not(any(feature = "postgres", feature = "mysql")), allow(dead_code))]
mod error;
// SQLite is no server, so some of it goes unused.
#[cfg_attr(not(any(feature = "postgres", feature = "mysql")), allow(dead_code))]
mod health;
mod kept;
mod lease;
mod migrate;
#[cfg(feature = "mysql")]
mod mysql;
mod names;
#[cfg(feature = "postgres")]
mod postgres;
mod row;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod server;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg_attr(not(any(feature = "postgres", feature = "mysql")), allow(dead_code))]
mod start;
mod statements;
mod store;
mod transactions;
mod turns;
mod unlocked;

#[cfg(feature = "mysql")]
pub use mysql::MysqlStore;
#[cfg(feature = "postgres")]
pub use postgres::PostgresStore;
#[cfg(any(feature = "mysql", feature = "postgres"))]
pub use server::ServerDialect;
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteStore;
pub use {
    background::Schema,
    builder::SqlStoreBuilder,
    cleanup::{Cleanup, CleanupHandle},
    dialect::Dialect,
    error::{DatabaseFailure, SetupError},
    store::SqlStore,
};

/// The blocks of these documents compile as printed.
#[cfg(all(doctest, feature = "mysql", feature = "postgres", feature = "sqlite"))]
#[doc = include_str!("../README.md")]
#[doc = include_str!("../../../docs/guides/sql.md")]
struct Documents;
