//! Processes on one PostgreSQL server, which is the test's own.

use test_support::{PostgresServer, Scratch, wait_until};

use crate::{curl::Browser, processes};

crate::tests!(
    a_session_goes_on_at_the_other_process_and_ends_at_both,
    two_processes_lose_no_count,
    two_processes_keep_the_limit_of_a_users_sessions,
    what_was_acknowledged_survives_a_kill_of_the_database,
);

fn a_session_goes_on_at_the_other_process_and_ends_at_both() {
    let dir = Scratch::new();
    let postgres = PostgresServer::start_quick();
    processes::share_a_session(&dir, &postgres.url());
}

fn two_processes_lose_no_count() {
    let dir = Scratch::new();
    let postgres = PostgresServer::start_quick();
    processes::lose_no_count(&dir, &postgres.url());
}

fn two_processes_keep_the_limit_of_a_users_sessions() {
    let postgres = PostgresServer::start_quick();
    processes::keep_the_limit_of_a_users_sessions(&postgres.url());
}

/// The server dies without a word, 503 follows with the cookie kept, and after its restart all goes
/// on by itself.
fn what_was_acknowledged_survives_a_kill_of_the_database() {
    let dir = Scratch::new();
    let mut postgres = PostgresServer::start();
    let demo = processes::demo(&postgres.url());
    let browser = Browser::new(&demo, &dir, "jar");
    for count in 1..=20 {
        let counted = format!(r#"{{"message":"Counter incremented","counter":{count}}}"#);
        browser.get("/session/counter").is(200, &counted);
    }
    postgres.kill();
    let answer = browser.get("/session/counter");
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
    assert_eq!(answer.header("set-cookie"), None, "{answer:?}");
    assert_eq!(browser.get("/hello").status, 200);
    postgres.restart();
    wait_until("the store serves again", || {
        (browser.get("/session/whoami").status != 503).then_some(())
    });
    browser
        .get("/session/counter")
        .is(200, r#"{"message":"Counter incremented","counter":21}"#);
}
