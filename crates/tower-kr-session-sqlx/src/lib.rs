#![doc = include_str!("../README.md")]

mod builder;
mod cleanup;
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
