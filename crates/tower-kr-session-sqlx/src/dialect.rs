//! What differs from database to database. Everything else is written once, above this trait.

use std::{fmt, future::Future, time::Duration};

use sqlx::{Arguments, Database, SqlStr};
use tower_kr_session::SessionId;

/// A database that keeps sessions: [`sqlx::Postgres`] or [`sqlx::Sqlite`]. It can't be implemented outside this crate.
pub trait Dialect: Database + Sealed {
    /// What the builder can set for this database alone.
    #[doc(hidden)]
    type Settings: Clone + fmt::Debug + Default + Send + Sync + 'static;
}

/// The dialect itself.
pub trait Sealed: Database<Arguments: Send> {
    /// Whether the whole database takes one writer at a time. Then writers of this process queue up here, in order, instead
    /// of polling for the database's lock.
    const SINGLE_WRITER: bool;

    /// Whether the commit can go along with the last statement of a transaction, as one message.
    const COMMIT_GOES_ALONG: bool;

    /// Whether a statement that writes needs a transaction around it to run by the store's rules
    /// instead of the defaults of the database.
    const HAS_DEFAULTS: bool;

    /// Makes a `SELECT` lock its row until the end of the transaction.
    const LOCK_ROW: &'static str;

    /// The steps from an empty database to the schema of this release. A step is never changed once it is released.
    const MIGRATIONS: &'static [&'static str];

    /// Begins a transaction in which no lock is waited for longer than this.
    fn begin(lock_timeout: Duration) -> String;

    /// The database's clock, in milliseconds since 1970.
    const NOW: &'static str;

    /// Deletes up to `$2` sessions of which `{past}` is true.
    const RECLAIM: &'static str;

    /// Lets nobody else sign in as this owner (`$1`) until the end of the transaction.
    const LOCK_OWNER: Option<&'static str>;

    /// Keeps this owner (`$1`) from being revoked until the end of the transaction.
    const SHARE_OWNER: Option<&'static str>;

    /// Lets nobody else change the schema until the end of the transaction.
    const LOCK_SCHEMA: Option<&'static str>;

    /// Gives a row if there is the table whose name is the sessions' with `{suffix}`.
    const TABLE_EXISTS: &'static str;

    fn arguments(arguments: &[Argument<'_>]) -> Result<Self::Arguments, sqlx::Error>;

    /// Runs one statement, prepared (and kept so, if it is `persistent`).
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

/// What stands for `$1`, `$2` and so on.
#[derive(Clone, Copy)]
pub enum Argument<'a> {
    Id(Option<SessionId>),
    Integer(Option<i64>),
    Flag(bool),
    Bytes(Option<&'a [u8]>),
}

/// Adds to the arguments of a statement.
pub(crate) fn add<'t, A, T>(arguments: &mut A, value: T) -> Result<(), sqlx::Error>
where
    A: Arguments,
    T: sqlx::Encode<'t, A::Database> + sqlx::Type<A::Database>,
{
    arguments.add(value).map_err(sqlx::Error::Encode)
}
