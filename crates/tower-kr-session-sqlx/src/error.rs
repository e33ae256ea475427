//! What can go wrong, told without secrets.

use tower_kr_session::StoreError;

/// Why a store can't be set up.
///
/// No message holds a password, even if it came in a URL.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// A name that is no plain identifier.
    #[error("the {what} name \"{name}\" can't be used: {reason}")]
    InvalidName {
        /// `table` or `schema`.
        what: &'static str,
        /// The name, with special characters escaped.
        name: String,
        /// Which rule it breaks.
        reason: &'static str,
    },
    /// The URL names no database of this kind. It isn't repeated here: it may hold a password.
    #[error("the database URL can't be used: {reason}")]
    InvalidUrl {
        /// What is wrong.
        reason: String,
    },
    /// A table isn't there.
    #[error(
        "there is no table \"{table}\": call `migrate()` at start, or run the SQL of `schema_sql()`"
    )]
    MissingTable {
        /// The table that was looked for.
        table: String,
    },
    /// A table is gone that was made.
    #[error(
        "there is no table \"{table}\", though \"{versions}\" says that it was made: restore it, or drop \
         what is left of the store's tables (\"{versions}\" among them) and call `migrate()`"
    )]
    LostTable {
        /// The table that was looked for.
        table: String,
        /// The table that holds the versions of the schema.
        versions: String,
    },
    /// A table of this name is there, but it is not of this store's making.
    #[error(
        "there is a table \"{table}\", but no \"{versions}\", which the store makes along with it: choose \
         another name, or restore the versions if the table is the store's"
    )]
    ForeignTable {
        /// The table that was found.
        table: String,
        /// The table that would hold the versions of the schema.
        versions: String,
    },
    /// The tables are of an earlier release.
    #[error(
        "the schema of the session table \"{table}\" has version {found}, this release needs {needed}: call `migrate()` at start"
    )]
    OldSchema {
        /// The table of the sessions.
        table: String,
        /// The version that the database has.
        found: i64,
        /// The version that this release needs.
        needed: i64,
    },
    /// The tables are of a later release.
    #[error(
        "the schema of the session table \"{table}\" has version {found}, this release knows only {known}: run the later release"
    )]
    NewSchema {
        /// The table of the sessions.
        table: String,
        /// The version that the database has.
        found: i64,
        /// The latest version that this release knows.
        known: i64,
    },
    /// The database can't be reached, or refused a statement.
    #[error("{0}")]
    Database(DatabaseFailure),
}

impl From<DatabaseFailure> for SetupError {
    fn from(failure: DatabaseFailure) -> Self {
        Self::Database(failure)
    }
}

/// What a database said, or why it said nothing.
///
/// Only the message: the details of a database's error can show rows, and the options of a connection hold a password.
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

/// Of a call: whatever the reason, it isn't known to have been done.
impl From<DatabaseFailure> for StoreError {
    fn from(failure: DatabaseFailure) -> Self {
        Self::unavailable(failure)
    }
}
