//! Processes on one database server, which is the test's own.

use std::cell::RefCell;

#[cfg(feature = "mysql")]
use test_support::MariadbServer;
#[cfg(feature = "postgres")]
use test_support::PostgresServer;
use test_support::{DatabaseServer, Scratch, USER, wait_until};

use crate::{curl::Browser, processes, support::run};

/// A server under test.
pub(crate) trait Database: DatabaseServer {
    /// What its tests are called by.
    const NAME: &'static str;
    /// The code if there is no such user.
    const NO_USER: &'static str;
}

#[cfg(feature = "mysql")]
impl Database for MariadbServer {
    const NAME: &'static str = "mysql";
    const NO_USER: &'static str = "1045";
}

#[cfg(feature = "postgres")]
impl Database for PostgresServer {
    const NAME: &'static str = "postgres";
    const NO_USER: &'static str = "28000";
}

macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        pub(crate) fn tests<D: Database>() -> Vec<(String, fn())> {
            vec![$((format!("databases::{}::{}", D::NAME, stringify!($name)), $name::<D>)),*]
        }
    };
}

tests!(
    a_session_goes_on_at_the_other_process_and_ends_at_both,
    two_processes_lose_no_count,
    two_processes_keep_the_limit_of_a_users_sessions,
    what_was_acknowledged_survives_a_kill_of_the_database,
    a_start_waits_for_the_database,
    eight_processes_migrate_at_once,
    what_waiting_does_not_mend_is_one_line,
    a_standby_is_not_ready,
);

fn a_session_goes_on_at_the_other_process_and_ends_at_both<D: Database>() {
    let dir = Scratch::new();
    let database = D::start_quick();
    processes::share_a_session(&dir, &database.url());
}

fn two_processes_lose_no_count<D: Database>() {
    let dir = Scratch::new();
    let database = D::start_quick();
    processes::lose_no_count(&dir, &database.url());
}

fn two_processes_keep_the_limit_of_a_users_sessions<D: Database>() {
    let database = D::start_quick();
    processes::keep_the_limit_of_a_users_sessions(&database.url());
}

/// The server dies without a word, 503 follows with the cookie kept, and after its restart all goes
/// on by itself.
fn what_was_acknowledged_survives_a_kill_of_the_database<D: Database>() {
    let dir = Scratch::new();
    let mut database = D::start();
    let demo = processes::demo(&database.url());
    let browser = Browser::new(&demo, &dir, "jar");
    for count in 1..=20 {
        let counted = format!(r#"{{"message":"Counter incremented","counter":{count}}}"#);
        browser.get("/session/counter").is(200, &counted);
    }
    database.kill();
    let answer = browser.get("/session/counter");
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
    assert_eq!(answer.header("set-cookie"), None, "{answer:?}");
    assert_eq!(browser.get("/hello").status, 200);
    database.restart();
    wait_until("the store serves again", || {
        (browser.get("/session/whoami").status != 503).then_some(())
    });
    browser
        .get("/session/counter")
        .is(200, r#"{"message":"Counter incremented","counter":21}"#);
}

fn a_start_waits_for_the_database<D: Database>() {
    let mut database = D::start();
    database.stop();
    let demo = processes::start_before_the_store(&database.url(), || database.restart());
    processes::has_told_of_the_outage(&demo.stop().stderr);
}

fn eight_processes_migrate_at_once<D: Database>() {
    let mut database = D::start();
    database.stop();
    let url = database.url();
    processes::migrate_at_once(&url, || database.restart());
    let versions = database.run("SELECT count(*) FROM kr_sessions_migrations");
    assert_eq!(versions.trim(), "1");
}

/// At the start it is an error, and later a line in the log.
fn what_waiting_does_not_mend_is_one_line<D: Database>() {
    let mut database = D::start();
    let url = database.url().replace(USER, "nobody");
    let ended = run(&[], &["--store", &url]);
    assert!(!ended.status.success());
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    assert!(ended.stderr.contains(D::NO_USER), "{}", ended.stderr);

    database.stop();
    let demo = processes::demo(&url);
    database.restart();
    demo.wait_for_log(D::NO_USER);
    let log = demo.stop().stderr;
    let lines = log.lines().filter(|line| line.contains("ERROR"));
    assert_eq!(lines.count(), 1, "{log}");
}

fn a_standby_is_not_ready<D: Database>() {
    let server = RefCell::new(D::start());
    let url = server.borrow().url();
    processes::tell_that_writes_are_refused(
        &processes::demo(&url),
        || server.borrow_mut().demote(),
        || server.borrow_mut().promote(),
    );
}
