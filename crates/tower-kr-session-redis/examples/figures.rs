//! Measures what sessions take and how fast they are, on a server that holds nothing else:
//!
//! `cargo run --release -p tower-kr-session-redis --example figures -- redis://127.0.0.1:6379`

#![allow(clippy::print_stdout, reason = "it prints its figures")]

use std::{
    env,
    error::Error,
    future::Future,
    time::{Duration, Instant, SystemTime},
};

use redis::Connection;
use tokio::task::JoinSet;
use tower_kr_session::{
    Owner, SessionId, SessionStore, Timestamp,
    key::KeyBuf,
    store::{Delta, IdleLimit, Instants, Operation, Record, SecretHash, SignIn, Values},
};
use tower_kr_session_redis::RedisStore;

const SESSIONS: usize = 20_000;
const CALLS: usize = 40_000;
const IDLE: IdleLimit = IdleLimit {
    timeout: Duration::from_secs(1_200),
    touch_interval: Duration::from_secs(60),
};
const ABSOLUTE: Duration = Duration::from_secs(43_200);
const SECRET: SecretHash = SecretHash::from_bytes([7; 32]);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = env::args().nth(1).ok_or("the URL of a server is missing")?;
    let store = RedisStore::builder(&url)
        .key_prefix("figures:")
        .connect()
        .await?;
    let mut admin = redis::Client::open(url)?.get_connection()?;
    let before = used_memory(&mut admin)?;

    let small: Values = [("counter", "42")].into_iter().collect();
    let start = Instant::now();
    let mut ids = Vec::with_capacity(SESSIONS);
    for _ in 0..SESSIONS / 100 {
        let mut creating = JoinSet::new();
        for _ in 0..100 {
            let (store, values) = (store.clone(), small.clone());
            creating.spawn(async move {
                let id = SessionId::generate(now());
                store.create(id, record(values), now()).await.map(|_| id)
            });
        }
        for id in creating.join_all().await {
            ids.push(id?);
        }
    }
    println!(
        "create, 100 at a time: {:>8.0} a second",
        rate(SESSIONS, start)
    );
    let grown = used_memory(&mut admin)? - before;
    println!(
        "memory of {SESSIONS} small sessions: {} bytes each",
        grown / SESSIONS as u64
    );

    let id = ids[0];
    memory(&mut admin, "a counter", id)?;
    let mut delta = Delta::new(u64::MAX);
    delta.sign_in = Some(SignIn::new(Owner::new("max@example.com")?, now()));
    delta.rotate = Some(SECRET);
    store
        .apply(id, &SECRET, &delta, Instants::at(now()))
        .await?;
    memory(&mut admin, "a counter, rotated, signed in", id)?;
    for (count, bytes) in [(10, 50), (100, 100), (200, 100), (1, 65), (1, 10_000)] {
        let id = SessionId::generate(now());
        let values = (0..count).map(|key| (format!("key {key:03}"), vec![b'x'; bytes]));
        store.create(id, record(values.collect()), now()).await?;
        memory(&mut admin, &format!("{count} x {bytes} bytes"), id)?;
    }

    for tasks in [1, 16, 64] {
        measure("read", tasks, &ids, async |id| {
            store.load(id, now()).await.map(drop)
        })
        .await?;
        measure("increment", tasks, &ids, async |id| {
            let mut delta = Delta::new(u64::MAX);
            delta.operation = Some((key("counter"), Operation::Increment(1)));
            store
                .apply(id, &SECRET, &delta, Instants::at(now()))
                .await
                .map(drop)
        })
        .await?;
        measure("read, then write", tasks, &ids, async |id| {
            store.load(id, now()).await?;
            let mut delta = Delta::new(u64::MAX);
            delta.change(key("color"), Some("purple".into()));
            store
                .apply(id, &SECRET, &delta, Instants::at(now()))
                .await
                .map(drop)
        })
        .await?;
    }
    for id in ids {
        store.remove(id, None, Instants::at(now())).await?;
    }
    Ok(())
}

fn now() -> Timestamp {
    SystemTime::now().into()
}

fn record(values: Values) -> Record {
    let mut record = Record::new(SECRET, now(), IDLE, ABSOLUTE);
    record.values = values;
    record
}

#[allow(clippy::expect_used, reason = "a constant")]
fn key(name: &str) -> KeyBuf {
    KeyBuf::new(name).expect("a valid key")
}

fn rate(count: usize, start: Instant) -> f64 {
    count as f64 / start.elapsed().as_secs_f64()
}

fn used_memory(admin: &mut Connection) -> Result<u64, Box<dyn Error>> {
    let info: String = redis::cmd("INFO").arg("memory").query(admin)?;
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("used_memory:"));
    Ok(line.ok_or("no used_memory")?.trim().parse()?)
}

fn memory(admin: &mut Connection, what: &str, id: SessionId) -> Result<(), Box<dyn Error>> {
    let key = format!("figures:session:{id}");
    let mut command = redis::cmd("MEMORY");
    command.arg("USAGE").arg(&key).arg("SAMPLES").arg(0);
    let bytes: u64 = command.query(admin)?;
    let encoding: String = redis::cmd("OBJECT")
        .arg("ENCODING")
        .arg(&key)
        .query(admin)?;
    println!("memory of a session, {what}: {bytes} bytes ({encoding})");
    Ok(())
}

/// Calls in a round over the sessions, so many at a time, all on the one connection of the store.
async fn measure<F: Future<Output = Result<(), tower_kr_session::StoreError>>>(
    what: &str,
    tasks: usize,
    ids: &[SessionId],
    call: impl Fn(SessionId) -> F,
) -> Result<(), Box<dyn Error>> {
    let calls = if tasks == 1 { CALLS / 8 } else { CALLS };
    let start = Instant::now();
    let lanes = (0..tasks).map(|lane| {
        let call = &call;
        async move {
            for number in (lane..calls).step_by(tasks) {
                call(ids[1 + number % (ids.len() - 1)]).await?;
            }
            Ok::<_, tower_kr_session::StoreError>(())
        }
    });
    futures_util::future::try_join_all(lanes).await?;
    let each = start.elapsed().as_secs_f64() * 1e6 * tasks as f64 / calls as f64;
    println!(
        "{what}, {tasks} at a time: {:>8.0} a second, {each:.0} us each",
        rate(calls, start)
    );
    Ok(())
}
