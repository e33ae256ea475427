//! Options, good and bad: a bad one is one clear line and an exit status that is not 0.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
};

use test_support::Scratch;

use crate::support::{Ended, Server, identity, run};

crate::tests!(
    a_bad_option_is_one_clear_line,
    a_bad_variable_is_one_clear_line,
    a_taken_port_is_one_clear_line,
    a_bad_certificate_is_one_clear_line,
    a_password_is_never_shown,
    help_and_version_are_no_errors,
    every_option_has_a_variable,
    a_cookie_that_will_not_stick_is_warned_about,
    a_log_for_programs_is_json,
);

fn a_bad_option_is_one_clear_line() {
    for (args, says) in [
        (&["--port", "x"][..], "'x' for '--port <PORT>'"),
        (&["--port", "65536"], "65536 is not in 0..=65535"),
        (&["--bind", "localhost"], "'localhost' for '--bind <IP>'"),
        (
            &["--idle-timeout", "20"],
            "write it as in 20s, 10m or 500ms",
        ),
        (&["--idle-timeout", "0s"], "must be longer than zero"),
        (
            &["--io-timeout", "soon"],
            "'soon' for '--io-timeout <TIME>'",
        ),
        (
            &["--absolute-timeout=-1h"],
            "'-1h' for '--absolute-timeout <TIME>'",
        ),
        (&["--absolute-timeout", "1000000d"], "absolute_timeout"),
        (&["--max-sessions-per-owner", "0"], "0 is not in 1.."),
        (
            &["--same-site", "maybe"],
            "[possible values: lax, strict, none]",
        ),
        (
            &["--secure-policy", "maybe"],
            "[possible values: always, same-as-request, none]",
        ),
        (&["--log-format", "xml"], "[possible values: text, json]"),
        (&["--shutdown-timeout", "0s"], "must be longer than zero"),
        (&["--shutdown-timeout", "61m"], "must be at most 1h"),
        (&["--read-timeout", "61m"], "must be at most 1h"),
        (
            &[
                "--io-timeout",
                "500000000000y",
                "--store",
                "sqlite::memory:",
            ],
            "must be at most 1h",
        ),
        (&["--cookie-name", "a;b"], "';'"),
        (
            &["--cookie-name", "Kr.Notice"],
            "--cookie-name is the name of the page's own cookie, Kr.Notice",
        ),
        (&["--cookie-name", ""], "cookie"),
        (
            &["--same-site", "none", "--secure-policy", "none"],
            "SameSite=None",
        ),
        (
            &["--cookie-name", "__Host-id", "--secure-policy", "none"],
            "__Host-",
        ),
        #[cfg(feature = "redis")]
        (
            &["--store", "redis+sentinel://localhost"],
            "the name of the master is missing",
        ),
        #[cfg(feature = "redis")]
        (
            &["--store", "redis://user:secret@127.0.0.1:1"],
            "can't reach Redis at 127.0.0.1:1",
        ),
        #[cfg(feature = "redis")]
        (
            &["--store", "redis://:p@secret#word@127.0.0.1:1"],
            "percent-encode",
        ),
        #[cfg(feature = "redis")]
        (
            &["--store", "rediss://127.0.0.1:1", "--redis-ca", "no.pem"],
            "--redis-ca no.pem: No such file",
        ),
        #[cfg(feature = "redis")]
        (
            &[
                "--store",
                "redis://127.0.0.1:1",
                "--redis-password-file",
                "no.txt",
            ],
            "no.txt: No such file",
        ),
        (
            &["--redis-password-file", "password.txt"],
            "--redis-password-file needs a --store in Redis",
        ),
        (
            &["--redis-sentinel-user", "app"],
            "--redis-sentinel-password-file",
        ),
        #[cfg(feature = "postgres")]
        (
            &["--store", "postgres://user:secret@127.0.0.1:1/sessions"],
            "--store can't be used",
        ),
        #[cfg(not(feature = "postgres"))]
        (
            &["--store", "postgres://localhost"],
            "'postgres' is not built in; built in: moka, memory",
        ),
        #[cfg(feature = "sqlite")]
        (
            &["--store", "sqlite:///no/such/folder/sessions.db"],
            "--store can't be used",
        ),
        (
            &["--store", "mongodb://localhost"],
            "built in: moka, memory",
        ),
        (&["--store", "disk"], "built in: moka, memory"),
        (&["--tls-cert", "cert.pem"], "add --tls-key"),
        (&["--tls-key", "key.pem"], "add --tls-cert"),
        (
            &["--http", "--tls-cert", "cert.pem", "--tls-key", "key.pem"],
            "--http",
        ),
        (&["--nope"], "'--nope'"),
        (&["extra"], "'extra'"),
    ] {
        one_line(&run(&[], args), says);
    }
}

fn a_bad_variable_is_one_clear_line() {
    for (name, value, says) in [
        ("PORT", "http", "'http' for '--port <PORT>'"),
        ("SESSION_HTTP", "maybe", "'maybe' for '--http'"),
        (
            "SESSION_IDLE_TIMEOUT",
            "20",
            "'20' for '--idle-timeout <TIME>'",
        ),
        (
            "SESSION_STORE",
            "mysql://user:secret@localhost",
            "--store names no store; built in: moka, memory",
        ),
        ("RUST_LOG", "a=b=c", "RUST_LOG"),
    ] {
        one_line(&run(&[(name, value)], &[]), says);
    }
}

fn a_taken_port_is_one_clear_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    one_line(
        &run(&[], &["--port", &address.port().to_string()]),
        &address.to_string(),
    );
}

