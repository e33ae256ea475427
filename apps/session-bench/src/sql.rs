//! Measures sessions in PostgreSQL, MariaDB and SQLite: requests per second, many at a time.

use std::time::Duration;

use axum::Router;
use test_support::{DatabaseServer, MariadbServer, PostgresServer, Program, Scratch};
use time::Duration as Minutes;
use tower_sessions_0_14::{Expiry, Session, SessionManagerLayer};
use tower_sessions_sqlx_store::{
    MySqlStore, PostgresStore, SqliteStore,
    sqlx::{
        mysql::MySqlPoolOptions,
        postgres::PgPoolOptions,
        sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
    },
};

use crate::{
    candidate::kr,
    drive::{Driver, Target},
    routes::routes,
    scenario::Scenario,
    stats::median,
};

/// How many requests wait for the database at the same time.
pub const TASKS: usize = 32;

/// How many requests a store answers before it is the other's turn: less than a second's.
const REQUESTS: u32 = 1_600;

/// How many connections each store has.
const CONNECTIONS: u32 = 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Database {
    Postgres,
    Sqlite,
    Mariadb,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    Kr,
    TowerSessions,
}

/// Servers of PostgreSQL and MariaDB and a folder for SQLite files, for the time of the
/// measurements.
pub struct Place {
    postgres: PostgresServer,
    mariadb: MariadbServer,
    folder: Scratch,
}

/// Two stores beside each other.
pub struct Comparison {
    /// The median of the requests per second of each store.
    pub rates: [f64; 2],
    /// The median of our rate relative to the peer's in the same round.
    pub ratio: f64,
}

impl Database {
    pub const ALL: [Self; 3] = [Self::Postgres, Self::Sqlite, Self::Mariadb];

    /// Returns the name in tables.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Postgres => "PostgreSQL",
            Self::Sqlite => "SQLite",
            Self::Mariadb => "MariaDB",
        }
    }
}

impl Store {
    pub const ALL: [Self; 2] = [Self::Kr, Self::TowerSessions];

    /// Returns the name in tables.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Kr => "tower-kr-session-sqlx",
            Self::TowerSessions => "tower-sessions-sqlx-store 0.15",
        }
    }
}

impl Place {
    /// Starts the servers. Returns the program that isn't installed, if one isn't.
    pub fn start() -> Result<Self, Program> {
        let programs = [Program::Postgres, Program::Mariadb];
        if let Some(missing) = programs.into_iter().find(|program| !program.is_installed()) {
            return Err(missing);
        }
        let mariadb = MariadbServer::start();
        // The peer makes a database of its own.
        mariadb.run("GRANT ALL ON *.* TO kr_user@'127.0.0.1'");
        Ok(Self {
            postgres: PostgresServer::start(),
            mariadb,
            folder: Scratch::new(),
        })
    }

    /// Compares both stores over many short rounds, in which each has its turn first as often as
    /// the other: what slows the machine down for seconds slows both.
    pub fn compare(&self, database: Database, scenario: Scenario, rounds: usize) -> Comparison {
        let mut stores = Store::ALL.map(|store| {
            let mut driver = Driver::connect(self.router(database, store));
            let targets: Vec<Target> = (0..TASKS).map(|_| scenario.target(&mut driver)).collect();
            driver.time_concurrently(&targets, REQUESTS / 10);
            (driver, targets)
        });
        let mut rates = Store::ALL.map(|_| Vec::new());
        for round in 0..rounds {
            for turn in 0..Store::ALL.len() {
                let store = (round + turn) % Store::ALL.len();
                let (driver, targets) = &mut stores[store];
                let took: Duration = driver.time_concurrently(targets, REQUESTS);
                rates[store].push(took.as_secs_f64().recip());
            }
        }
        let [ours, theirs] = &rates;
        let ratios = ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs);
        let ratio = median(ratios.collect());
        Comparison {
            rates: rates.map(median),
            ratio,
        }
    }

    /// Returns a router whose store is connected.
    async fn router(&self, database: Database, store: Store) -> Router {
        match (store, database) {
            (Store::Kr, Database::Postgres) => {
                let builder = tower_kr_session_sqlx::PostgresStore::builder();
                let store = builder.max_connections(CONNECTIONS);
                let store = store.connect(&self.postgres.url()).await;
                let store = store.expect("a server that answers");
                store.migrate().await.expect("a database of ones own");
                kr::router(store)
            }
            (Store::Kr, Database::Mariadb) => {
                let builder = tower_kr_session_sqlx::MysqlStore::builder();
                let store = builder.max_connections(CONNECTIONS);
                let store = store.connect(&self.mariadb.url()).await;
                let store = store.expect("a server that answers");
                store.migrate().await.expect("a database of ones own");
                kr::router(store)
            }
            (Store::Kr, Database::Sqlite) => {
                let builder = tower_kr_session_sqlx::SqliteStore::builder();
                let store = builder.max_connections(CONNECTIONS);
                let store = store.connect(&self.file("kr")).await.expect("a new file");
                store.migrate().await.expect("a database of ones own");
                kr::router(store)
            }
            (Store::TowerSessions, Database::Postgres) => {
                let pool = PgPoolOptions::new().max_connections(CONNECTIONS);
                let pool = pool.connect(&self.postgres.url()).await;
                let store = PostgresStore::new(pool.expect("a server that answers"));
                store.migrate().await.expect("a database of ones own");
                peer(store)
            }
            (Store::TowerSessions, Database::Mariadb) => {
                let pool = MySqlPoolOptions::new().max_connections(CONNECTIONS);
                let pool = pool.connect(&self.mariadb.url()).await;
                let store = MySqlStore::new(pool.expect("a server that answers"));
                store.migrate().await.expect("a database of ones own");
                peer(store)
            }
            (Store::TowerSessions, Database::Sqlite) => {
                // As our store sets up its file.
                let options: SqliteConnectOptions = self.file("peer").parse().expect("a URL");
                let options = options
                    .journal_mode(SqliteJournalMode::Wal)
                    .synchronous(SqliteSynchronous::Normal)
                    .create_if_missing(true);
                let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS);
                let pool = pool.connect_with(options).await;
                let store = SqliteStore::new(pool.expect("a new file"));
                store.migrate().await.expect("a database of ones own");
                peer(store)
            }
        }
    }

    fn file(&self, name: &str) -> String {
        format!("sqlite://{}/{name}.db", self.folder.path().display())
    }
}

fn peer(store: impl tower_sessions_0_14::SessionStore + Clone) -> Router {
    let expiry = Expiry::OnInactivity(Minutes::minutes(20));
    let layer = SessionManagerLayer::new(store).with_expiry(expiry);
    routes::<Session>().layer(layer)
}
