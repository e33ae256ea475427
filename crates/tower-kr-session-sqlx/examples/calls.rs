//! What a call costs on each store, as the guide's table has it.
//!
//! ```console
//! cargo run --release --all-features --example calls -- \
//!     sqlite:///tmp/calls.db postgres://localhost/app mysql://localhost/app
//! ```

#![allow(clippy::print_stdout)] // It is a report.

use std::{
    error::Error, future::Future, sync::Arc, time::Duration, time::Instant, time::SystemTime,
};

use tokio::task::JoinSet;
use tower_kr_session::{
    MemoryStore, SessionId, SessionStore, Timestamp,
    key::KeyBuf,
    store::{Delta, IdleLimit, Instants, Operation, Record, SecretHash},
};
use tower_kr_session_sqlx::{MysqlStore, PostgresStore, SqliteStore};

const MEASURED_FOR: Duration = Duration::from_millis(1_500);
const IDLE: IdleLimit = IdleLimit {
    timeout: Duration::from_secs(1_200),
    touch_interval: Duration::from_secs(60),
};
const SECRET: SecretHash = SecretHash::from_bytes([7; 32]);

fn main() -> Result<(), Box<dyn Error>> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(measure_all())
}

async fn measure_all() -> Result<(), Box<dyn Error>> {
    println!("store | load | write | increment | touch | new | one hot session | 64 sessions");
    println!("--- | ---: | ---: | ---: | ---: | ---: | ---: | ---:");
    measure("memory", MemoryStore::new()).await?;
    for url in std::env::args().skip(1) {
        if url.starts_with("sqlite") {
            for (name, yes) in [("SQLite", false), ("SQLite, `survive_power_loss`", true)] {
                let store = SqliteStore::builder()
                    .survive_power_loss(yes)
                    .connect(&url)
                    .await?;
                store.migrate().await?;
                measure(name, store).await?;
            }
        } else if url.starts_with("mysql") {
            let store = MysqlStore::connect(&url).await?;
            store.migrate().await?;
            measure("MySQL", store).await?;
        } else {
            for (name, yes) in [
                ("PostgreSQL", false),
                ("PostgreSQL, `transaction_pooler`", true),
            ] {
                let store = PostgresStore::builder()
                    .transaction_pooler(yes)
                    .connect(&url)
                    .await?;
                store.migrate().await?;
                measure(name, store).await?;
            }
        }
    }
    Ok(())
}

async fn measure(name: &str, store: impl SessionStore) -> Result<(), Box<dyn Error>> {
    let store = Arc::new(store);
    let mut ids = Vec::new();
    for _ in 0..64 {
        ids.push(create(&*store).await);
    }
    let parallel = |hot: bool| {
        let (store, ids) = (Arc::clone(&store), ids.clone());
        async move {
            let end = Instant::now() + MEASURED_FOR;
            let mut tasks = JoinSet::new();
            for id in ids.iter().copied() {
                let (store, id) = (Arc::clone(&store), if hot { ids[0] } else { id });
                tasks.spawn(async move {
                    let mut calls = 0_u32;
                    while Instant::now() < end {
                        apply(&*store, id, increment()).await;
                        calls += 1;
                    }
                    calls
                });
            }
            let calls: u32 = tasks.join_all().await.into_iter().sum();
            f64::from(calls) / MEASURED_FOR.as_secs_f64()
        }
    };
    println!(
        "{name} | {} | {} | {} | {} | {} | {:.0}/s | {:.0}/s",
        one_by_one(|| async { drop(store.load(ids[0], now()).await) }).await,
        one_by_one(|| apply(&*store, ids[0], write())).await,
        one_by_one(|| apply(&*store, ids[0], increment())).await,
        one_by_one(|| apply(&*store, ids[0], Delta::new(1 << 20))).await,
        one_by_one(|| async {
            create(&*store).await;
        })
        .await,
        parallel(true).await,
        parallel(false).await,
    );
    Ok(())
}

/// How long a call takes, one after the other.
async fn one_by_one<F: Future<Output = ()>>(call: impl Fn() -> F) -> String {
    let start = Instant::now();
    let mut calls = 0;
    while start.elapsed() < MEASURED_FOR {
        call().await;
        calls += 1;
    }
    let micros = start.elapsed().as_secs_f64() * 1e6 / f64::from(calls);
    format!("{micros:.1} µs")
}

async fn create(store: &impl SessionStore) -> SessionId {
    let id = SessionId::generate(now());
    let mut record = Record::new(SECRET, now(), IDLE, Duration::from_secs(43_200));
    record.values = [("user", "\"max\""), ("color", "\"purple\""), ("n", "1")]
        .into_iter()
        .collect();
    store.create(id, record, now()).await.expect("create");
    id
}

async fn apply(store: &impl SessionStore, id: SessionId, delta: Delta) {
    store
        .apply(id, &SECRET, &delta, Instants::at(now()))
        .await
        .expect("apply");
}

fn write() -> Delta {
    let mut delta = Delta::new(1 << 20);
    delta.change(key("color"), Some("\"green\"".into()));
    delta
}

fn increment() -> Delta {
    let mut delta = Delta::new(1 << 20);
    delta.operation = Some((key("n"), Operation::Increment(1)));
    delta
}

fn key(name: &str) -> KeyBuf {
    KeyBuf::new(name).expect("a valid key")
}

fn now() -> Timestamp {
    SystemTime::now().into()
}