fn a_bad_certificate_is_one_clear_line() {
    let dir = Scratch::new();
    let (cert, key) = identity(&dir, "good");
    let (_, other_key) = identity(&dir, "other");
    let text = dir.file("text.pem", "no PEM in here\n");
    let broken = dir.file(
        "broken.pem",
        "-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----\n",
    );
    let no_certificate = dir.file(
        "none.pem",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    );
    let no_key = dir.file(
        "nokey.pem",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    );
    let missing = dir.path().join("missing.pem");
    let folder = dir.path().to_owned();

    for (cert, key, wrong, says) in [
        (&missing, &key, &missing, "No such file"),
        (&cert, &missing, &missing, "No such file"),
        (&folder, &key, &folder, "directory"),
        (&text, &key, &text, "BEGIN CERTIFICATE"),
        (&broken, &key, &broken, "BEGIN CERTIFICATE"),
        (&no_certificate, &key, &no_certificate, "X.509"),
        (&cert, &text, &text, "BEGIN PRIVATE KEY"),
        (&cert, &no_key, &no_key, "private key"),
        // The two files in each other's place.
        (&key, &cert, &key, "BEGIN CERTIFICATE"),
        (
            &cert,
            &other_key,
            &other_key,
            "not the private key of the certificate",
        ),
    ] {
        let ended = run(
            &[],
            &[
                "--tls-cert",
                cert.to_str().unwrap(),
                "--tls-key",
                key.to_str().unwrap(),
            ],
        );
        one_line(&ended, says);
        assert!(
            ended.stderr.contains(wrong.to_str().unwrap()),
            "{}",
            ended.stderr
        );
    }
}

fn a_password_is_never_shown() {
    for url in [
        "redis://user:hunter2@localhost",
        "user:hunter2@localhost",
        "hunter2://localhost",
        "memory:hunter2",
    ] {
        for ended in [
            run(&[("RUST_LOG", "trace")], &["--store", url]),
            run(&[("SESSION_STORE", url)], &[]),
            run(&[("SESSION_STORE", url)], &["--help"]),
            run(&[("SESSION_STORE", url)], &["--port", "x"]),
        ] {
            assert!(
                !format!("{}{}", ended.stdout, ended.stderr).contains("hunter2"),
                "{url}: {}",
                ended.stderr
            );
        }
    }
}

fn help_and_version_are_no_errors() {
    let help = run(&[], &["--help"]);
    assert!(help.status.success());
    assert!(help.stdout.contains("--idle-timeout"), "{}", help.stdout);
    let version = run(&[], &["--version"]);
    assert!(version.status.success());
    assert_eq!(
        version.stdout,
        concat!("sessions-demo ", env!("CARGO_PKG_VERSION"))
    );
}

fn every_option_has_a_variable() {
    let server = Server::start_with(
        &[
            ("PORT", "0"),
            ("SESSION_BIND", "127.0.0.1"),
            ("SESSION_HTTP", "true"),
            ("SESSION_SECURE_POLICY", "none"),
            ("SESSION_SAME_SITE", "strict"),
            ("SESSION_COOKIE_NAME", "id"),
            ("SESSION_IDLE_TIMEOUT", "500ms"),
            ("SESSION_ABSOLUTE_TIMEOUT", "10m"),
            ("SESSION_MAX_PER_OWNER", "3"),
            ("SESSION_IO_TIMEOUT", "1s 500ms"),
            ("SESSION_READ_TIMEOUT", "1s"),
            ("SESSION_SHUTDOWN_TIMEOUT", "1s"),
            ("SESSION_LOG_FORMAT", "json"),
            ("SESSION_STORE", "memory"),
        ],
        &[],
    );
    assert!(
        server.base.starts_with("http://127.0.0.1:"),
        "{}",
        server.base
    );
    assert!(server.stop().status.success());

    let help = run(&[], &["--help"]).stdout;
    for option in help.split("\n      --").skip(1) {
        assert!(option.contains("[env: "), "{option}");
    }

    let dir = Scratch::new();
    let (cert, key) = identity(&dir, "identity");
    let files = [
        ("PORT", "0"),
        ("SESSION_TLS_CERT", cert.to_str().unwrap()),
        ("SESSION_TLS_KEY", key.to_str().unwrap()),
    ];
    assert!(
        Server::start_with(&files, &[])
            .base
            .starts_with("https://127.0.0.1:")
    );
}

fn a_cookie_that_will_not_stick_is_warned_about() {
    let warned = |args: &[&str]| Server::start(args).stop().stderr.contains("will not stick");
    assert!(warned(&["--http"]));
    assert!(!warned(&["--http", "--secure-policy", "same-as-request"]));
    assert!(!warned(&[]));
}

fn a_log_for_programs_is_json() {
    let server = Server::start(&["--http", "--log-format", "json"]);
    let mut client = TcpStream::connect(server.address()).unwrap();
    client
        .write_all(b"GET /session/counter HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");

    let log = server.stop().stderr;
    let lines: Vec<serde_json::Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect();
    assert!(
        lines
            .iter()
            .any(|line| line["span"]["path"] == "/session/counter"),
        "{log}"
    );
    assert!(
        lines.iter().any(|line| line["message"] == "stopped"),
        "{log}"
    );
}

#[track_caller]
fn one_line(ended: &Ended, says: &str) {
    let Ended {
        status,
        stdout,
        stderr,
    } = ended;
    assert!(matches!(status.code(), Some(1..)), "{status}: {stderr}");
    assert_eq!(stdout, "");
    assert!(
        stderr.starts_with("error: ") && stderr.contains(says),
        "{stderr}"
    );
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}
