//! The errors of this crate. None of them shows a password or a row.

use std::{borrow::Cow, fmt, time::Duration};

use sqlx::error::DatabaseError;
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

impl SetupError {
    /// Whether it comes back until somebody changes something.
    pub(crate) fn lasts(&self) -> bool {
        match self {
            Self::Database(failure) => failure.lasting,
            _ => true,
        }
    }
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
#[error("{message}")]
pub struct DatabaseFailure {
    message: String,
    /// Whether it lasts until somebody changes something: a wrong password, a missing right.
    pub(crate) lasting: bool,
    /// Whether the database has undone the whole transaction, since another one was in the way.
    pub(crate) undone: bool,
    /// Whether the statement alone is undone, since a lock wasn't free in time.
    pub(crate) locked: bool,
    /// Whether a row of the same key was there.
    pub(crate) taken: bool,
}

impl DatabaseFailure {
    fn passing(message: String) -> Self {
        Self {
            message,
            lasting: false,
            undone: false,
            locked: false,
            taken: false,
        }
    }

    /// Describes an error of the database at this place (host and port; `None` for a file).
    pub(crate) fn new(error: sqlx::Error, place: Option<&str>) -> Self {
        let at = at(place);
        let lasting = lasts(&error);
        let database = error.as_database_error();
        let taken = database.is_some_and(DatabaseError::is_unique_violation);
        let code = database.map(|error| code(error).into_owned());
        let code = code.as_deref().unwrap_or_default();
        let undone = ["40001", "40P01", "1020", "1213"].contains(&code);
        let locked = ["55P03", "1205"].contains(&code);
        let message = match error {
            sqlx::Error::Database(database) => {
                let hint = match code {
                    // A prepared statement exists already, or doesn't exist.
                    "42P05" | "26000" => {
                        "; behind a pooler that lends a connection for one transaction, set \
                         `transaction_pooler`"
                    }
                    _ => "",
                };
                format!(
                    "the database{at} says: {} ({code}){hint}",
                    database.message()
                )
            }
            sqlx::Error::Io(error) if place.is_some() => {
                format!("can't reach the database{at}: {error}")
            }
            sqlx::Error::Tls(error) => format!("no TLS with the database{at}: {error}"),
            sqlx::Error::PoolTimedOut => format!("no connection to the database{at} in time"),
            sqlx::Error::Configuration(_) => "the connection options can't be used".to_owned(),
            error => error.to_string(),
        };
        Self {
            message,
            lasting,
            undone,
            locked,
            taken,
        }
    }

    pub(crate) fn no_password(error: impl fmt::Display) -> Self {
        Self {
            lasting: true,
            ..Self::passing(format!(
                "the password of the database can't be had: {error}"
            ))
        }
    }

    pub(crate) fn busy(connections: u32, place: &str) -> Self {
        Self::passing(format!(
            "all {connections} connections of the pool to the database at {place} are busy"
        ))
    }

    pub(crate) fn read_only(place: &str) -> Self {
        Self::passing(format!(
            "the database at {place} is read-only: it may be a standby"
        ))
    }

    pub(crate) fn silent(waited: Duration, place: &str) -> Self {
        Self::passing(format!(
            "the database at {place} hasn't answered for {waited:?}"
        ))
    }

    /// Of a store whose start isn't over.
    pub(crate) fn starting(reason: Option<&str>) -> Self {
        let reason = reason.unwrap_or("the database hasn't answered yet");
        Self::passing(format!("the store isn't set up yet: {reason}"))
    }
}

fn at(place: Option<&str>) -> String {
    place.map_or_else(String::new, |place| format!(" at {place}"))
}

/// Whether an error comes back until somebody changes something.
fn lasts(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Configuration(_) | sqlx::Error::Tls(_) => true,
        // The classes of: user and password, database, schema, and names and rights. Those of MySQL
        // are the same.
        sqlx::Error::Database(error) => {
            let class = error.code().unwrap_or_default();
            ["28", "3D", "3F", "42"]
                .iter()
                .any(|lasting| class.starts_with(lasting))
        }
        _ => false,
    }
}

/// The code of an error: its SQLSTATE, or its number in MySQL, where SQLSTATEs say little. The
/// former has five characters and the latter four.
pub(crate) fn code(error: &dyn DatabaseError) -> Cow<'_, str> {
    #[cfg(feature = "mysql")]
    if let Some(error) = error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
        return error.number().to_string().into();
    }
    error.code().unwrap_or_default()
}

/// Of a value that has nothing to do with the connection.
impl From<sqlx::Error> for DatabaseFailure {
    fn from(error: sqlx::Error) -> Self {
        Self::new(error, None)
    }
}

/// A failure for any reason leaves open whether the call was done.
impl From<DatabaseFailure> for StoreError {
    fn from(failure: DatabaseFailure) -> Self {
        Self::unavailable(failure)
    }
}
