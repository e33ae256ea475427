//! Processes on one SQLite file.

use std::{fs, io::Write};

use test_support::Scratch;

use crate::{
    curl::Browser,
    processes,
    support::{Server, run},
};

crate::tests!(
    a_session_goes_on_at_the_other_process_and_ends_at_both,
    two_processes_lose_no_count,
    two_processes_keep_each_others_values,
    two_processes_keep_the_limit_of_a_users_sessions,
    what_was_acknowledged_survives_a_kill,
    a_file_that_is_no_database_is_told_at_start,
    a_full_disk_is_not_ready,
);

fn url(dir: &Scratch) -> String {
    format!("sqlite://{}/sessions.db", dir.path().display())
}

fn a_session_goes_on_at_the_other_process_and_ends_at_both() {
    let dir = Scratch::new();
    processes::share_a_session(&dir, &url(&dir));
}

fn two_processes_keep_the_limit_of_a_users_sessions() {
    let dir = Scratch::new();
    processes::keep_the_limit_of_a_users_sessions(&url(&dir));
}

fn two_processes_lose_no_count() {
    let dir = Scratch::new();
    processes::lose_no_count(&dir, &url(&dir));
}

fn two_processes_keep_each_others_values() {
    let dir = Scratch::new();
    processes::keep_each_others_values(&dir, &url(&dir));
}

/// `kill -9` in the middle of parallel requests: the session goes on, and its counter has every
/// count that a client was told.
fn what_was_acknowledged_survives_a_kill() {
    let dir = Scratch::new();
    let first = processes::demo(&url(&dir));
    let browser = Browser::new(&first, &dir, "jar");
    browser.get("/session/counter");
    let counter = format!("{}/session/counter?[1-100000]", first.base);
    let mut load = processes::parallel(&browser.jar, &counter);
    // Enough to be in full swing.
    let mut statuses = first_lines(&mut load, 300);
    drop(first);
    let output = load.wait_with_output().unwrap();
    statuses.extend(
        String::from_utf8(output.stdout)
            .unwrap()
            .lines()
            .map(str::to_owned),
    );
    let acknowledged = 1 + statuses.iter().filter(|status| *status == "200").count();
    assert!(acknowledged > 300);

    let again = processes::demo(&url(&dir));
    let answer = Browser::new(&again, &dir, "jar").get("/session/counter");
    assert_eq!(answer.status, 200, "{answer:?}");
    let counted: usize = answer
        .body
        .trim_end_matches('}')
        .rsplit(':')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    // A request that was cut off may have counted; up to 32 were on their way, and this one is
    // counted too.
    let missing_answers = counted - 1 - acknowledged;
    assert!(
        missing_answers <= 32,
        "{counted} counted, {acknowledged} acknowledged"
    );
}

#[expect(clippy::print_stdout, reason = "a line for people")]
fn a_full_disk_is_not_ready() {
    let dir = Scratch::new();
    let url = url(&dir);
    let options = ["--store", &url, "--idle-timeout", "10m"];
    let Some(demo) = Server::start_on_small_disk(dir.path(), "2m", &options) else {
        println!("nobody may mount a file system here: a full disk is not tried");
        return;
    };
    let filler = demo.path(&dir.path().join("filler"));
    processes::tell_that_writes_are_refused(
        &demo,
        || {
            let mut file = fs::File::create(&filler).unwrap();
            while file.write_all(&[0; 4096]).is_ok() {}
        },
        || fs::remove_file(&filler).unwrap(),
    );
}

fn first_lines(load: &mut std::process::Child, count: usize) -> Vec<String> {
    use std::io::Read;
    let stdout = load.stdout.as_mut().unwrap();
    let mut text = Vec::new();
    let mut byte = [0];
    let mut lines = 0;
    while lines < count {
        stdout.read_exact(&mut byte).unwrap();
        lines += usize::from(byte[0] == b'\n');
        text.push(byte[0]);
    }
    String::from_utf8(text)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
}

fn a_file_that_is_no_database_is_told_at_start() {
    let dir = Scratch::new();
    let file = dir.path().join("text.db");
    std::fs::write(
        &file,
        "a text that is longer than the header of a database file, and no database at all"
            .repeat(20),
    )
    .unwrap();
    let ended = run(&[], &["--store", &format!("sqlite://{}", file.display())]);
    assert!(!ended.status.success());
    assert!(
        ended.stderr.contains("--store can't be used"),
        "{}",
        ended.stderr
    );
    assert_eq!(ended.stdout, "");
}
