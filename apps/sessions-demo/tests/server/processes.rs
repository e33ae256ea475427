//! What holds for two processes of the demo on one store, whichever it is.

use std::process::{Child, Command, Stdio};

use test_support::Scratch;

use crate::{
    curl::{Browser, curl},
    support::Server,
};

/// A process on this store.
pub(crate) fn demo(url: &str) -> Server {
    Server::start(&["--store", url, "--idle-timeout", "10m"])
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
