//! Sessions of [`tower_kr_session`] in SQLite or PostgreSQL.
//!
//! [`SqliteStore`] keeps them in a file, durable on one machine; [`PostgresStore`] in a server that all processes share. Both
//! are a [`SqlStore`], and a [`SessionStore`](tower_kr_session::SessionStore) for the layer.
//!
//! ```no_run
//! # #[cfg(feature = "sqlite")]
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use tower_kr_session_sqlx::{Cleanup, SqliteStore};
//!
//! let store = SqliteStore::connect("sqlite://sessions.db").await?;
//! // Makes the tables, or brings them up to date.
//! store.migrate().await?;
//! // Deletes expired sessions, until the handle is dropped.
//! let cleanup = store.spawn_cleanup(Cleanup::new());
//! # Ok(())
//! # }
//! ```
//!
//! A session is one row. A change locks the row, applies the changes of the request to it (by
//! [`Record::apply`](tower_kr_session::store::Record::apply), the same for all stores) and writes back what changed. Its values are
//! one run of bytes: changing one of them writes all of them, up to the size limit of the layer.
//!
//! # Features
//! `postgres` and `sqlite`, both on by default.

// The links lead to the store that isn't compiled in, too.
#![cfg_attr(
    not(all(feature = "postgres", feature = "sqlite")),
    allow(rustdoc::broken_intra_doc_links)
)]
// Without any database there is nobody who uses what they share.
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
