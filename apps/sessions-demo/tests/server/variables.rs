//! Environment variables beside the options: one that is wrong is named.

use test_support::Scratch;

use crate::{
    refused::says_so,
    support::{Server, VARIABLES, identity, run, run_by_shell},
};

crate::tests!(
    a_bad_variable_is_one_clear_line,
    a_variable_that_is_no_text_is_named,
    an_empty_variable_counts_as_unset,
    every_option_has_a_variable,
);

fn a_bad_variable_is_one_clear_line() {
    for (name, value, says) in [
        (
            "PORT",
            "http",
            "'http' for 'PORT': write a number from 0 to 65535",
        ),
        ("PORT", "65536", "'65536' for 'PORT': write a number from 0"),
        (
            "SESSION_BIND",
            "localhost",
            "for 'SESSION_BIND': write an IP",
        ),
        (
            "SESSION_HTTP",
            "maybe",
            "'SESSION_HTTP': write true or false",
        ),
        ("SESSION_SAME_SITE", "all", "'all' for 'SESSION_SAME_SITE'"),
        (
            "SESSION_IDLE_TIMEOUT",
            "20",
            "'20' for 'SESSION_IDLE_TIMEOUT': write a time with its unit",
        ),
        (
            "SESSION_STORE",
            "mongodb://user:secret@localhost",
            "SESSION_STORE 'mongodb://…' is no store of this build, which has moka, memory",
        ),
        (
            "SESSION_COOKIE_NAME",
            "Kr.Notice",
            "SESSION_COOKIE_NAME is the name of the page's own cookie",
        ),
        (
            "SESSION_TLS_CERT",
            "cert.pem",
            "SESSION_TLS_CERT needs its private key",
        ),
        ("RUST_LOG", "info,a=b=c", "RUST_LOG has 'a=b=c'"),
    ] {
        says_so(&run(&[(name, value)], &[]), says);
    }
    // What is said about two options names both as they were set.
    let both = [
        ("SESSION_IDLE_TIMEOUT", "2h"),
        ("SESSION_ABSOLUTE_TIMEOUT", "1h"),
        ("SESSION_SAME_SITE", "none"),
        ("SESSION_SECURE_POLICY", "none"),
    ];
    says_so(
        &run(&both, &[]),
        "SESSION_SAME_SITE none needs SESSION_SECURE_POLICY always",
    );
    // The command line wins, also over a wrong variable.
    let port = [("PORT", "http")];
    says_so(&run(&port, &["--port", "x"]), "'x' for '--port <PORT>'");
    says_so(&run(&port, &["--nope"]), "'--nope'");
    assert!(run(&port, &["--help"]).status.success());
    let server = Server::start_with(&port, &["--port", "0"]);
    assert!(server.stop().status.success());
}

fn a_variable_that_is_no_text_is_named() {
    let ended = run_by_shell(r#"SESSION_COOKIE_NAME=$(printf '\377') exec "$0""#);
    says_so(&ended, "SESSION_COOKIE_NAME is not valid UTF-8");
}

fn an_empty_variable_counts_as_unset() {
    let others = VARIABLES.iter().filter(|name| **name != "PORT");
    let mut empty: Vec<_> = others.map(|name| (*name, "")).collect();
    empty.push(("PORT", "0"));
    let server = Server::start_with(&empty, &[]);
    assert!(server.base.starts_with("https://127.0.0.1:"));
    assert!(server.stop().status.success());
    let help = run(&[("PORT", "")], &["--help"]).stdout;
    assert!(help.contains("[env: PORT]"), "{help}");
    says_so(
        &run(&[("PORT", ""), ("SESSION_HTTP", "maybe")], &[]),
        "'maybe' for 'SESSION_HTTP'",
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
            ("SESSION_MAX_CONNECTIONS", "100"),
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
    let options = help.split("\n      --").skip(1);
    // Nobody completes options by a variable.
    for option in options.filter(|option| !option.starts_with("completions")) {
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
