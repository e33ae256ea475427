//! Clients that don't finish what they send.

use std::{
    io::{Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use crate::support::Server;

crate::tests!(
    a_connection_without_a_request_ends,
    headers_that_trickle_end_the_connection,
    an_unfinished_body_is_a_timeout,
    a_body_that_trickles_is_a_timeout,
    a_body_that_nobody_reads_ends_with_its_answer,
);

/// Far longer than the server waits.
const DEADLINE: Duration = Duration::from_secs(20);

const LOGIN: &str = "POST /page/login HTTP/1.1\r\nHost: localhost\r\n\
                     Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\n";

fn start() -> Server {
    Server::start(&["--http", "--read-timeout", "300ms"])
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// What the server sends until it ends the connection.
fn answer(mut stream: &TcpStream) -> String {
    let (mut bytes, start) = (Vec::new(), Instant::now());
    // A reset ends a connection too.
    let _ = stream.read_to_end(&mut bytes);
    assert!(start.elapsed() < DEADLINE, "still open");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Writes one byte at a time until the server ends the connection.
fn trickle(mut stream: &TcpStream, text: &str) -> String {
    let start = Instant::now();
    for byte in text.bytes().cycle() {
        assert!(start.elapsed() < DEADLINE, "still open");
        if stream.write_all(&[byte]).is_err() {
            break;
        }
        thread::sleep(Duration::from_millis(20));
    }
    answer(stream)
}

fn a_connection_without_a_request_ends() {
    let server = start();
    let unfinished = [
        "",
        // The start of a POST, and of HTTP/2.
        "P",
        "PRI * HTTP/2.0\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET /hello HTTP/1.1\r\nHost: localhost\r\n",
        // The second request never comes.
        "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ];
    for text in unfinished {
        let mut stream = connect(&server);
        stream.write_all(text.as_bytes()).unwrap();
        answer(&stream);
    }
}

fn headers_that_trickle_end_the_connection() {
    let server = start();
    let mut stream = connect(&server);
    stream.write_all(b"GET /hello HTTP/1.1\r\n").unwrap();
    trickle(&stream, "X-Header: value\r\n");
}

fn an_unfinished_body_is_a_timeout() {
    let server = start();
    let mut stream = connect(&server);
    stream.write_all(LOGIN.as_bytes()).unwrap();
    stream.write_all(b"user=max").unwrap();
    let answer = answer(&stream);
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(!answer.to_lowercase().contains("set-cookie"), "{answer}");
}

fn a_body_that_trickles_is_a_timeout() {
    let server = start();
    let mut stream = connect(&server);
    let endless = LOGIN.replace("100", "100000");
    stream.write_all(endless.as_bytes()).unwrap();
    // The answer may be lost, since the server doesn't wait until it is read.
    let answer = trickle(&stream, "m");
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 408 "),
        "{answer}"
    );
}

fn a_body_that_nobody_reads_ends_with_its_answer() {
    let server = start();
    let mut stream = connect(&server);
    let counter = LOGIN.replace("/page/login", "/page/counter");
    stream.write_all(counter.as_bytes()).unwrap();
    let answer = answer(&stream);
    assert!(answer.starts_with("HTTP/1.1 303 "), "{answer}");
}
