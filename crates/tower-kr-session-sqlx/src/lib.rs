//! SQLite and PostgreSQL stores for [`tower_kr_session`].
//!
//! [`SqliteStore`] keeps sessions in a file, durable on one machine. [`PostgresStore`] keeps them
//! in a server that all processes share. Both are a [`SqlStore`], which is a
//! [`SessionStore`](tower_kr_session::SessionStore) for the layer.
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
//! back. The values are one column, so a change of one value writes all of them.
//!
//! # Features
//!
//! `postgres` and `sqlite`, both on by default.

// Links lead to both stores, also to one that isn't compiled in.
#![cfg_attr(
    not(all(feature = "postgres", feature = "sqlite")),
    allow(rustdoc::broken_intra_doc_links)
)]
// Without any database nothing uses what the two share.
#![cfg_attr(not(any(feature = "postgres", feature = "sqlite")), allow(dead_code))]

mod answers;
mod builder;
mod cleanup;
mod columns;
mod dialect;
mod error;
mod lease;
mod migrate;
mod names;
#[cfg(feature = "postgres")]
mod postgres;
mod row;
#[cfg(feature = "sqlite")]
mod sqlite;
mod statements;
mod store;
mod transactions;
mod turns;

#[cfg(feature = "postgres")]
pub use postgres::PostgresStore;
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteStore;
pub use {
    builder::SqlStoreBuilder,
    cleanup::{Cleanup, CleanupHandle},
    dialect::Dialect,
    error::{DatabaseFailure, SetupError},
    store::SqlStore,
};

#[cfg(all(doctest, feature = "postgres", feature = "sqlite"))]
#[doc = include_str!("../README.md")]
struct Readme;
