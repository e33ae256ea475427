//! How many statements a call runs, as the guide says.

use std::sync::atomic::{AtomicUsize, Ordering};

use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use test_support::Scratch;
use tower_kr_session_sqlx::SqliteStore;
use tracing::{
    Event, Metadata, Subscriber,
    span::{Attributes, Id, Record},
};

use crate::support::calls;

/// There are no round trips to a file. A message is what waits for the thread of the connection.
pub(crate) async fn the_guide_has_the_statements_of_each_call() {
    let scratch = Scratch::new();
    let options = SqliteConnectOptions::new()
        .filename(scratch.path().join("own.db"))
        .thread_name(|_| COUNTED_THREAD.to_owned())
        .create_if_missing(true);
    let pool = SqlitePoolOptions::new().max_connections(1);
    let store = SqliteStore::builder()
        .build(pool.connect_with(options).await.unwrap())
        .unwrap();
    store.migrate().await.unwrap();
    calls::are_in_the_guide(&store, 4, || COUNTED.load(Ordering::SeqCst)).await;
}

/// Counts from now on, for all tests of this process.
pub(crate) fn count() {
    tracing::subscriber::set_global_default(StatementCount).unwrap();
}

/// The name of the thread whose statements are counted.
const COUNTED_THREAD: &str = "counted";

static COUNTED: AtomicUsize = AtomicUsize::new(0);

/// Counts the statements that sqlx logs on that thread.
struct StatementCount;

impl Subscriber for StatementCount {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "sqlx::query"
    }

    fn event(&self, _: &Event<'_>) {
        if std::thread::current().name() == Some(COUNTED_THREAD) {
            COUNTED.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
