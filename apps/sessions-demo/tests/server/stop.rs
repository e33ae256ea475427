//! The end: asked for by a signal, clean, and within its bound.

use std::{
    net::TcpStream,
    time::{Duration, Instant},
};

use crate::support::Server;

crate::tests!(
    a_signal_ends_the_server_well,
    an_idle_connection_does_not_hold_the_end_up,
    a_second_signal_ends_at_once,
    the_end_has_a_bound,
);

fn a_signal_ends_the_server_well() {
    for signal in ["TERM", "INT"] {
        for args in [&[][..], &["--http"]] {
            let server = Server::start(args);
            server.signal(signal);
            let ended = server.wait();
            assert_eq!(ended.status.code(), Some(0), "{signal}: {}", ended.stderr);
            assert!(ended.stderr.contains("stopped"), "{}", ended.stderr);
            assert_eq!(
                ended.stdout, "",
                "only the address is told on standard output"
            );
        }
    }
}

fn an_idle_connection_does_not_hold_the_end_up() {
    let server = Server::start(&["--http"]);
    let _idle = TcpStream::connect(server.address()).unwrap();
    server.signal("TERM");
    assert_eq!(server.wait().status.code(), Some(0));
}

fn the_end_has_a_bound() {
    let server = Server::start(&["--shutdown-timeout", "100ms"]);
    // Never shakes hands.
    let _silent = TcpStream::connect(server.address()).unwrap();
    let start = Instant::now();
    server.signal("TERM");
    assert_eq!(server.wait().status.code(), Some(0));
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "the handshake alone may take 10 seconds"
    );
}

fn a_second_signal_ends_at_once() {
    let server = Server::start(&[]);
    // Never shakes hands: the server would wait for it until the bound.
    let _silent = TcpStream::connect(server.address()).unwrap();
    server.signal("TERM");
    server.wait_for_log("stopping;");
    server.signal("TERM");
    let second = Instant::now();
    assert_eq!(server.wait().status.code(), Some(0));
    assert!(
        second.elapsed() < Duration::from_secs(5),
        "the bound is 10 seconds"
    );
}
