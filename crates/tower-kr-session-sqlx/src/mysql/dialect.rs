//! MySQL and MariaDB as a [`Dialect`].

use std::time::Duration;

use sqlx::{
    Row, SqlStr,
    mysql::{MySql, MySqlArguments, MySqlConnectOptions, MySqlConnection, MySqlPool, MySqlRow},
};
use tower_kr_session::SessionId;

use crate::{
    dialect::{Argument, Dialect, Sealed, Server, add},
    error::DatabaseFailure,
    server::{self, Remote, ServerDialect, ServerSettings},
};

/// MariaDB ends a transaction that stands still for this long, in seconds. No call is that slow.
const IDLE_TRANSACTION: u32 = 10;

/// How long to wait for another process that migrates, in seconds.
const MIGRATION: u32 = 60;

impl Dialect for MySql {}
impl ServerDialect for MySql {}

impl Sealed for MySql {
    type Settings = ServerSettings;

    const SINGLE_WRITER: bool = false;
    // A prepared statement is always one.
    const COMMIT_GOES_ALONG: bool = false;
    const HAS_DEFAULTS: bool = true;
    const LOCK_ROW: &'static str = " FOR UPDATE";

    // What is in `/*M! */` is for MariaDB alone, which has a way to wait for no lock at all. What
    // is in `/*!80000 */` is for MySQL alone. It refuses to change a table that a subquery reads,
    // unless another one is around it and stays there, for which the limit is.
    const NO_WAIT: &'static str = "/*M! SET STATEMENT innodb_lock_wait_timeout = 0 FOR */ ";
    const UNCHANGED: &'static str = "/*!80000 id = (SELECT id FROM (SELECT id FROM {sessions} WHERE */ \
         id = {id} AND revision = {revision} \
         /*!80000 LIMIT 1 FOR UPDATE SKIP LOCKED) AS free) */";

