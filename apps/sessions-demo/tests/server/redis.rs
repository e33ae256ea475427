//! Two processes on one Redis: one session for both.

use std::time::{Duration, Instant};

use test_support::{RedisServer, Scratch, wait_until};

use crate::{curl::Browser, processes};

crate::tests!(
    a_session_goes_on_at_the_other_process_and_ends_at_both,
    two_processes_lose_no_count,
    two_processes_keep_each_others_values,
    two_processes_keep_the_limit_of_a_users_sessions,
    redis_may_fail_and_come_back,
);

/// A server that acknowledges a write once it is on the disk.
fn start() -> RedisServer {
    RedisServer::start(&["--appendonly", "yes", "--appendfsync", "always"])
}

fn a_session_goes_on_at_the_other_process_and_ends_at_both() {
    let dir = Scratch::new();
    let redis = start();
    processes::share_a_session(&dir, &redis.url());
}

fn two_processes_lose_no_count() {
    let dir = Scratch::new();
    let redis = start();
    processes::lose_no_count(&dir, &redis.url());
}

fn two_processes_keep_each_others_values() {
    let dir = Scratch::new();
    let redis = start();
    processes::keep_each_others_values(&dir, &redis.url());
}

fn two_processes_keep_the_limit_of_a_users_sessions() {
    let redis = start();
    processes::keep_the_limit_of_a_users_sessions(&redis.url());
}

fn redis_may_fail_and_come_back() {
    let dir = Scratch::new();
    let mut redis = start();
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
    wait_until("the store serves again", || {
        (browser.get("/session/whoami").status != 503).then_some(())
    });
    browser
        .get("/session/counter")
        .is(200, r#"{"message":"Counter incremented","counter":2}"#);
}
