//! Options that are wrong, and starts that fail: one clear line and the exit status 2 or 1.

use std::net::TcpListener;

use test_support::Scratch;

use crate::{
    refused::{failed, says_so, wrong_option},
    support::{Ended, Server, identity, run},
};

crate::tests!(
    a_bad_option_is_one_clear_line,
    a_wrong_option_gets_a_tip,
    what_fails_at_the_start_is_one_clear_line,
    a_bad_certificate_is_one_clear_line,
    a_password_is_never_shown,
);

fn a_bad_option_is_one_clear_line() {
    for (args, says) in [
        (
            &["--port", "x"][..],
            "'x' for '--port <PORT>': write a number from 0 to 65535",
        ),
        (&["--port", "65536"], "write a number from 0 to 65535"),
        (
            &["--bind", "localhost"],
            "'localhost' for '--bind <IP>': write an IP address, as in 127.0.0.1",
        ),
        (
            &["--idle-timeout", "20"],
            "write a time with its unit, as in 20s, 10m or 500ms",
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
        (
            &["--absolute-timeout", "1000000d"],
            "--absolute-timeout 1000000d is too long; set 400d at most",
        ),
        (
            &["--idle-timeout", "13h"],
            "--idle-timeout 13h is longer than --absolute-timeout 12h",
        ),
        // A hyphen begins a wrong value, not another option.
        (
            &["--idle-timeout", "-5s"],
            "'-5s' for '--idle-timeout <TIME>': write a time with its unit",
        ),
        (
            &["--port", "-1"],
            "'-1' for '--port <PORT>': write a number from 0",
        ),
        (
            &["--device-binding", "1s"],
            "--device-binding 1s is out of bounds; set a time from 2s to 24h",
        ),
        (
            &["--device-binding", "--secure-policy", "none"],
            "--secure-policy none goes without --device-binding",
        ),
        (
            &["--max-sessions-per-owner", "0"],
            "write a number from 1 to",
        ),
        (
            &["--max-connections", "0"],
            "write a number from 1 to 1000000",
        ),
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
        (
            &["--cookie-name", "a;b"],
            "--cookie-name has ';' at position 1",
        ),
        (
            &["--cookie-name", "Kr.Notice"],
            "--cookie-name is the name of the page's own cookie, Kr.Notice",
        ),
        (&["--cookie-name", ""], "--cookie-name is empty"),
        (
            &["--same-site", "none", "--secure-policy", "none"],
            "--same-site none needs --secure-policy always",
        ),
        (
            &["--cookie-name", "__Host-id", "--secure-policy", "none"],
            "--cookie-name starts with __Host-, which needs --secure-policy always",
        ),
        #[cfg(feature = "redis")]
        (
            &["--store", "redis"],
            "--store names no address; write redis as in redis://127.0.0.1:6379",
        ),
        (&["--store", "MEMORY"], "--store has capitals; write memory"),
        #[cfg(feature = "redis")]
        (
            &["--store", "Redis://127.0.0.1:6379"],
            "--store has capitals; write redis",
        ),
        #[cfg(feature = "redis")]
        (
            &["--store", "foo"],
            "--store 'foo' is no store of this build, which has moka, memory",
        ),
        #[cfg(feature = "sqlite")]
        (
            &["--store", "sqlite::memory:"],
            "--store names no file, as in sqlite://sessions.db; for sessions in memory write memory",
        ),
        #[cfg(feature = "sqlite")]
        (
            &["--store", "sqlite://"],
            "--store names no file, as in sqlite://sessions.db",
        ),
        #[cfg(feature = "sqlite")]
        (
            &["--store", "sqlite://:memory:"],
            "use a file, or the memory store",
        ),
        #[cfg(feature = "sqlite")]
        (
            &["--store", "sqlite:sessions.db"],
            "write sqlite as in sqlite://sessions.db",
        ),
        #[cfg(feature = "postgres")]
        (
            &["--store", "postgresql"],
            "write postgres as in postgres://user@127.0.0.1/database",
        ),
        #[cfg(feature = "mysql")]
        (
            &["--store", "mariadb"],
            "write mysql as in mysql://user@127.0.0.1/database",
        ),
        #[cfg(feature = "redis")]
        (
            &["--store", "redis+sentinel://localhost"],
            "the name of the master is missing",
        ),
        #[cfg(feature = "redis")]
        (
            &["--store", "redis://127.0.0.1:abc"],
            "the port is no number up to 65535; write redis://host:port",
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
            "--redis-password-file no.txt: No such file",
        ),
        #[cfg(feature = "redis")]
        (
            &[
                "--store",
                "redis://127.0.0.1:1",
                "--redis-password-file",
                "/dev/null",
            ],
            "--redis-password-file /dev/null: the first line is empty",
        ),
        (
            &["--redis-password-file", "password.txt"],
            "--redis-password-file needs a --store in Redis",
        ),
        #[cfg(feature = "redis")]
        (
            &[
                "--store",
                "redis://127.0.0.1:1",
                "--redis-sentinel-user",
                "app",
            ],
            "--redis-sentinel-user needs a password: add --redis-sentinel-password-file",
        ),
        #[cfg(feature = "postgres")]
        (
            &["--store", "postgres://user:secret@127.0.0.1:x/sessions"],
            "--store can't be used",
        ),
        #[cfg(feature = "mysql")]
        (
            &["--store", "mysql://user:secret@127.0.0.1:x/sessions"],
            "--store can't be used",
        ),
        #[cfg(not(feature = "postgres"))]
        (
            &["--store", "postgres://localhost"],
            "--store 'postgres://…' is no store of this build, which has moka, memory",
        ),
        #[cfg(feature = "sqlite")]
        (
            &["--store", "sqlite:///no/such/folder/sessions.db"],
            "--store can't be used: the file /no/such/folder/sessions.db can't be created",
        ),
        (
            &["--store", "mongodb://localhost"],
            "--store 'mongodb://…' is no store of this build, which has moka, memory",
        ),
        #[cfg(feature = "sqlite")]
        (
            &["--store", "disk"],
            "redis; write one as in sqlite://sessions.db",
        ),
        (&["--store", ""], "--store '' is no store of this build"),
        (&["--tls-cert", "cert.pem"], "add --tls-key"),
        (&["--tls-key", "key.pem"], "add --tls-cert"),
        (
            &["--http", "--tls-cert", "cert.pem", "--tls-key", "key.pem"],
            "--http",
        ),
        (
            &["--nope"],
            "unexpected argument '--nope' found; --help lists the options",
        ),
        (
            &["extra"],
            "'extra' found; each option begins with two hyphens, as in --port 8080; --help lists",
        ),
        (
            &["-port", "80"],
            "'-p' found; each option begins with two hyphens",
        ),
        (
            &["--http=false"],
            "'false' for '--http' found; no more were expected; write it without a value",
        ),
        (
            &["--http", "false"],
            "'false' found; each option begins with two hyphens",
        ),
        (
            &["--bind", "0.0.0.0:80"],
            "'0.0.0.0:80' for '--bind <IP>': write the address alone, and give 80 to --port",
        ),
        // Times are repeated as they were written.
        (
            &["--idle-timeout", "36h"],
            "--idle-timeout 36h is longer than --absolute-timeout 12h",
        ),
        (
            &["--absolute-timeout", "9601h"],
            "--absolute-timeout 9601h is too long; set 400d at most",
        ),
        (
            &["--device-binding", "24h 1s"],
            "--device-binding 24h 1s is out of bounds",
        ),
    ] {
        wrong_option(args, says);
    }
}

fn a_wrong_option_gets_a_tip() {
    wrong_option(
        &["--prot", "80"],
        "tip: a similar argument exists: '--port'",
    );
    wrong_option(&["--store=moka", "--sore"], "'--store'");
    wrong_option(
        &["--same-site", "laxx"],
        "tip: a similar value exists: 'lax'",
    );
    wrong_option(
        &["--port"],
        "a value is required for '--port <PORT>' but none was supplied",
    );
}

/// The options are right, and the server fails: the exit status is 1.
fn what_fails_at_the_start_is_one_clear_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let port = address.port().to_string();
    failed(
        &run(&[], &["--port", &port]),
        &format!("can't listen on {address}: "),
    );
    failed(
        &run(&[("PORT", &port)], &[]),
        "choose another PORT or --bind",
    );
    // A file that is no database.
    #[cfg(feature = "sqlite")]
    {
        let dir = Scratch::new();
        let file = dir.file(
            "sessions.db",
            "no database, but long enough to be read\n".repeat(99),
        );
        let url = format!("sqlite://{}", file.display());
        let ended = run(&[("SESSION_STORE", &url)], &[]);
        let says = format!(
            "SESSION_STORE can't be used: the database at {}",
            file.display()
        );
        failed(&ended, &says);
    }
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
    let encrypted = dir.file(
        "encrypted.pem",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
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
        (&cert, &encrypted, &encrypted, "the key is encrypted"),
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
        says_so(&ended, says);
        assert!(
            ended.stderr.contains(wrong.to_str().unwrap()),
            "{}",
            ended.stderr
        );
    }
}

