//! The PostgreSQL servers of the tests.

use std::{
    process::Command,
    sync::{Mutex, OnceLock},
    time::Duration,
};

use sqlx::{AssertSqlSafe, Connection, Postgres, Row, postgres::PgConnection};
use test_support::{DatabaseServer, PostgresServer, USER};
use tower_kr_session::SessionId;
use tower_kr_session_sqlx::PostgresStore;

use crate::{servers::TestServer, support::common::Fixture};

static SERVER: Mutex<Option<PostgresServer>> = Mutex::new(None);

/// The URL of the server that most tests share.
pub(crate) fn shared() -> &'static str {
    static URL: OnceLock<String> = OnceLock::new();
    URL.get_or_init(|| {
        let mut server = SERVER.lock().unwrap();
        server.insert(PostgresServer::start_quick()).url()
    })
}

/// Stops the shared server: what a static holds is never dropped.
pub(crate) fn stop_shared() {
    drop(SERVER.lock().unwrap().take());
}

/// The server of the tests of all databases.
#[derive(Clone, Copy)]
pub(crate) struct SharedServer;

impl Fixture for SharedServer {
    type Database = Postgres;

    async fn open(self, table: &str) -> PostgresStore {
        open(shared(), table).await
    }

    async fn execute(self, sql: String) -> u64 {
        let mut connection = PgConnection::connect(shared()).await.unwrap();
        let done = sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut connection)
            .await;
        done.unwrap().rows_affected()
    }

    async fn number(self, sql: String) -> i64 {
        number(shared(), &sql).await
    }

    async fn dump(self, table: &str) -> Vec<u8> {
        let program = PostgresServer::program("pg_dump");
        let output = Command::new(program)
            .args(["-t", &format!("{table}*"), shared()])
            .output();
        output.unwrap().stdout
    }
}

async fn open(url: &str, table: &str) -> PostgresStore {
    PostgresStore::builder()
        .table(table)
        .max_connections(4)
        .lock_timeout(Duration::from_secs(8))
        .acquire_timeout(Duration::from_secs(8))
        .connect(url)
        .await
        .unwrap()
}

pub(crate) async fn number(url: &str, sql: &str) -> i64 {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let row = sqlx::query(AssertSqlSafe(sql))
        .fetch_one(&mut connection)
        .await;
    row.unwrap().get(0)
}

impl TestServer for PostgresServer {
    type Database = Postgres;

    const NO_ROOM: [&'static str; 2] = ["too many clients", "53300"];
    const WRONG_PASSWORD: &'static str = "28P01";
    const NO_USER: &'static str = "28000";
    const NO_LOCK: [&'static str; 2] = ["lock timeout", "55P03"];
    const OPEN_TRANSACTIONS: &'static str = "SELECT count(*) FROM pg_stat_activity \
         WHERE pid <> pg_backend_pid() AND backend_type = 'client backend' AND state <> 'idle'";
    const DEADLOCKS: &'static str = "SELECT sum(deadlocks)::bigint FROM pg_stat_database";
    const ROUND_TRIPS: usize = 2;

    fn shared() -> &'static str {
        shared()
    }

    fn set_password(&self, password: &str) {
        let hba = self.run("SHOW hba_file");
        let hba = hba.trim();
        self.run(&format!("ALTER ROLE {USER} PASSWORD '{password}'"));
        self.run(&format!(
            "COPY (VALUES ('local all all trust'), ('host all all 127.0.0.1/32 scram-sha-256')) \
             TO '{hba}'"
        ));
        self.run("SELECT pg_reload_conf()");
        self.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()",
        );
    }

    async fn number(url: &str, sql: &str) -> i64 {
        number(url, sql).await
    }

    async fn hold(url: &str, sql: String) -> PgConnection {
        let mut connection = PgConnection::connect(url).await.unwrap();
        let sql = AssertSqlSafe(format!("BEGIN; {sql}"));
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        connection
    }

    async fn connection_of(store: &PostgresStore) -> i64 {
        let number = sqlx::query_scalar("SELECT pg_backend_pid()::bigint");
        number.fetch_one(store.pool()).await.unwrap()
    }

    fn literal(id: SessionId) -> String {
        format!("'{id}'")
    }
}