    // Each `CREATE TABLE` commits what was done before it. If a process dies between two of them,
    // the next one does the whole step again, so a step must be one that can be done twice.
    const MIGRATIONS: &'static [&'static str] = &[include_str!("schema.sql")];

    fn spell(sql: String) -> String {
        let mut spelled = sql.replace('"', "`");
        while let Some(start) = spelled.find('$') {
            let digits = spelled[start + 1..].find(|digit: char| !digit.is_ascii_digit());
            let end = digits.map_or(spelled.len(), |digits| start + 1 + digits);
            spelled.replace_range(start..end, "?");
        }
        spelled
    }

    fn begin(lock_timeout: Duration) -> String {
        // Variables are those of the session, which may be one of the application's pool: they get
        // their values back. Lock timeouts are whole seconds.
        let lock_timeout = lock_timeout.as_millis().div_ceil(1000).clamp(1, 1_000_000);
        format!(
            "SET @kr_lock = @@innodb_lock_wait_timeout, innodb_lock_wait_timeout = {lock_timeout} \
             /*M! , @kr_idle = @@idle_transaction_timeout, \
             idle_transaction_timeout = {IDLE_TRANSACTION} */; \
             SET TRANSACTION ISOLATION LEVEL READ COMMITTED; \
             START TRANSACTION READ WRITE"
        )
    }

    const COMMIT: &'static str = "COMMIT; SET innodb_lock_wait_timeout = @kr_lock \
         /*M! , idle_transaction_timeout = @kr_idle */";
    const ROLLBACK: &'static str = "ROLLBACK; SET innodb_lock_wait_timeout = @kr_lock \
         /*M! , idle_transaction_timeout = @kr_idle */";

    const NOW: &'static str = "(UNIX_TIMESTAMP() * 1000)";

    // Several rows are found in an index without a lock, or without waiting for one, and then
    // locked by their primary key. The server would lock in the order in which it reads: entries of
    // the index before the rows, where others lock the rows first, or the whole of a small table.
    const RECLAIM: &'static str = "DELETE gone FROM \
         (SELECT id AS free FROM {sessions} FORCE INDEX (reclaim_slot) \
         WHERE {past} ORDER BY reclaim_slot LIMIT $2 FOR UPDATE SKIP LOCKED) AS free \
         STRAIGHT_JOIN {sessions} AS gone FORCE INDEX (PRIMARY) ON gone.id = free";

    const LOCK_OWNED: &'static str = "SELECT {columns} FROM \
         (SELECT id AS owned FROM {sessions} FORCE INDEX (owner) \
         WHERE owner = $1 AND (id = $2) IS NOT TRUE LIMIT 18446744073709551615) AS owned \
         STRAIGHT_JOIN {sessions} FORCE INDEX (PRIMARY) ON id = owned{lock}";

    const DELETE_OWNED: &'static str = "DELETE gone FROM \
         (SELECT id AS owned FROM {sessions} FORCE INDEX (owner) \
         WHERE owner = $1 AND (id = $2) IS NOT TRUE LIMIT 18446744073709551615) AS owned \
         STRAIGHT_JOIN {sessions} AS gone FORCE INDEX (PRIMARY) ON gone.id = owned";

    const FORGET: &'static str = "DELETE gone FROM \
         (SELECT owner AS free FROM {revocations} FORCE INDEX (not_before) \
         WHERE {past} FOR UPDATE SKIP LOCKED) AS free \
         STRAIGHT_JOIN {revocations} AS gone FORCE INDEX (PRIMARY) ON gone.owner = free";

    const REVOKE: &'static str = "INSERT INTO {revocations} (owner, not_before) VALUES ($1, $2) \
         ON DUPLICATE KEY UPDATE not_before = GREATEST(not_before, VALUES(not_before))";

    // The row of an owner's last revocation is the lock. A sign-in makes it if it isn't there, with
    // the earliest time of all; the cleanup deletes it. There is nothing else to lock in: a lock on
    // a row that isn't there would hold up all owners around it.
    const LOCK_OWNER: Option<&'static str> = None;
    const SHARE_OWNER: Option<&'static str> = Some(
        "INSERT INTO {revocations} (owner, not_before) VALUES ($1, -9223372036854775808) \
         ON DUPLICATE KEY UPDATE not_before = not_before",
    );

    // `CREATE TABLE` ends a transaction, but not this lock. It is the session's, so it also ends
    // with the connection.
    async fn lock_schema(connection: &mut MySqlConnection) -> Result<(), sqlx::Error> {
        let lock = format!("SELECT GET_LOCK('tower-kr-session migrations', {MIGRATION})");
        let row = sqlx::query(sqlx::AssertSqlSafe(lock))
            .fetch_one(connection)
            .await?;
        match row.try_get(0)? {
            Some(1) => Ok(()),
            _ => Err(sqlx::Error::Protocol(format!(
                "another process has been migrating for {MIGRATION} seconds"
            ))),
        }
    }

    const UNLOCK_SCHEMA: Option<&'static str> =
        Some("DO RELEASE_LOCK('tower-kr-session migrations')");

    const TABLE_EXISTS: &'static str = "SELECT 1 FROM information_schema.tables \
         WHERE table_schema = COALESCE(NULLIF('{schema}', ''), DATABASE()) \
         AND table_name = '{table}{suffix}'";

    const IS_SERVER: bool = true;

    fn place(options: &MySqlConnectOptions) -> String {
        match options.get_socket() {
            Some(socket) => socket.display().to_string(),
            None => format!("{}:{}", options.get_host(), options.get_port()),
        }
    }

    async fn renew(pool: &MySqlPool, settings: &ServerSettings) -> Result<(), DatabaseFailure> {
        settings.renew(pool).await
    }

    async fn probe(options: &MySqlConnectOptions) -> Result<Server, sqlx::Error> {
        server::probe::<Self>(options).await
    }

    fn arguments(arguments: &[Argument<'_>]) -> Result<MySqlArguments, sqlx::Error> {
        let mut added = MySqlArguments::default();
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
        connection: &mut MySqlConnection,
        sql: SqlStr,
        arguments: MySqlArguments,
        persistent: bool,
    ) -> Result<Vec<MySqlRow>, sqlx::Error> {
        sqlx::query_with(sql, arguments)
            .persistent(persistent)
            .fetch_all(connection)
            .await
    }

    async fn execute(
        connection: &mut MySqlConnection,
        sql: SqlStr,
        arguments: MySqlArguments,
        persistent: bool,
    ) -> Result<u64, sqlx::Error> {
        let done = sqlx::query_with(sql, arguments)
            .persistent(persistent)
            .execute(connection)
            .await?;
        Ok(done.rows_affected())
    }

    async fn run(connection: &mut MySqlConnection, sql: SqlStr) -> Result<(), sqlx::Error> {
        sqlx::raw_sql(sql).execute(connection).await.map(|_| ())
    }

    fn id(row: &MySqlRow, column: usize) -> Result<SessionId, sqlx::Error> {
        let id: &[u8] = row.try_get(column)?;
        let id = id
            .try_into()
            .map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
        Ok(SessionId::from_bytes(id))
    }

    fn integer(row: &MySqlRow, column: usize) -> Result<Option<i64>, sqlx::Error> {
        row.try_get(column)
    }

    fn flag(row: &MySqlRow, column: usize) -> Result<bool, sqlx::Error> {
        row.try_get(column)
    }

    fn bytes(row: &MySqlRow, column: usize) -> Result<Option<&[u8]>, sqlx::Error> {
        row.try_get(column)
    }
}

impl Remote for MySql {
    const SCHEMES: [&'static str; 2] = ["mysql", "mariadb"];

    const PARAMETERS: &'static [&'static str] = &[
        "charset",
        "collation",
        "socket",
        "ssl-ca",
        "ssl-cert",
        "ssl-key",
        "ssl-mode",
        "sslca",
        "sslcert",
        "sslkey",
        "sslmode",
        "statement-cache-capacity",
        "time-zone",
        "timezone",
    ];

    const POOLERS: bool = false;

    fn with_password(options: MySqlConnectOptions, password: &str) -> MySqlConnectOptions {
        options.password(password)
    }

    async fn server(connection: &mut MySqlConnection) -> Result<Server, sqlx::Error> {
        // A server may have another default.
        sqlx::raw_sql("SET autocommit = 1")
            .execute(&mut *connection)
            .await?;
        // It is off (0), or says who else may write. A user with the right to write nevertheless
        // must not either: such a server is a replica, which shows sessions that have ended.
        let row = sqlx::raw_sql("SELECT CAST(@@global.read_only AS char)")
            .fetch_one(connection)
            .await?;
        let read_only: String = row.try_get_unchecked(0)?;
        Ok(match read_only.as_str() {
            "0" | "OFF" => Server::Writable,
            _ => Server::ReadOnly,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_spelled_as_mysql_wants_it() {
        let sql = r#"UPDATE "a"."b" SET c = $1 WHERE d = $12 AND e = $3"#;
        let spelled = "UPDATE `a`.`b` SET c = ? WHERE d = ? AND e = ?";
        assert_eq!(MySql::spell(sql.to_owned()), spelled);
    }
}
