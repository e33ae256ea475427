//! The tutorial as its readers go through it, and what only a real client shows: TLS and HTTP
//! versions, cookie jars, logs.

use std::{fs, path::Path, process::Command, thread, time::Duration};

use test_support::Scratch;

use crate::support::{Server, identity, secret};

crate::tests!(
    the_walkthrough,
    a_cookie_is_set_once,
    a_session_ends_with_its_timeouts,
    a_user_has_as_many_sessions_as_the_option_says,
    http_1_and_2,
    tls_1_2_and_1_3,
    the_wrong_scheme_fails_and_harms_nobody,
    certificates_from_files,
    a_certificate_is_read_again_at_a_hangup,
    the_self_signed_certificate_has_the_usual_names,
    secure_follows_the_policy,
    a_wrong_method_and_an_unknown_path,
    garbage_in_the_cookie_header_is_nobody,
    logs_hold_no_token,
    the_commands_on_the_page_work,
    steps_are_logged_with_their_session_and_the_rest_is_not,
);

fn the_walkthrough() {
    let dir = Scratch::new();
    let server = Server::start(&[]);
    let first = Browser::new(&server, &dir, "first");
    let fresh = Browser::new(&server, &dir, "fresh");

    first.get("/hello").is(200, "Hello, Session World!");
    first
        .get("/session/counter")
        .is(200, r#"{"message":"Counter incremented","counter":1}"#);
    first
        .get("/session/counter")
        .is(200, r#"{"message":"Counter incremented","counter":2}"#);
    fresh
        .get("/session/counter")
        .is(200, r#"{"message":"Counter incremented","counter":1}"#);
    first
        .get("/session/whoami")
        .is(401, r#"{"error":"No active session or user not set"}"#);
    first
        .get("/session/login?user=max")
        .is(200, r#"{"message":"Logged in","user":"max"}"#);
    first.get("/session/whoami").is(200, r#"{"user":"max"}"#);
    first
        .get("/session/counter")
        .is(200, r#"{"message":"Counter incremented","counter":3}"#);
    let stored = r#"{"message":"Stored in session","key":"color","value":"purple"}"#;
    first
        .get("/session/set?key=color&value=purple")
        .is(200, stored);
    first
        .get("/session/get?key=color")
        .is(200, r#"{"key":"color","value":"purple"}"#);
    fresh
        .get("/session/get?key=color")
        .is(404, r#"{"error":"Key 'color' not found in session"}"#);
    first
        .get("/session/logout")
        .is(200, r#"{"message":"Session cleared"}"#);
    first
        .get("/session/whoami")
        .is(401, r#"{"error":"No active session or user not set"}"#);
}

fn a_cookie_is_set_once() {
    let dir = Scratch::new();
    let server = Server::start(&["--cookie-name", "once"]);
    let browser = Browser::new(&server, &dir, "jar.txt");
    assert_eq!(browser.get("/session/whoami").header("set-cookie"), None);
    let cookie = browser
        .get("/session/counter")
        .header("set-cookie")
        .unwrap();
    assert!(cookie.starts_with("once="), "{cookie}");
    for attribute in ["; Path=/", "; HttpOnly", "; Secure", "; SameSite=Lax"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    assert_eq!(browser.get("/session/counter").header("set-cookie"), None);
    let removal = browser.get("/session/logout").header("set-cookie").unwrap();
    assert!(
        removal.starts_with("once=;") && removal.contains("; Max-Age=0"),
        "{removal}"
    );
}

fn a_session_ends_with_its_timeouts() {
    let dir = Scratch::new();
    for option in ["--idle-timeout", "--absolute-timeout"] {
        let server = Server::start(&[option, "300ms"]);
        let browser = Browser::new(&server, &dir, option);
        browser
            .get("/session/login?user=max")
            .is(200, r#"{"message":"Logged in","user":"max"}"#);
        // However late the test wakes up, the session is over: the timeout, and what a touch may
        // add to it.
        thread::sleep(Duration::from_millis(400));
        browser
            .get("/session/whoami")
            .is(401, r#"{"error":"No active session or user not set"}"#);
    }
}

fn a_user_has_as_many_sessions_as_the_option_says() {
    let dir = Scratch::new();
    let server = Server::start(&["--max-sessions-per-owner", "1"]);
    let [first, second] = ["first", "second"].map(|name| {
        let browser = Browser::new(&server, &dir, name);
        browser
            .get("/session/login?user=max")
            .is(200, r#"{"message":"Logged in","user":"max"}"#);
        browser
    });
    first
        .get("/session/whoami")
        .is(401, r#"{"error":"No active session or user not set"}"#);
    second.get("/session/whoami").is(200, r#"{"user":"max"}"#);
}

fn http_1_and_2() {
    let server = Server::start(&[]);
    let url = format!("{}/hello", server.base);
    // Without a wish curl takes what the server prefers.
    curl(&["-k", &url]).is_over("2");
    curl(&["-k", "--http2", &url]).is_over("2");
    curl(&["-k", "--http1.1", &url]).is_over("1.1");

    let server = Server::start(&["--http"]);
    let url = format!("{}/hello", server.base);
    curl(&["--http1.1", &url]).is_over("1.1");
    curl(&["--http2-prior-knowledge", &url]).is_over("2");
}

fn tls_1_2_and_1_3() {
    let server = Server::start(&[]);
    let url = format!("{}/hello", server.base);
    for version in ["1.2", "1.3"] {
        curl(&[
            "-k",
            &format!("--tlsv{version}"),
            "--tls-max",
            version,
            &url,
        ])
        .is(200, "Hello, Session World!");
    }
    assert!(try_curl(&["-k", "--tlsv1.0", "--tls-max", "1.1", &url]).is_none());
}

fn the_wrong_scheme_fails_and_harms_nobody() {
    let https = Server::start(&[]);
    let url = format!("http://{}/hello", https.address());
    let says = format!("This port speaks HTTPS: {}/\n", https.base);
    // A body that is larger than what the server reads at a time doesn't get in the answer's way.
    let body = "a".repeat(100_000);
    for args in [&[&*url][..], &["-I", &url], &["-d", &body, &url]] {
        let answer = curl(args);
        let body = if args[0] == "-I" { "" } else { &says };
        answer.is(400, body);
        assert_eq!(
            answer.header("content-type").as_deref(),
            Some("text/plain; charset=utf-8")
        );
    }
    curl(&["-k", &format!("{}/hello", https.base)]).is(200, "Hello, Session World!");
    let log = https.stop().stderr;
    let lines = log.matches("plain HTTP at the HTTPS port").count();
    assert!((1..3).contains(&lines), "one line a second: {log}");

    let http = Server::start(&["--http"]);
    assert!(try_curl(&["-k", &format!("https://{}/hello", http.address())]).is_none());
    curl(&[&format!("{}/hello", http.base)]).is(200, "Hello, Session World!");
    let log = http.stop().stderr;
    assert_eq!(log.matches("TLS at the HTTP port").count(), 1, "{log}");
}

fn certificates_from_files() {
    let dir = Scratch::new();
    let (cert, key) = identity(&dir, "own");
    let (cert, key) = (cert.to_str().unwrap(), key.to_str().unwrap());
    let server = Server::start(&["--tls-cert", cert, "--tls-key", key]);
    let url = format!("{}/hello", server.base);
    curl(&["--cacert", cert, &url]).is(200, "Hello, Session World!");
    assert!(try_curl(&[&url]).is_none(), "nobody else trusts it");
}

fn a_certificate_is_read_again_at_a_hangup() {
    let dir = Scratch::new();
    let (cert, key) = identity(&dir, "served");
    let (new_cert, new_key) = identity(&dir, "new");
    let trusted = |cert: &Path, url: &str| try_curl(&["--cacert", cert.to_str().unwrap(), url]);
    let old_cert = dir.file("old.pem", fs::read_to_string(&cert).unwrap());
    let server = Server::start(&[
        "--tls-cert",
        cert.to_str().unwrap(),
        "--tls-key",
        key.to_str().unwrap(),
    ]);
    let url = format!("{}/hello", server.base);
    assert!(trusted(&old_cert, &url).is_some());
    assert!(trusted(&new_cert, &url).is_none());

    // Half of a renewal: the key is not the certificate's.
    fs::copy(&new_cert, &cert).unwrap();
    server.signal("HUP");
    server.wait_for_log("stays the old one");
    assert!(trusted(&old_cert, &url).is_some());

    fs::copy(&new_key, &key).unwrap();
    server.signal("HUP");
    server.wait_for_log("read again");
    assert!(trusted(&new_cert, &url).is_some());
    assert!(trusted(&old_cert, &url).is_none());
}

fn the_self_signed_certificate_has_the_usual_names() {
    let dir = Scratch::new();
    let server = Server::start(&[]);
    let details = curl(&["-k", "-w", "%{certs}", &format!("{}/hello", server.base)]).body;
    let begin = details.find("-----BEGIN CERTIFICATE-----").unwrap();
    let cert = dir.file("server.pem", &details[begin..]);
    // Who trusts it can reach the server by each name.
    for name in ["localhost", "127.0.0.1", "[::1]"] {
        let to = format!("{name}:443:{}", server.address());
        let url = format!("https://{name}/hello");
        curl(&[
            "--cacert",
            cert.to_str().unwrap(),
            "--connect-to",
            &to,
            &url,
        ])
        .is(200, "Hello, Session World!");
    }
    let to = format!("example.test:443:{}", server.address());
    let other = [
        "--cacert",
        cert.to_str().unwrap(),
        "--connect-to",
        &to,
        "https://example.test/hello",
    ];
    assert!(try_curl(&other).is_none());
}

fn secure_follows_the_policy() {
    for (args, secure) in [
        (&[][..], true),
        (&["--secure-policy", "same-as-request"], true),
        (&["--secure-policy", "none"], false),
        (&["--http"], true),
        (&["--http", "--secure-policy", "same-as-request"], false),
        (&["--http", "--secure-policy", "none"], false),
    ] {
        let server = Server::start(args);
        let url = format!("{}/session/counter", server.base);
        for version in ["--http1.1", "--http2"] {
            let cookie = curl(&["-k", version, &url]).header("set-cookie").unwrap();
            assert_eq!(
                cookie.contains("; Secure"),
                secure,
                "{args:?} {version}: {cookie}"
            );
        }
    }
    // Without Secure the walkthrough works over plain HTTP.
    let dir = Scratch::new();
    let server = Server::start(&["--http", "--secure-policy", "same-as-request"]);
    let browser = Browser::new(&server, &dir, "jar.txt");
    browser
        .get("/session/counter")
        .is(200, r#"{"message":"Counter incremented","counter":1}"#);
    browser
        .get("/session/counter")
        .is(200, r#"{"message":"Counter incremented","counter":2}"#);
}

fn a_wrong_method_and_an_unknown_path() {
    let server = Server::start(&[]);
    let post = curl(&[
        "-k",
        "-X",
        "POST",
        &format!("{}/session/counter", server.base),
    ]);
    post.is(405, r#"{"error":"Only GET is supported"}"#);
    assert_eq!(post.header("allow").as_deref(), Some("GET"));
    curl(&["-k", &format!("{}/nowhere", server.base)]).is(404, r#"{"error":"No such path"}"#);
}

fn garbage_in_the_cookie_header_is_nobody() {
    let server = Server::start(&[]);
    let url = format!("{}/session/whoami", server.base);
    let long = format!("Cookie: Kr.Session={}", "A".repeat(6000));
    let forged = format!("Cookie: Kr.Session={}", "A".repeat(64));
    for cookie in [
        "Cookie: Kr.Session=",
        "Cookie: Kr.Session=\"\"",
        "Cookie: =;;=",
        "Cookie: Kr.Session=\u{e9}",
        &long,
        &forged,
    ] {
        for version in ["--http1.1", "--http2"] {
            let answer = curl(&["-k", version, "-H", cookie, &url]);
            answer.is(401, r#"{"error":"No active session or user not set"}"#);
            assert_eq!(answer.header("set-cookie"), None, "{cookie}");
        }
    }
}

/// At the highest level everything under the server logs too: hyper, h2, rustls, tokio.
fn logs_hold_no_token() {
    let dir = Scratch::new();
    for (name, args) in [
        ("https", &[][..]),
        ("http", &["--http", "--secure-policy", "none"]),
    ] {
        let server = Server::start_with(&[("PORT", "0"), ("RUST_LOG", "trace")], args);
        let mut tokens = Vec::new();
        for version in ["--http1.1", "--http2"] {
            let browser = Browser::new(&server, &dir, &format!("{name}{version}")).with(version);
            for path in [
                "/session/counter",
                "/session/login?user=max",
                "/session/set?key=color&value=hunter2",
                "/session/counter",
                "/session/whoami",
            ] {
                browser.get(path);
                tokens.push(browser.token());
            }
            browser.get("/session/logout");
        }
        let ended = server.stop();
        let said = ended.stdout + &ended.stderr;
        assert!(
            said.contains("path=\"/session/whoami\""),
            "requests are logged: {said}"
        );
        tokens.dedup();
        assert_eq!(tokens.len(), 4, "one of each login and one from before it");
        for token in tokens {
            assert_eq!(secret::found_in(&token, said.as_bytes()), None);
        }
        assert!(!said.contains("hunter2"), "the log holds a query");
    }
}

/// At the usual level the log has what visitors do, and not what the page consists of or probes
/// ask.
fn steps_are_logged_with_their_session_and_the_rest_is_not() {
    let dir = Scratch::new();
    let server = Server::start(&[]);
    let browser = Browser::new(&server, &dir, "jar.txt");
    let aside = [
        "/page/style.css",
        "/page/main.js",
        "/favicon.ico",
        "/healthz",
        "/readyz",
        "/metrics",
    ];
    browser.get("/session/counter");
    let page = browser.get("/").body;
    let (_, id) = page.split_once("id=\"id\">").unwrap();
    let (id, _) = id.split_once('<').unwrap();
    // Nobody's, and one whose secret is wrong: an id that anybody may write is not logged.
    curl(&["-k", &format!("{}/session/whoami", server.base)]);
    let token = browser.token();
    let forged = format!("Cookie: Kr.Session={}{}", &token[..22], "A".repeat(42));
    curl(&[
        "-k",
        "-H",
        &forged,
        &format!("{}/session/get?key=a", server.base),
    ]);
    browser.get("/hello");
    for path in aside {
        assert_eq!(browser.get(path).status, 200, "{path}");
    }
    let log = server.stop().stderr;
    let line = |path: &str| {
        let path = format!("path=\"{path}\"");
        log.lines()
            .find(|line| line.contains("answered") && line.contains(&path))
    };
    for path in ["/session/counter", "/"] {
        assert!(
            line(path).unwrap().ends_with(&format!("session={id}")),
            "{log}"
        );
    }
    for path in ["/session/whoami", "/session/get", "/hello"] {
        assert!(!line(path).unwrap().contains("session="), "{log}");
    }
    for path in aside {
        assert_eq!(line(path), None, "{log}");
    }
}

/// The commands under the forms, which keep their cookies in the file `jar.txt`.
fn the_commands_on_the_page_work() {
    let dir = Scratch::new();
    let server = Server::start(&["--idle-timeout", "10m"]);
    let browser = Browser::new(&server, &dir, "jar.txt");
    let counted = |count| format!(r#"{{"message":"Counter incremented","counter":{count}}}"#);
    let anonymous = commands(&browser.get("/").body);
    let [count, login, who, logout, replay, set, get, race] = &anonymous[..] else {
        panic!("{anonymous:?}")
    };
    let run = |command: &str| shell(dir.path(), command);
    assert_eq!(run(count), counted(1));
    let raced = run(race);
    let rest = raced.strip_prefix("increment: 50 of 50\nread, add, write: ");
    let plain = rest.and_then(|rest| rest.split_once(" of 50; "));
    let plain: u32 = plain.expect(&raced).0.parse().unwrap();
    assert!((1..50).contains(&plain), "{raced}");
    assert_eq!(run(login), r#"{"message":"Logged in","user":"max"}"#);
    assert_eq!(run(who), r#"{"user":"max"}"#);
    assert_eq!(
        run(replay),
        concat!(
            r#"{"message":"Logged in","user":"max"}"#,
            "\n",
            r#"{"error":"No active session or user not set"}"#
        )
    );
    assert_eq!(
        run(set),
        r#"{"message":"Stored in session","key":"color","value":"purple"}"#
    );
    assert_eq!(run(get), r#"{"key":"color","value":"purple"}"#);

    let [first, second] = ["first", "second"].map(|name| Browser::new(&server, &dir, name));
    first.get("/session/login?user=max");
    let signed_in = commands(&browser.get("/").body);
    let [.., revoke, revoke_others] = &signed_in[..] else {
        panic!("{signed_in:?}")
    };
    assert_eq!(run(revoke), "303");
    assert_eq!(first.get("/session/whoami").status, 401);
    second.get("/session/login?user=max");
    assert_eq!(run(revoke_others), "303");
    assert_eq!(second.get("/session/whoami").status, 401);
    assert_eq!(run(who), r#"{"user":"max"}"#);
    assert_eq!(run(logout), r#"{"message":"Session cleared"}"#);
    assert_eq!(run(who), r#"{"error":"No active session or user not set"}"#);
}

/// The commands that the page prints.
fn commands(page: &str) -> Vec<String> {
    let blocks = page.split("<details class=\"curl\">").skip(1);
    let blocks = blocks.map(|block| block.split("</details>").next().unwrap());
    blocks
        .flat_map(|block| block.split("<pre tabindex=\"0\">").skip(1))
        .map(|command| {
            command
                .split("</pre>")
                .next()
                .unwrap()
                .replace("&amp;", "&")
                .replace("&lt;", "<")
        })
        .collect()
}

fn shell(folder: &Path, command: &str) -> String {
    let output = Command::new("sh")
        .args(["-c", command])
        .current_dir(folder)
        .env("no_proxy", "*")
        .output()
        .unwrap();
    assert!(output.status.success(), "{command}: {output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.strip_suffix('\n');
    lines.expect("the output ends with a newline").to_owned()
}

/// A client that keeps its cookies in a jar.
pub(crate) struct Browser {
    pub(crate) base: String,
    pub(crate) jar: String,
    flags: Vec<String>,
}

impl Browser {
    pub(crate) fn new(server: &Server, dir: &Scratch, name: &str) -> Self {
        let jar = dir.path().join(name).to_str().unwrap().to_owned();
        Self {
            base: server.base.clone(),
            jar,
            flags: Vec::new(),
        }
    }

    fn with(mut self, flag: &str) -> Self {
        self.flags.push(flag.to_owned());
        self
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        let url = format!("{}{path}", self.base);
        let mut args = vec!["-k", "-c", &self.jar, "-b", &self.jar];
        args.extend(self.flags.iter().map(String::as_str));
        args.push(&url);
        curl(&args)
    }

    /// The last field of the jar's only cookie.
    fn token(&self) -> String {
        let jar = fs::read_to_string(Path::new(&self.jar)).unwrap();
        jar.lines()
            .last()
            .and_then(|line| line.rsplit('\t').next())
            .unwrap()
            .to_owned()
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    version: String,
    headers: String,
    pub(crate) body: String,
}

#[track_caller]
pub(crate) fn curl(args: &[&str]) -> Answer {
    try_curl(args).unwrap_or_else(|| panic!("curl {args:?} got no answer"))
}

/// What curl got; `None` if there was no HTTP answer.
fn try_curl(args: &[&str]) -> Option<Answer> {
    let output = Command::new("curl")
        .args(["-q", "-s", "-i", "--noproxy", "*", "--max-time", "20"])
        .args(args)
        .output()
        .unwrap();
    if !output.status.success() {
        return None;
    }
    let text = String::from_utf8(output.stdout).unwrap();
    let (headers, body) = text.split_once("\r\n\r\n").unwrap();
    let mut status = headers.split([' ', '\r']);
    let version = status
        .next()
        .unwrap()
        .strip_prefix("HTTP/")
        .unwrap()
        .to_owned();
    let status = status.next().unwrap().parse().unwrap();
    Some(Answer {
        status,
        version,
        headers: headers.to_owned(),
        body: body.to_owned(),
    })
}

impl Answer {
    #[track_caller]
    pub(crate) fn is(&self, status: u16, body: &str) {
        assert_eq!((self.status, self.body.as_str()), (status, body));
    }

    #[track_caller]
    fn is_over(&self, version: &str) {
        self.is(200, "Hello, Session World!");
        assert_eq!(self.version, version);
    }

    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let mut headers = self
            .headers
            .lines()
            .filter_map(|line| line.split_once(": "));
        headers
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.to_owned())
    }
}