fn a_password_is_never_shown() {
    let shows_none = |ended: Ended| {
        let said = format!("{}{}", ended.stdout, ended.stderr);
        assert!(!said.contains("hunter2"), "{said}");
    };
    for url in [
        #[cfg(feature = "redis")]
        "redis://user:hunter2@127.0.0.1:1",
        #[cfg(feature = "postgres")]
        "postgres://user:hunter2@127.0.0.1:1/sessions",
        #[cfg(feature = "mysql")]
        "mysql://user:hunter2@127.0.0.1:1/sessions",
    ] {
        let server = Server::start_with(&[("PORT", "0"), ("RUST_LOG", "trace")], &["--store", url]);
        server.wait_for_log("127.0.0.1:1");
        server.wait_for_log("serving anyway: requests that need a session get 503");
        shows_none(server.stop());
        shows_none(run(&[("SESSION_STORE", url)], &["--help"]));
        shows_none(run(&[("SESSION_STORE", url)], &["--port", "x"]));
    }
    for url in [
        "user:hunter2@localhost",
        "hunter2@localhost",
        "memory:hunter2",
    ] {
        for ended in [
            run(&[("RUST_LOG", "trace")], &["--store", url]),
            run(&[("SESSION_STORE", url)], &[]),
            run(&[("SESSION_STORE", url)], &["--help"]),
            run(&[("SESSION_STORE", url)], &["--port", "x"]),
        ] {
            shows_none(ended);
        }
    }
}
