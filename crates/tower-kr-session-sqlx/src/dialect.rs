//! What differs between the databases. Everything else is written once, on top of this trait.

use std::{fmt, future::Future, time::Duration};

use sqlx::{Arguments, Connection, Database, Pool, SqlStr};
use tower_kr_session::SessionId;

use crate::error::DatabaseFailure;

/// A database that can store sessions: [`sqlx::Postgres`], [`sqlx::MySql`] or [`sqlx::Sqlite`].
/// Sealed.
pub trait Dialect: Sealed {}

/// The statements and properties of a database.
pub trait Sealed: Database<Arguments: Send> {
    /// The settings of the builder for this database alone.
    type Settings: Clone + fmt::Debug + Default + Send + Sync + 'static;

    /// Whether the database takes one writer at a time. The store then [keeps](crate::kept) its
    /// connections.
    const SINGLE_WRITER: bool;

    /// Whether the commit goes along with the last statement of a transaction, in one message.
    const COMMIT_GOES_ALONG: bool;

    /// Whether the database or the user may have other defaults for isolation and lock timeout. A
    /// single statement that writes is then put into a transaction that sets both.
    const HAS_DEFAULTS: bool;

    /// Appended to a `SELECT`: locks its row until the end of the transaction.
    const LOCK_ROW: &'static str;

    /// The condition of a statement that changes the session `{id}`, if it has this `{revision}`.
    /// The statement waits for nobody who has locked the row: it finds none then, or fails.
    const UNCHANGED: &'static str;

    /// Put before such a statement.
    const NO_WAIT: &'static str = "";

    /// The steps from an empty database to the schema of this release. A step is never changed once
    /// it is released.
    const MIGRATIONS: &'static [&'static str];

    /// Translates a statement of this crate: names in double quotes, arguments `$1`, `$2`, each of
    /// them once and in this order.
    fn spell(sql: String) -> String {
        sql
    }

    /// Begins a transaction that waits for a lock at most this long.
    fn begin(lock_timeout: Duration) -> String;

    const COMMIT: &'static str = "COMMIT";
    const ROLLBACK: &'static str = "ROLLBACK";

    /// An expression: the database's clock, in milliseconds since 1970.
    const NOW: &'static str;

    /// Deletes up to `$2` sessions for which the condition `{past}` holds.
    const RECLAIM: &'static str;

    /// Returns the `{columns}` of an owner's sessions (`$1`) but for one (`$2`), and locks their
    /// rows (`{lock}`).
    const LOCK_OWNED: &'static str =
        "SELECT {columns} FROM {sessions} WHERE owner = $1 AND (id = $2) IS NOT TRUE{lock}";

    /// Deletes an owner's sessions (`$1`) but for one (`$2`).
    const DELETE_OWNED: &'static str =
        "DELETE FROM {sessions} WHERE owner = $1 AND (id = $2) IS NOT TRUE";

    /// Deletes the revocations for which the condition `{past}` holds.
    const FORGET: &'static str = "DELETE FROM {revocations} WHERE {past}";

    /// Makes `$2` the time of the last revocation of this owner (`$1`), unless there is a later
    /// one.
    const REVOKE: &'static str = "INSERT INTO {revocations} AS held (owner, not_before) \
         VALUES ($1, $2) ON CONFLICT (owner) DO UPDATE SET not_before = excluded.not_before \
         WHERE held.not_before < excluded.not_before";

    /// Keeps everybody else from signing in as this owner (`$1`) until the end of the transaction.
    /// `None` if [`REVOKE`](Self::REVOKE) does.
    const LOCK_OWNER: Option<&'static str>;

    /// Keeps everybody else from revoking this owner (`$1`) until the end of the transaction.
    const SHARE_OWNER: Option<&'static str>;

    /// Keeps everybody else from changing the schema until the end of the transaction, or until
    /// [`UNLOCK_SCHEMA`](Self::UNLOCK_SCHEMA).
    fn lock_schema(
        connection: &mut Self::Connection,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;

    /// Ends the lock on the schema, where the end of the transaction doesn't.
    const UNLOCK_SCHEMA: Option<&'static str> = None;

    /// Returns a row if there is a table with the sessions' name followed by `{suffix}`.
    const TABLE_EXISTS: &'static str;

    /// Whether the database is a server, which can be down.
    const IS_SERVER: bool;

    /// The host and port of the server, its socket, or the file, for errors.
    fn place(options: &<Self::Connection as Connection>::Options) -> String;

    /// Has the pool use the credentials of now for new connections.
    fn renew(
        pool: &Pool<Self>,
        settings: &Self::Settings,
    ) -> impl Future<Output = Result<(), DatabaseFailure>> + Send;

    /// Opens a connection and asks what the server can do.
    fn probe(
        options: &<Self::Connection as Connection>::Options,
    ) -> impl Future<Output = Result<Server, sqlx::Error>> + Send;

    fn arguments(arguments: &[Argument<'_>]) -> Result<Self::Arguments, sqlx::Error>;

    /// Prepares and runs one statement, and returns its rows. A `persistent` one stays prepared.
    fn fetch(
        connection: &mut Self::Connection,
        sql: SqlStr,
        arguments: Self::Arguments,
        persistent: bool,
    ) -> impl Future<Output = Result<Vec<Self::Row>, sqlx::Error>> + Send;

    /// Like [`fetch`](Self::fetch), but returns how many rows the statement has changed.
    fn execute(
        connection: &mut Self::Connection,
        sql: SqlStr,
        arguments: Self::Arguments,
        persistent: bool,
    ) -> impl Future<Output = Result<u64, sqlx::Error>> + Send;

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

/// What a server can do for a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    Writable,
    /// A standby, or a server that is set to be read-only. A standby shows sessions that have
    /// ended.
    ReadOnly,
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
