//! What holds for two processes of the demo on one store, whichever it is.

use std::{
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use test_support::{Scratch, wait_until};

use crate::{
    curl::{Browser, curl},
    support::Server,
};

/// A process on this store.
pub(crate) fn demo(url: &str) -> Server {
    Server::start(&["--store", url, "--idle-timeout", "10m"])
}

/// A process that starts while nobody can serve its sessions listens, says so, and serves them as
/// soon as somebody can.
pub(crate) fn start_before_the_store(url: &str, start: impl FnOnce()) -> Server {
    let dir = Scratch::new();
    let began = Instant::now();
    let demo = demo(url);
    assert!(began.elapsed() < Duration::from_secs(2), "{began:?}");
    let browser = Browser::new(&demo, &dir, "jar");
    assert_eq!(browser.get("/hello").status, 200);
    assert_eq!(browser.get("/healthz").status, 200);
    assert_eq!(browser.get("/readyz").status, 503);
    let answer = browser.get("/session/counter");
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
    start();
    wait_until("the store serves", || {
        (browser.get("/readyz").status == 200).then_some(())
    });
    browser
        .get("/session/counter")
        .is(200, r#"{"message":"Counter incremented","counter":1}"#);
    demo
}

/// A store that couldn't be reached at the start is told, each reason once, in the same words
/// whichever it is. A server that is still starting is another reason than one that isn't there.
pub(crate) fn has_told_of_the_outage(log: &str) {
    let told = |says: &str| -> Vec<_> {
        let lines = log.lines().filter_map(|line| line.split_once(says));
        lines
            .map(|(before, after)| (before.to_owned(), after.to_owned()))
            .collect()
    };
    let down = told("the session store is down server=");
    assert!(
        down.iter().all(|(before, _)| before.contains("WARN")),
        "{log}"
    );
    let mut reasons: Vec<_> = down.into_iter().map(|(_, after)| after).collect();
    let first = reasons.first().expect(log);
    assert!(
        first.contains(" reason=can't reach ") && first.contains("refused"),
        "{log}"
    );
    let lines = reasons.len();
    reasons.sort_unstable();
    reasons.dedup();
    assert_eq!(reasons.len(), lines, "{log}");
    let back = told("the session store is back server=");
    assert!(
        back.iter().any(|(before, _)| before.contains("INFO")),
        "{log}"
    );
    assert!(!log.contains("can't be deleted"), "{log}");
    // Probes add no lines of their own.
    let mut failed = log.lines().filter(|line| line.contains("a request failed"));
    assert!(failed.all(|line| !line.contains("/readyz")), "{log}");
}

/// Eight processes wait for a database without tables, and all of them serve as soon as it is
/// there.
#[cfg(any(feature = "mysql", feature = "postgres"))]
pub(crate) fn migrate_at_once(url: &str, start: impl FnOnce()) {
    let dir = Scratch::new();
    let demos: Vec<Server> = (0..8).map(|_| demo(url)).collect();
    start();
    for (count, demo) in (1..).zip(&demos) {
        let browser = Browser::new(demo, &dir, "jar");
        wait_until("the store serves", || {
            (browser.get("/readyz").status == 200).then_some(())
        });
        let counted = format!(r#"{{"message":"Counter incremented","counter":{count}}}"#);
        browser.get("/session/counter").is(200, &counted);
    }
    for demo in demos {
        let log = demo.stop().stderr;
        assert!(!log.contains("can't be used"), "{log}");
    }
}

/// A process whose store answers reads and refuses writes says within 5 s that it can't serve, and
/// then that it can again.
pub(crate) fn tell_that_writes_are_refused(
    demo: &Server,
    refuse: impl FnOnce(),
    allow: impl FnOnce(),
) {
    let dir = Scratch::new();
    let browser = Browser::new(demo, &dir, "jar");
    let is_ready = |status| (browser.get("/readyz").status == status).then_some(());
    wait_until("it is ready", || is_ready(200));
    browser.get("/session/counter");
    refuse();
    let refused = Instant::now();
    wait_until("it isn't ready", || is_ready(503));
    assert!(refused.elapsed() < Duration::from_secs(5), "{refused:?}");
    assert_eq!(browser.get("/session/counter").status, 503);
    let metrics = browser.get("/metrics").body;
    assert!(!metrics.contains("kr_session_ping_failures_total 0"));
    assert!(metrics.contains("kr_session_ping_failures_total "));
    allow();
    wait_until("it is ready", || is_ready(200));
    assert_eq!(browser.get("/session/counter").status, 200);
}

/// A session that began at one goes on at the other; a logout at one is true at the other at once.
pub(crate) fn share_a_session(dir: &Scratch, url: &str) {
    let (one, other) = (demo(url), demo(url));
    let at_one = Browser::new(&one, dir, "jar");
    let at_other = Browser::new(&other, dir, "jar");
    at_one
        .get("/session/counter")
        .is(200, r#"{"message":"Counter incremented","counter":1}"#);
    at_other
        .get("/session/counter")
        .is(200, r#"{"message":"Counter incremented","counter":2}"#);
    at_other
        .get("/session/login?user=max")
        .is(200, r#"{"message":"Logged in","user":"max"}"#);
    at_one.get("/session/whoami").is(200, r#"{"user":"max"}"#);
    let stolen = std::fs::read(&at_one.jar).unwrap();
    at_one
        .get("/session/logout")
        .is(200, r#"{"message":"Session cleared"}"#);
    // Not only the cookie is gone.
    std::fs::write(&at_one.jar, stolen).unwrap();
    for browser in [&at_one, &at_other] {
        browser
            .get("/session/whoami")
            .is(401, r#"{"error":"No active session or user not set"}"#);
    }
}

/// 32 requests at a time at each of two processes, 3,200 at each.
pub(crate) fn lose_no_count(dir: &Scratch, url: &str) {
    let (one, other) = (demo(url), demo(url));
    let browser = Browser::new(&one, dir, "jar");
    browser.get("/session/set?key=color&value=purple");
    let urls = [&one, &other].map(|server| format!("{}/session/counter?[1-3200]", server.base));
    let runs = urls.map(|url| parallel(&browser.jar, &url));
    for run in runs {
        let output = run.wait_with_output().unwrap();
        let statuses = String::from_utf8(output.stdout).unwrap();
        assert_eq!(statuses.lines().count(), 3_200);
        assert!(statuses.lines().all(|status| status == "200"), "{statuses}");
    }
    browser
        .get("/session/counter")
        .is(200, r#"{"message":"Counter incremented","counter":6401}"#);
}

/// 64 keys, written in parallel through two processes, are all there.
pub(crate) fn keep_each_others_values(dir: &Scratch, url: &str) {
    let (one, other) = (demo(url), demo(url));
    let browser = Browser::new(&one, dir, "jar");
    browser.get("/session/counter");
    let urls = [(&one, "1-32"), (&other, "33-64")]
        .map(|(server, keys)| format!("{}/session/set?key=key[{keys}]&value=purple", server.base));
    for run in urls.map(|url| parallel(&browser.jar, &url)) {
        assert!(run.wait_with_output().unwrap().status.success());
    }
    for key in 1..=64 {
        let stored = format!(r#"{{"key":"key{key}","value":"purple"}}"#);
        browser
            .get(&format!("/session/get?key=key{key}"))
            .is(200, &stored);
    }
}

/// 32 clients at each of two processes sign the same user in at the same time: three sessions are
/// left, and these were told so.
pub(crate) fn keep_the_limit_of_a_users_sessions(url: &str) {
    let [one, other] = [(); 2].map(|()| {
        Server::start(&[
            "--store",
            url,
            "--idle-timeout",
            "10m",
            "--max-sessions-per-owner",
            "3",
        ])
    });
    let runs = [&one, &other].map(|server| {
        let url = format!("{}/session/login?user=max&client=[1-32]", server.base);
        parallel_writing("%{http_code} %header{set-cookie}\n", "", &url)
    });
    let (mut refused, mut alive) = (0, 0);
    for run in runs {
        let output = run.wait_with_output().unwrap();
        for answer in String::from_utf8(output.stdout).unwrap().lines() {
            let (status, cookie) = answer.split_once(' ').unwrap();
            if status == "409" {
                refused += 1;
                continue;
            }
            assert_eq!(status, "200", "{answer}");
            let cookie = cookie.split(';').next().unwrap();
            let whoami = format!("{}/session/whoami", one.base);
            alive += usize::from(curl(&["-k", "-b", cookie, &whoami]).status == 200);
        }
    }
    assert_eq!(alive, 3, "{refused} refused");
}

/// curl with 32 requests at a time; it writes a line with the status of each.
pub(crate) fn parallel(jar: &str, url: &str) -> Child {
    parallel_writing("%{http_code}\n", jar, url)
}

fn parallel_writing(line: &str, jar: &str, url: &str) -> Child {
    Command::new("curl")
        .args(["-q", "-k", "-s", "--noproxy", "*", "--max-time", "60"])
        // Requests in parallel show their progress in spite of -s. A server that is gone is asked
        // no more.
        .args(["--no-progress-meter", "--fail-early"])
        .args(["-Z", "--parallel-max", "32", "-b", jar, "-o", "/dev/null"])
        .args(["-w", line, url])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}
