//! Two processes on one Redis: one session for both.

use std::time::{Duration, Instant};

use test_support::{RedisServer, Scratch, wait_until};

use crate::{curl::Browser, device, processes, support::run};

crate::tests!(
    a_session_goes_on_at_the_other_process_and_ends_at_both,
    two_processes_lose_no_count,
    two_processes_keep_each_others_values,
    two_processes_keep_the_limit_of_a_users_sessions,
    a_session_is_bound_at_one_process_and_proved_at_the_other,
    redis_may_fail_and_come_back,
    a_start_waits_for_redis,
    a_start_waits_until_redis_has_loaded,
    what_waiting_does_not_mend_is_one_line,
    a_redis_without_memory_is_not_ready,
    a_replica_is_not_ready,
    a_redis_that_can_not_save_is_not_ready,
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

fn a_session_is_bound_at_one_process_and_proved_at_the_other() {
    let redis = start();
    device::is_bound_at_one_and_proved_at_the_other(&redis.url());
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

fn a_start_waits_for_redis() {
    let mut redis = start();
    redis.kill();
    let demo = processes::start_before_the_store(&redis.url(), || redis.restart());
    processes::has_told_of_the_outage(&demo.stop().stderr);
}

fn a_start_waits_until_redis_has_loaded() {
    let mut redis = RedisServer::start(&[
        "--enable-debug-command",
        "yes",
        // A millisecond for each key, and an ear for commands in between.
        "--key-load-delay",
        "1000",
        "--loading-process-events-interval-bytes",
        "1024",
    ]);
    redis.order("DEBUG POPULATE 2000 filler 100");
    redis.order("SAVE");
    redis.kill();
    redis.restart();
    let demo = processes::start_before_the_store(&redis.url(), || ());
    let log = demo.stop().stderr;
    assert!(log.contains("loading the dataset"), "{log}");
}

/// At the start it is an error, and later a line in the log.
fn what_waiting_does_not_mend_is_one_line() {
    let mut redis = RedisServer::start(&["--requirepass", "sesame"]);
    let ended = run(&[], &["--store", &redis.url()]);
    assert!(!ended.status.success());
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("denies access"), "{}", ended.stderr);

    redis.kill();
    let demo = processes::demo(&redis.url());
    redis.restart();
    demo.wait_for_log("denies access");
    let log = demo.stop().stderr;
    assert_eq!(log.matches("denies access").count(), 1, "{log}");
    assert!(log.contains("ERROR"), "{log}");
}

fn a_redis_without_memory_is_not_ready() {
    let redis = start();
    processes::tell_that_writes_are_refused(
        &processes::demo(&redis.url()),
        || redis.order("CONFIG SET maxmemory 1"),
        || redis.order("CONFIG SET maxmemory 0"),
    );
}

fn a_replica_is_not_ready() {
    let redis = start();
    processes::tell_that_writes_are_refused(
        &processes::demo(&redis.url()),
        || redis.order("REPLICAOF 127.0.0.1 1"),
        || redis.order("REPLICAOF NO ONE"),
    );
}

/// It writes its file in the background, fails, and takes no more writes.
fn a_redis_that_can_not_save_is_not_ready() {
    let redis = RedisServer::start(&["--save", "3600 100000", "--enable-protected-configs", "yes"]);
    let folder = redis.folder().join("data");
    std::fs::create_dir(&folder).unwrap();
    redis.order(&format!("CONFIG SET dir {}", folder.display()));
    processes::tell_that_writes_are_refused(
        &processes::demo(&redis.url()),
        || {
            std::fs::remove_dir(&folder).unwrap();
            redis.send("BGSAVE");
        },
        || redis.order("CONFIG SET stop-writes-on-bgsave-error no"),
    );
}
