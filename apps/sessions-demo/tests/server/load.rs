//! More clients than the server has room for, and logs that stay small.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use crate::support::Server;

crate::tests!(
    connections_over_the_bound_wait,
    a_lack_of_files_is_told,
    a_request_is_one_line_in_the_log,
    requests_can_be_left_out_of_the_log,
    an_outage_fills_no_log,
);

fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(server.address()).unwrap()
}

/// The answer to a request that carries a token of nobody.
fn ask(mut client: TcpStream) -> String {
    let token = "A".repeat(64);
    let request = format!(
        "GET /session/whoami HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Cookie: Kr.Session={token}\r\n\r\n"
    );
    client.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    answer
}

fn connections_over_the_bound_wait() {
    let server = Server::start(&["--http", "--max-connections", "2"]);
    let idle = [connect(&server), connect(&server)];
    let third = connect(&server);
    server.wait_for_log("all 2 connections are taken");
    drop(idle);
    assert!(ask(third).starts_with("HTTP/1.1 401"));
}

fn a_lack_of_files_is_told() {
    let server = Server::start_with_files(40, &["--http"]);
    let many: Vec<_> = (0..60).map(|_| connect(&server)).collect();
    server.wait_for_log("can't accept connections");
    drop(many);
    assert!(ask(connect(&server)).starts_with("HTTP/1.1 401"));
    let log = server.stop().stderr;
    assert!(log.contains("Too many open files"), "{log}");
}

/// No lines of requests.
const QUIET: [(&str, &str); 2] = [
    ("PORT", "0"),
    ("RUST_LOG", "info,sessions_demo::requests=off"),
];

fn a_request_is_one_line_in_the_log() {
    let server = Server::start(&["--http"]);
    for _ in 0..100 {
        ask(connect(&server));
    }
    let log = server.stop().stderr;
    let answered = log
        .lines()
        .filter(|line| line.contains("method=GET path=\"/session/whoami\" status=401 micros="));
    assert_eq!(answered.count(), 100, "{log}");
    assert!(log.lines().count() < 110, "{log}");
}

fn requests_can_be_left_out_of_the_log() {
    let server = Server::start_with(&QUIET, &["--http"]);
    for _ in 0..100 {
        ask(connect(&server));
    }
    let log = server.stop().stderr;
    assert!(log.lines().count() < 10, "{log}");
}

/// All that fails in a second is a line of each kind, beside the lines of the requests.
#[cfg(feature = "redis")]
fn an_outage_fills_no_log() {
    let server = Server::start_with(&QUIET, &["--http", "--store", "redis://127.0.0.1:1"]);
    let start = std::time::Instant::now();
    for _ in 0..500 {
        let answer = ask(connect(&server));
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    }
    let seconds = start.elapsed().as_secs() as usize;
    let log = server.stop().stderr;
    assert!(log.lines().count() < 10 + 4 * (seconds + 1), "{log}");
}

#[cfg(not(feature = "redis"))]
fn an_outage_fills_no_log() {}
