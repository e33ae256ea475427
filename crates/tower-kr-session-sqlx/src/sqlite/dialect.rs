//! SQLite as a [`Dialect`].

use std::time::Duration;

use sqlx::{
    Row, SqlStr,
    sqlite::{
        Sqlite, SqliteArguments, SqliteConnectOptions, SqliteConnection, SqlitePool, SqliteRow,
    },
};
use tower_kr_session::SessionId;

use super::SqliteSettings;
use crate::{
    dialect::{Argument, Dialect, Sealed, Server, add},
    error::DatabaseFailure,
};

impl Dialect for Sqlite {}

impl Sealed for Sqlite {
    type Settings = SqliteSettings;

    const SINGLE_WRITER: bool = true;
    // The begin never goes along with the first statement: sqlx's thread for the connection panics,
    // with the transaction open, if a later statement of a message was prepared before its table
    // was dropped.
    const COMMIT_GOES_ALONG: bool = true;
    const HAS_DEFAULTS: bool = false;
    // A transaction that writes has the whole database.
    const LOCK_ROW: &'static str = "";
    const UNCHANGED: &'static str = "id = {id} AND revision = {revision}";
    const MIGRATIONS: &'static [&'static str] = &[include_str!("schema.sql")];

    // The connection's busy timeout limits the wait.
    fn begin(_: Duration) -> String {
        "BEGIN IMMEDIATE".to_owned()
    }

    const NOW: &'static str = "CAST(strftime('%s', 'now') AS integer) * 1000";

    const RECLAIM: &'static str = "DELETE FROM {sessions} WHERE id IN \
         (SELECT id FROM {sessions} WHERE {past} LIMIT $2)";

    const LOCK_OWNER: Option<&'static str> = None;
    const SHARE_OWNER: Option<&'static str> = None;

    async fn lock_schema(_: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        Ok(())
    }

    const TABLE_EXISTS: &'static str =
        "SELECT 1 FROM {prefix}sqlite_master WHERE type = 'table' AND name = '{table}{suffix}'";

    const IS_SERVER: bool = false;

    fn place(options: &SqliteConnectOptions) -> String {
        options.get_filename().display().to_string()
    }

    async fn renew(_: &SqlitePool, _: &SqliteSettings) -> Result<(), DatabaseFailure> {
        Ok(())
    }

    async fn probe(_: &SqliteConnectOptions) -> Result<Server, sqlx::Error> {
        Ok(Server::Writable)
    }

    fn arguments(arguments: &[Argument<'_>]) -> Result<SqliteArguments, sqlx::Error> {
        let mut added = SqliteArguments::default();
        for argument in arguments {
            match *argument {
                Argument::Id(id) => add(&mut added, id.map(|id| id.as_bytes().to_vec()))?,
                Argument::Integer(number) => add(&mut added, number)?,
                Argument::Flag(flag) => add(&mut added, flag)?,
                Argument::Bytes(bytes) => add(&mut added, bytes)?,
            }
        }
        Ok(added)
    }

    async fn fetch(
        connection: &mut SqliteConnection,
        sql: SqlStr,
        arguments: SqliteArguments,
        persistent: bool,
    ) -> Result<Vec<SqliteRow>, sqlx::Error> {
        sqlx::query_with(sql, arguments)
            .persistent(persistent)
            .fetch_all(connection)
            .await
    }

    async fn execute(
        connection: &mut SqliteConnection,
        sql: SqlStr,
        arguments: SqliteArguments,
        persistent: bool,
    ) -> Result<u64, sqlx::Error> {
        let done = sqlx::query_with(sql, arguments)
            .persistent(persistent)
            .execute(connection)
            .await?;
        Ok(done.rows_affected())
    }

    async fn run(connection: &mut SqliteConnection, sql: SqlStr) -> Result<(), sqlx::Error> {
        sqlx::raw_sql(sql).execute(connection).await.map(|_| ())
    }

    fn id(row: &SqliteRow, column: usize) -> Result<SessionId, sqlx::Error> {
        let id: &[u8] = row.try_get(column)?;
        let id = id
            .try_into()
            .map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
        Ok(SessionId::from_bytes(id))
    }

    fn integer(row: &SqliteRow, column: usize) -> Result<Option<i64>, sqlx::Error> {
        row.try_get(column)
    }

    fn flag(row: &SqliteRow, column: usize) -> Result<bool, sqlx::Error> {
        row.try_get(column)
    }

    fn bytes(row: &SqliteRow, column: usize) -> Result<Option<&[u8]>, sqlx::Error> {
        row.try_get(column)
    }
}
