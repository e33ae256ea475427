//! The contract suite over two connections to a real `nats-server`, and what the suite can't ask.

use std::{
    env,
    path::Path,
    process::{Child, Command, ExitCode, Stdio},
    sync::{Arc, LazyLock},
    time::{Duration, SystemTime},
};

use nats_store::NatsStore;
use test_support::{Check, Program, Scratch, block_on, free_port, run, wait_until};
use tokio::task::JoinSet;
use tower_kr_session::{
    SessionId, SessionStore, Timestamp,
    store::{
        ApplyOutcome, Delta, IdleLimit, Instants, Operation, Record, SecretHash, StoreKey,
        StoreValue, ValueClass, Versioned, VersionedStore, contract,
    },
};

/// Longer than any session of the contract suite is kept.
const KEEPS: Duration = Duration::from_secs(365 * 24 * 60 * 60);

const SECRET: SecretHash = SecretHash::from_bytes([7; 32]);

/// The variable that makes this program a worker: the server's port and a session's id.
const WORKER: &str = "KR_NATS_WORKER";

const TASKS: usize = 32;
const INCREMENTS: usize = 100;

fn main() -> ExitCode {
    if let Ok(work) = env::var(WORKER) {
        let (port, id) = work.split_once(' ').expect("a port and an id");
        let (port, id) = (port.parse().expect("a port"), id.parse().expect("an id"));
        block_on(count(port, id));
        return ExitCode::SUCCESS;
    }
    let server = Arc::new(LazyLock::new(Server::start));
    let rules = contract::rules().into_iter().map(|rule| {
        let server = Arc::clone(&server);
        Check::future(rule.name(), move || async move {
            let (first, second) = (store(server.port).await, store(server.port).await);
            rule.check(first, second).await;
        })
    });
    let own = [
        Check::future("two_processes_count_together", two_processes_count_together),
        Check::future(
            "what_was_acknowledged_survives_a_kill",
            what_was_acknowledged_survives_a_kill,
        ),
        Check::future("no_version_comes_back", no_version_comes_back),
        Check::future(
            "a_session_that_outlives_the_bucket_is_refused",
            a_session_that_outlives_the_bucket_is_refused,
        ),
    ];
    let checks: Vec<_> = rules.chain(own).collect();
    drop(server);
    run(checks.into_iter().map(|check| check.needs(Program::Nats)))
}

/// A `nats-server` with JetStream on a free port; killed when dropped.
struct Server {
    port: u16,
    folder: Scratch,
    child: Child,
}

impl Server {
    fn start() -> Self {
        let (port, folder) = (free_port(), Scratch::new());
        let child = spawn(port, folder.path());
        Self {
            port,
            folder,
            child,
        }
    }

    /// Kills it (SIGKILL) and starts it again on its files.
    fn crash(&mut self) {
        self.child.kill().expect("kill the server");
        self.child.wait().expect("the end of the server");
        self.child = spawn(self.port, self.folder.path());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(port: u16, folder: &Path) -> Child {
    let mut command = Command::new("nats-server");
    command.args(["-a", "127.0.0.1", "-p", &port.to_string(), "-js", "-sd"]);
    command.arg(folder).arg("-l").arg(folder.join("log"));
    let child = command.stderr(Stdio::null()).spawn();
    let child = child.expect("start nats-server");
    wait_until("nats-server listens", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).ok()
    });
    child
}

async fn open(port: u16) -> NatsStore {
    let client = async_nats::connect(format!("127.0.0.1:{port}"));
    let client = client.await.expect("a connection");
    let store = NatsStore::open(client, "sessions", KEEPS).await;
    store.expect("a bucket")
}

async fn store(port: u16) -> Arc<Versioned<NatsStore>> {
    Arc::new(Versioned::new(open(port).await))
}

fn now() -> Timestamp {
    SystemTime::now().into()
}

