//! Two processes on one Redis: one session for both.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::curl::Browser;
use crate::dir::Dir;
use crate::processes;

crate::tests!(
    a_session_goes_on_at_the_other_process_and_ends_at_both,
    two_processes_lose_no_count,
    two_processes_keep_each_others_values,
    two_processes_keep_the_limit_of_a_users_sessions,
    redis_may_fail_and_come_back,
);

pub(crate) fn is_installed() -> bool {
    let version = Command::new("redis-server").arg("--version").output();
    version.is_ok_and(|output| output.status.success())
}

fn a_session_goes_on_at_the_other_process_and_ends_at_both() {
    let dir = Dir::new("redis-both");
    let redis = Redis::start(&dir);
    processes::share_a_session(&dir, &redis.url());
}

fn two_processes_lose_no_count() {
    let dir = Dir::new("redis-count");
    let redis = Redis::start(&dir);
    processes::lose_no_count(&dir, &redis.url());
}

fn two_processes_keep_each_others_values() {
    let dir = Dir::new("redis-values");
    let redis = Redis::start(&dir);
    processes::keep_each_others_values(&dir, &redis.url());
}

fn two_processes_keep_the_limit_of_a_users_sessions() {
    let dir = Dir::new("redis-limit");
    let redis = Redis::start(&dir);
    processes::keep_the_limit_of_a_users_sessions(&redis.url());
}

fn redis_may_fail_and_come_back() {
    let dir = Dir::new("redis-down");
    let mut redis = Redis::start(&dir);
    let demo = processes::demo(&redis.url());
    let browser = Browser::new(&demo, &dir, "jar");
    let fresh = Browser::new(&demo, &dir, "fresh");
    browser.get("/session/counter");
    redis.kill();
    let start = Instant::now();
    for path in ["/session/counter", "/session/whoami", "/session/logout"] {
        let answer = browser.get(path);
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(answer.header("retry-after").is_some(), "{answer:?}");
        assert_eq!(answer.header("set-cookie"), None, "{answer:?}");
    }
    assert_eq!(fresh.get("/session/counter").status, 503);
    assert_eq!(browser.get("/hello").status, 200);
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
    redis.restart();
    let start = Instant::now();
    while browser.get("/session/whoami").status == 503 {
        assert!(start.elapsed() < Duration::from_secs(20));
        thread::sleep(Duration::from_millis(20));
    }
    browser
        .get("/session/counter")
        .is(200, r#"{"message":"Counter incremented","counter":2}"#);
}

/// A server of the test's own, killed when dropped.
struct Redis {
    child: Child,
    port: u16,
    folder: String,
}

impl Redis {
    fn start(dir: &Dir) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let folder = dir.path.to_str().unwrap().to_owned();
        let child = spawn(port, &folder);
        let redis = Self {
            child,
            port,
            folder,
        };
        redis.wait_until_ready();
        redis
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn restart(&mut self) {
        self.child = spawn(self.port, &self.folder);
        self.wait_until_ready();
    }

    fn wait_until_ready(&self) {
        let start = Instant::now();
        while !self.answers() {
            assert!(start.elapsed() < Duration::from_secs(20), "no Redis");
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn answers(&self) -> bool {
        let mut answer = [0; 7];
        TcpStream::connect(("127.0.0.1", self.port))
            .and_then(|mut stream| {
                stream.write_all(b"PING\r\n")?;
                stream.read_exact(&mut answer)
            })
            .is_ok_and(|()| &answer == b"+PONG\r\n")
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(port: u16, folder: &str) -> Child {
    Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--dir", folder, "--save", ""])
        .args(["--appendonly", "yes", "--appendfsync", "always"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}
