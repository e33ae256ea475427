//! Tests that are the same on each database that is a server.

pub(crate) mod locks;
pub(crate) mod outages;
pub(crate) mod proxy;
pub(crate) mod round_trips;

use std::{
    future::Future,
    time::{Duration, Instant},
};

use test_support::DatabaseServer;
use tokio::task::JoinSet;
use tower_kr_session::{SessionId, SessionStore, StoreError};
use tower_kr_session_sqlx::{ServerDialect, SqlStore};

use crate::support::{Holder, now, until};

/// The I/O timeout of the layer in these tests.
pub(crate) const IO_TIMEOUT: Duration = Duration::from_secs(2);

/// A server to test on, which is killed when it is dropped.
pub(crate) trait TestServer: DatabaseServer {
    type Database: ServerDialect;

    /// What the server says, and its code, if it has no room for another connection.
    const NO_ROOM: [&'static str; 2];
    /// The code if the password is wrong.
    const WRONG_PASSWORD: &'static str;
    /// The code if there is no such user.
    const NO_USER: &'static str;
    /// What the server says, and its code, if a lock isn't free in time.
    const NO_LOCK: [&'static str; 2];
    /// Counts the connections of others that are in a transaction.
    const OPEN_TRANSACTIONS: &'static str;
    /// Counts the deadlocks.
    const DEADLOCKS: &'static str;

    /// The column of the guide's table of round trips.
    const ROUND_TRIPS: usize;

    /// The URL of the server that most tests share.
    fn shared() -> &'static str;

    /// Has the server ask for a password from now on: this one. Ends all other connections.
    fn set_password(&self, password: &str);

    /// The number that this query gives.
    fn number(url: &str, sql: &str) -> impl Future<Output = i64> + Send;

    /// Runs a statement in a transaction, which stays open until the connection is dropped.
    fn hold(url: &str, sql: String) -> impl Future<Output = ServerConnection<Self>> + Send;

    /// The server's number of the only connection of a store.
    fn connection_of(store: &Store<Self>) -> impl Future<Output = i64> + Send;

    /// An id in a statement.
    fn literal(id: SessionId) -> String;
}

pub(crate) type Store<S> = SqlStore<<S as TestServer>::Database>;

pub(crate) type ServerConnection<S> = <<S as TestServer>::Database as sqlx::Database>::Connection;

/// A migrated store with timeouts inside those of the layer.
pub(crate) async fn impatient<S: TestServer>(url: &str, table: &str, connections: u32) -> Store<S> {
    let store = Store::<S>::builder()
        .table(table)
        .max_connections(connections)
        .lock_timeout(Duration::from_millis(500))
        .acquire_timeout(Duration::from_millis(900))
        .connect(url)
        .await
        .unwrap();
    store.migrate().await.unwrap();
    store
}

/// As the layer calls a store: cut off after the I/O timeout.
pub(crate) async fn timed<T>(
    call: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    tokio::time::timeout(IO_TIMEOUT, call)
        .await
        .unwrap_or(Err(StoreError::TimedOut))
}

/// An answer within the I/O timeout, and it is an error.
pub(crate) async fn fails_in_time<T>(call: impl Future<Output = Result<T, StoreError>>) {
    let started = Instant::now();
    let answer = timed(call).await;
    let elapsed = started.elapsed();
    assert!(
        matches!(
            answer,
            Err(StoreError::Unavailable(_) | StoreError::TimedOut)
        ),
        "not an error"
    );
    assert!(elapsed < IO_TIMEOUT + Duration::from_secs(1), "{elapsed:?}");
}

pub(crate) async fn serves_again(store: &(impl SessionStore + Clone), holder: Holder) {
    until("the store serves again", || async {
        timed(holder.increment(store)).await.is_ok()
    })
    .await;
    // And all of its connections do.
    let mut tasks = JoinSet::new();
    for _ in 0..20 {
        let store = store.clone();
        tasks.spawn(async move { timed(store.load(holder.id, now())).await.unwrap() });
    }
    tasks.join_all().await;
}

pub(crate) async fn no_transaction_is_left<S: TestServer>(url: &str) {
    until("no transaction is open", || async {
        // Asked more often, MariaDB would repeat what it said before.
        tokio::time::sleep(Duration::from_millis(150)).await;
        S::number(url, S::OPEN_TRANSACTIONS).await == 0
    })
    .await;
}
