//! What differs between the databases. Everything else is written once, on top of this trait.

use std::{fmt, future::Future, time::Duration};

use sqlx::{Arguments, Database, SqlStr};
use tower_kr_session::SessionId;

/// A database that can store sessions: [`sqlx::Postgres`] or [`sqlx::Sqlite`]. Sealed.
pub trait Dialect: Database + Sealed {
    /// The settings of the builder for this database alone.
    #[doc(hidden)]
    type Settings: Clone + fmt::Debug + Default + Send + Sync + 'static;
}

/// The statements and properties of a database.
pub trait Sealed: Database<Arguments: Send> {
    /// Whether the database takes one writer at a time. The writers of this process then queue
    /// here, in order, instead of polling for the database's lock.
    const SINGLE_WRITER: bool;

    /// Whether the commit goes along with the last statement of a transaction, in one message.
    const COMMIT_GOES_ALONG: bool;

    /// Whether the database or the user may have other defaults for isolation and lock timeout. A
    /// single statement that writes is then put into a transaction that sets both.
    const HAS_DEFAULTS: bool;

    /// Appended to a `SELECT`: locks its row until the end of the transaction.
    const LOCK_ROW: &'static str;

    /// The steps from an empty database to the schema of this release. A step is never changed once
    /// it is released.
    const MIGRATIONS: &'static [&'static str];

    /// Begins a transaction that waits for a lock at most this long.
    fn begin(lock_timeout: Duration) -> String;

    /// An expression: the database's clock, in milliseconds since 1970.
    const NOW: &'static str;

    /// Deletes up to `$2` sessions for which the condition `{past}` holds.
    const RECLAIM: &'static str;

    /// Keeps everybody else from signing in as this owner (`$1`) until the end of the transaction.
    const LOCK_OWNER: Option<&'static str>;

    /// Keeps everybody else from revoking this owner (`$1`) until the end of the transaction.
    const SHARE_OWNER: Option<&'static str>;

    /// Keeps everybody else from changing the schema until the end of the transaction.
    const LOCK_SCHEMA: Option<&'static str>;

    /// Returns a row if there is a table with the sessions' name followed by `{suffix}`.
    const TABLE_EXISTS: &'static str;

    fn arguments(arguments: &[Argument<'_>]) -> Result<Self::Arguments, sqlx::Error>;

    /// Prepares and runs one statement. A `persistent` one stays prepared.
    fn fetch(
        connection: &mut Self::Connection,
        sql: SqlStr,
        arguments: Self::Arguments,
        persistent: bool,
    ) -> impl Future<Output = Result<Vec<Self::Row>, sqlx::Error>> + Send;

    /// Runs statements without arguments, separated by semicolons.
    fn run(
        connection: &mut Self::Connection,
        sql: SqlStr,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;

    fn id(row: &Self::Row, column: usize) -> Result<SessionId, sqlx::Error>;
    fn integer(row: &Self::Row, column: usize) -> Result<Option<i64>, sqlx::Error>;
    fn flag(row: &Self::Row, column: usize) -> Result<bool, sqlx::Error>;
    fn bytes(row: &Self::Row, column: usize) -> Result<Option<&[u8]>, sqlx::Error>;
}

/// An argument of a statement: the first is `$1`.
#[derive(Clone, Copy)]
pub enum Argument<'a> {
    Id(Option<SessionId>),
    Integer(Option<i64>),
    Flag(bool),
    Bytes(Option<&'a [u8]>),
}

/// Appends an argument.
pub(crate) fn add<'t, A, T>(arguments: &mut A, value: T) -> Result<(), sqlx::Error>
where
    A: Arguments,
    T: sqlx::Encode<'t, A::Database> + sqlx::Type<A::Database>,
{
    arguments.add(value).map_err(sqlx::Error::Encode)
}
