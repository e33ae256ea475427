//! The MariaDB servers of the tests.

use std::{
    sync::{Mutex, OnceLock},
    time::Duration,
};

use sqlx::{AssertSqlSafe, Connection, MySql, Row, mysql::MySqlConnection};
use test_support::{DatabaseServer, MariadbServer, USER};
use tower_kr_session::SessionId;
use tower_kr_session_sqlx::MysqlStore;

use crate::{servers::TestServer, support::common::Fixture};

static SERVER: Mutex<Option<MariadbServer>> = Mutex::new(None);

/// The URL of the server that most tests share.
pub(crate) fn shared() -> &'static str {
    static URL: OnceLock<String> = OnceLock::new();
    URL.get_or_init(|| {
        let mut server = SERVER.lock().unwrap();
        server.insert(MariadbServer::start_quick()).url()
    })
}

/// Runs statements on the shared server as an administrator, and returns what they print.
pub(crate) fn run_shared(sql: &str) -> String {
    shared();
    SERVER.lock().unwrap().as_ref().unwrap().run(sql)
}

/// Stops the shared server: what a static holds is never dropped.
pub(crate) fn stop_shared() {
    drop(SERVER.lock().unwrap().take());
}

/// The server of the tests of all databases.
#[derive(Clone, Copy)]
pub(crate) struct SharedServer;

impl Fixture for SharedServer {
    type Database = MySql;

    async fn open(self, table: &str) -> MysqlStore {
        open(shared(), table).await
    }

    async fn execute(self, sql: String) -> u64 {
        let mut connection = MySqlConnection::connect(shared()).await.unwrap();
        let done = sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut connection)
            .await;
        done.unwrap().rows_affected()
    }

    async fn number(self, sql: String) -> i64 {
        number(shared(), &sql).await
    }

    async fn dump(self, table: &str) -> Vec<u8> {
        let server = SERVER.lock().unwrap();
        // It has the digits of bytes in capitals.
        server.as_ref().unwrap().dump(table).to_ascii_lowercase()
    }
}

pub(crate) async fn open(url: &str, table: &str) -> MysqlStore {
    MysqlStore::builder()
        .table(table)
        .max_connections(4)
        .lock_timeout(Duration::from_secs(8))
        .acquire_timeout(Duration::from_secs(8))
        .connect(url)
        .await
        .unwrap()
}

pub(crate) async fn number(url: &str, sql: &str) -> i64 {
    let mut connection = MySqlConnection::connect(url).await.unwrap();
    let row = sqlx::query(AssertSqlSafe(sql))
        .fetch_one(&mut connection)
        .await;
    row.unwrap().get(0)
}

impl TestServer for MariadbServer {
    type Database = MySql;

    const NO_ROOM: [&'static str; 2] = ["Too many connections", "1040"];
    const WRONG_PASSWORD: &'static str = "1045";
    const NO_USER: &'static str = "1045";
    const NO_LOCK: [&'static str; 2] = ["Lock wait timeout", "1205"];
    const OPEN_TRANSACTIONS: &'static str = "SELECT count(*) FROM information_schema.innodb_trx";
    const DEADLOCKS: &'static str = "SELECT CAST(variable_value AS signed) \
         FROM information_schema.global_status WHERE variable_name = 'INNODB_DEADLOCKS'";
    const ROUND_TRIPS: usize = 3;

    fn shared() -> &'static str {
        shared()
    }

    fn set_password(&self, password: &str) {
        self.run(&format!(
            "ALTER USER {USER}@'127.0.0.1' IDENTIFIED BY '{password}'"
        ));
        self.run(&format!("KILL USER {USER}"));
    }

    async fn number(url: &str, sql: &str) -> i64 {
        number(url, sql).await
    }

    async fn hold(url: &str, sql: String) -> MySqlConnection {
        let mut connection = MySqlConnection::connect(url).await.unwrap();
        let sql = AssertSqlSafe(format!("BEGIN; {sql}"));
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        connection
    }

    async fn connection_of(store: &MysqlStore) -> i64 {
        let number = sqlx::query_scalar("SELECT CAST(CONNECTION_ID() AS signed)");
        number.fetch_one(store.pool()).await.unwrap()
    }

    fn literal(id: SessionId) -> String {
        format!("x'{}'", id.to_string().replace('-', ""))
    }
}
