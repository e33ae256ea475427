//! What the server says of itself: warnings, the banner, the log.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use crate::support::{Server, run};

crate::tests!(
    options_that_surprise_are_warned_about,
    a_terminal_gets_a_banner,
    the_page_about_the_demo_prints_what_a_terminal_shows,
    colors_are_for_terminals_and_can_be_switched_off,
    a_log_for_programs_is_json,
    the_page_and_the_log_name_the_store,
);

fn options_that_surprise_are_warned_about() {
    let warned = |args: &[&str], says: &str| Server::start(args).stop().stderr.contains(says);
    assert!(warned(&["--http"], "the session cookie may not stick"));
    let below = "--absolute-timeout 10s is below --idle-timeout 20s";
    assert!(warned(&["--absolute-timeout", "10s"], below));
    let reachable = "--bind 0.0.0.0 can be reached from other machines";
    assert!(warned(&["--bind", "0.0.0.0"], reachable));
    let variables = [
        ("PORT", "0"),
        ("SESSION_HTTP", "true"),
        ("SESSION_IDLE_TIMEOUT", "25h"),
        ("SESSION_ABSOLUTE_TIMEOUT", "24h"),
        ("SESSION_BIND", "0.0.0.0"),
    ];
    let log = Server::start_with(&variables, &[]).stop().stderr;
    for says in [
        "drop SESSION_HTTP, or set --secure-policy same-as-request",
        "SESSION_ABSOLUTE_TIMEOUT 24h is below SESSION_IDLE_TIMEOUT 25h",
        "SESSION_BIND 0.0.0.0 can be reached",
    ] {
        assert!(log.contains(says), "{log}");
    }
    // A value may be a secret.
    let misspelled = [
        ("PORT", "0"),
        ("SESSION_IDLE_TIME", "hunter2"),
        ("SESSION_MANAGER", "local/desktop"),
    ];
    let log = Server::start_with(&misspelled, &[]).stop().stderr;
    let says = "SESSION_IDLE_TIME: no option has such a variable; --help lists the variables";
    assert!(log.contains(says), "{log}");
    assert!(!log.contains("hunter2"), "{log}");
    assert!(!log.contains("SESSION_MANAGER"), "{log}");
    assert!(!warned(&[], "WARN"));
}

fn a_terminal_gets_a_banner() {
    let said = Server::run_on_a_terminal(&[], &["--idle-timeout", "10m"]);
    for line in [
        "  Store       moka: sessions end with the process",
        "  Timeouts    idle 10m, absolute 12h",
        "  Stop        Ctrl-C",
    ] {
        assert!(said.lines().any(|said| said.trim_end() == line), "{said}");
    }
    assert!(said.contains("  Sessions    https://127.0.0.1:"), "{said}");
    // The banner has it for people, and standard output for programs.
    assert_eq!(said.matches("https://127.0.0.1:").count(), 2, "{said}");
    assert!(!said.contains("  Open  "), "{said}");
    let said = Server::run_on_a_terminal(&[], &["--host", "0.0.0.0"]);
    assert!(said.contains("  Open        https://127.0.0.1:"), "{said}");
    let no_terminal = Server::start(&[]).stop();
    assert!(
        !no_terminal.stderr.contains("Ctrl-C"),
        "{}",
        no_terminal.stderr
    );
}

fn the_page_about_the_demo_prints_what_a_terminal_shows() {
    let page = include_str!("../../../../docs/tutorial/demo.md");
    let (_, printed) = page.split_once("```text\n").unwrap();
    let (printed, _) = printed.split_once("\n```").unwrap();
    let said = Server::run_on_a_terminal(&[("NO_COLOR", "1")], &["--idle-timeout", "10m"]);
    let (_, address) = said.split_once("\nlistening on https://").unwrap();
    let address = address.lines().next().unwrap().trim_end();
    let said = said.replace(address, "127.0.0.1:8080");
    let said: Vec<_> = said.lines().map(str::trim_end).collect();
    let printed: Vec<_> = printed.lines().collect();
    // Before it the terminal shows the number of the process, for this test.
    assert!(said[1..].starts_with(&printed), "{said:?}");
}

fn colors_are_for_terminals_and_can_be_switched_off() {
    let is_colored = |said: &str| said.contains('\x1b');
    assert!(is_colored(&Server::run_on_a_terminal(&[], &[])));
    assert!(!is_colored(&Server::run_on_a_terminal(
        &[("NO_COLOR", "1")],
        &[]
    )));
    assert!(is_colored(&Server::run_on_a_terminal(
        &[("NO_COLOR", "")],
        &[]
    )));
    assert!(!is_colored(&Server::start(&[]).stop().stderr));
    assert!(!is_colored(&run(&[], &["--help"]).stdout));
}

fn a_log_for_programs_is_json() {
    let server = Server::start(&["--http", "--log-format", "json"]);
    get(&server, "/session/counter");

    let base = server.base.clone();
    let log = server.stop().stderr;
    let lines: Vec<serde_json::Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect();
    assert!(
        lines
            .iter()
            .any(|line| line["path"] == "/session/counter" && line["status"] == 200),
        "{log}"
    );
    assert!(
        lines.iter().all(|line| line.get("spans").is_none()),
        "{log}"
    );
    let listening = lines.iter().find(|line| line["message"] == "listening");
    assert_eq!(listening.unwrap()["address"], base, "{log}");
    assert!(
        lines.iter().any(|line| line["message"] == "stopped"),
        "{log}"
    );
}

fn the_page_and_the_log_name_the_store() {
    for (args, store) in [
        (&["--http"][..], "moka"),
        (&["--http", "--store", "moka"], "moka"),
        (&["--http", "--store", "memory"], "memory"),
    ] {
        let server = Server::start(args);
        let page = get(&server, "/");
        assert!(page.contains(&format!(">{store}</strong>")), "{page}");
        let log = server.stop().stderr;
        assert!(log.contains(&format!("store=\"{store}\"")), "{log}");
    }
}

/// Asks a server over plain HTTP.
fn get(server: &Server, path: &str) -> String {
    let mut client = TcpStream::connect(server.address()).unwrap();
    write!(
        client,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    answer
}
