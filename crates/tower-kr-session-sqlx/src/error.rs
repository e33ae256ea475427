//! The errors of this crate. None of them shows a password or a row.

use tower_kr_session::StoreError;

/// An error while a store is set up.
///
/// No message shows a password, even if the URL held one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// The name of a table or schema can't be used.
    #[error("the {what} name \"{name}\" can't be used: {reason}")]
    InvalidName {
        /// `table` or `schema`.
        what: &'static str,
        /// The name, with special characters escaped.
        name: String,
        /// The rule that it breaks.
        reason: &'static str,
    },
    /// The URL can't be used. It isn't repeated here: it may hold a password.
    #[error("the database URL can't be used: {reason}")]
    InvalidUrl {
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// A table is missing.
    #[error(
        "table \"{table}\" is missing: call `migrate()` at start, or run the SQL of `schema_sql()`"
    )]
    MissingTable {
        /// The table that was looked for.
        table: String,
    },
    /// A table was created once and is missing now.
    #[error(
        "table \"{table}\" is missing, but \"{versions}\" says that it was created: restore it, or \
         drop the rest of the store's tables (\"{versions}\" among them) and call `migrate()`"
    )]
    LostTable {
        /// The table that was looked for.
        table: String,
        /// The table that holds the versions of the schema.
        versions: String,
    },
    /// There is a table of this name that the store has not created.
    #[error(
        "table \"{table}\" exists, but not \"{versions}\", which the store creates along with it: \
         choose another name, or restore \"{versions}\" if the table is the store's"
    )]
    ForeignTable {
        /// The table that was found.
        table: String,
        /// The table that would hold the versions of the schema.
        versions: String,
    },
    /// The schema is of an earlier release.
    #[error(
        "the schema of the session table \"{table}\" has version {found}, and this release needs \
         {needed}: call `migrate()` at start"
    )]
    OldSchema {
        /// The table of the sessions.
        table: String,
        /// The version that the database has.
        found: i64,
        /// The version that this release needs.
        needed: i64,
    },
    /// The schema is of a later release.
    #[error(
        "the schema of the session table \"{table}\" has version {found}, and this release knows \
         {known} at most: run the later release"
    )]
    NewSchema {
        /// The table of the sessions.
        table: String,
        /// The version that the database has.
        found: i64,
        /// The latest version that this release knows.
        known: i64,
    },
    /// The database couldn't be reached, or refused a statement.
    #[error("{0}")]
    Database(DatabaseFailure),
}

impl From<DatabaseFailure> for SetupError {
    fn from(failure: DatabaseFailure) -> Self {
        Self::Database(failure)
    }
}

/// An error of the database, or of the connection to it.
///
/// It holds the message alone: the details of a database's error can show rows, and the options of
/// a connection hold a password.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct DatabaseFailure(String);

impl From<sqlx::Error> for DatabaseFailure {
    fn from(error: sqlx::Error) -> Self {
        Self(match error {
            sqlx::Error::Database(database) => match database.code() {
                Some(code) => format!("the database says: {} ({code})", database.message()),
                None => format!("the database says: {}", database.message()),
            },
            sqlx::Error::PoolTimedOut => {
                "no connection in time: the database is down, or all connections are busy"
                    .to_owned()
            }
            sqlx::Error::Configuration(_) => "the connection options can't be used".to_owned(),
            error => error.to_string(),
        })
    }
}

/// Whatever the reason, nobody knows whether the call was done.
impl From<DatabaseFailure> for StoreError {
    fn from(failure: DatabaseFailure) -> Self {
        Self::unavailable(failure)
    }
}