async fn new_session(store: &Versioned<NatsStore>) -> SessionId {
    let (id, now) = (SessionId::generate(now()), now());
    let hour = Duration::from_secs(3_600);
    let record = Record::new(SECRET, now, IdleLimit::new(hour), hour);
    store.create(id, record, now).await.expect("create");
    id
}

fn increment() -> Delta {
    let mut delta = Delta::new(1_000);
    let key = "n".parse().expect("a key");
    delta.operation = Some((key, Operation::Increment(1)));
    delta
}

async fn counter(store: &Versioned<NatsStore>, id: SessionId) -> i64 {
    let record = store.load(id, now()).await.expect("load");
    let record = record.expect("the session is there");
    let digits = record.values.get("n").unwrap_or(b"0").to_vec();
    String::from_utf8(digits)
        .expect("digits")
        .parse()
        .expect("a number")
}

/// What a worker does.
async fn count(port: u16, id: SessionId) {
    let store = store(port).await;
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            for _ in 0..INCREMENTS {
                let delta = increment();
                let applied = store.apply(id, &SECRET, &delta, Instants::at(now()));
                let applied = applied.await.expect("apply");
                assert!(matches!(applied, ApplyOutcome::Applied(_)), "{applied:?}");
            }
        });
    }
    tasks.join_all().await;
}

async fn two_processes_count_together() {
    let server = Server::start();
    let store = store(server.port).await;
    let id = new_session(&store).await;
    let program = env::current_exe().expect("this program");
    let worker = || {
        let mut worker = Command::new(&program);
        worker.env(WORKER, format!("{} {id}", server.port));
        worker.spawn().expect("a worker")
    };
    for mut worker in [worker(), worker()] {
        assert!(worker.wait().expect("its end").success());
    }
    assert_eq!(counter(&store, id).await, (2 * TASKS * INCREMENTS) as i64);
}

async fn what_was_acknowledged_survives_a_kill() {
    let mut server = Server::start();
    let store = store(server.port).await;
    let id = new_session(&store).await;
    for _ in 0..200 {
        let delta = increment();
        let applied = store.apply(id, &SECRET, &delta, Instants::at(now()));
        applied.await.expect("apply");
    }
    server.crash();
    let after = self::store(server.port).await;
    assert_eq!(counter(&after, id).await, 200);
}

async fn no_version_comes_back() {
    let server = Server::start();
    let store = open(server.port).await;
    let key = StoreKey::session(SessionId::generate(now()));
    let value = |text: &'static str| StoreValue::new(text, ValueClass::Anonymous);
    let minute = Duration::from_secs(60);
    let mut seen = Vec::new();
    for text in ["first", "second", "third"] {
        assert!(
            store
                .put_if(&key, None, value(text), minute)
                .await
                .expect("put_if")
        );
        assert!(
            !store
                .put_if(&key, None, value("other"), minute)
                .await
                .expect("put_if")
        );
        let (version, bytes) = store.get(&key).await.expect("get").expect("a value");
        assert_eq!(bytes, text);
        for old in seen.drain(..) {
            assert_ne!(old, version);
            assert!(!store.delete_if(&key, old).await.expect("delete_if"));
        }
        assert!(
            store
                .delete_if(&key, version.clone())
                .await
                .expect("delete_if")
        );
        assert!(store.get(&key).await.expect("get").is_none());
        seen.push(version);
    }
}

async fn a_session_that_outlives_the_bucket_is_refused() {
    let server = Server::start();
    let store = open(server.port).await;
    let key = StoreKey::session(SessionId::generate(now()));
    let value = StoreValue::new("value", ValueClass::Anonymous);
    let longer = KEEPS + Duration::from_secs(1);
    let refused = store.put_if(&key, None, value, longer).await;
    let message = refused.expect_err("too long").to_string();
    assert!(message.contains("31536001s"), "{message}");
    assert!(store.get(&key).await.expect("get").is_none());
}
