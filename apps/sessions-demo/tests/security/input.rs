//! What no decent client sends, over TLS: every byte, in every place that a client controls. The
//! server answers with less than 500 or ends the connection, repeats nothing that could be taken
//! for its own words, and goes on serving those who are signed in.
//!
//! The tutorial's `set` and `get` repeat a key and a value by design: as JSON, marked as JSON, or
//! escaped on the page.

use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::client::{Answer, Connection, Site, Visitor};

/// What would do harm in HTML, in a header and in JSON if it came back as it is; with a word that
/// no token has by chance.
const MARK: &str = "<zqmarkqz'\">";

const HEADERS: [&str; 8] = [
    "Cookie",
    "Forwarded",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "Host",
    "Origin",
    "Referer",
];

/// Sends requests over one connection for as long as the server keeps it.
struct Attacker<'a> {
    site: &'a Site,
    connection: Connection,
    answered: usize,
    refused: usize,
}

impl<'a> Attacker<'a> {
    fn new(site: &'a Site) -> Self {
        Self {
            site,
            connection: site.connect(),
            answered: 0,
            refused: 0,
        }
    }

    /// `None` if the server ended the connection without a word.
    fn send(&mut self, request: &[u8]) -> Option<Answer> {
        let answer = self.connection.exchange(request);
        match &answer {
            Some(answer) => check(answer, request),
            None => self.refused += 1,
        }
        let goes_on = answer.as_ref().is_some_and(|answer| {
            // A byte that ends a line makes two requests of one.
            answer.status != 400
                && answer.header("connection") != Some("close")
                && is_whole(request)
        });
        self.answered += usize::from(answer.is_some());
        if !goes_on {
            self.connection = self.site.connect();
        }
        answer
    }
}

/// Whether the request has no line breaks but its own.
fn is_whole(request: &[u8]) -> bool {
    let breaks = request.iter().filter(|byte| **byte == b'\n').count();
    let pairs = request.windows(2).filter(|pair| *pair == b"\r\n").count();
    let returns = request.iter().filter(|byte| **byte == b'\r').count();
    breaks == pairs
        && returns == pairs
        && request.windows(4).filter(|end| *end == b"\r\n\r\n").count() == 1
}

fn check(answer: &Answer, request: &[u8]) {
    let told = || {
        format!(
            "{} -> {answer:?}",
            request[..request.len().min(400)].escape_ascii()
        )
    };
    assert!(answer.status < 500, "{}", told());
    for (name, value) in &answer.headers {
        assert!(
            !value.contains("zqmarkqz"),
            "{name} repeats the input: {}",
            told()
        );
    }
    if answer.body.is_empty() {
        return;
    }
    let content_type = answer.header("content-type").unwrap();
    let text = answer.text();
    match content_type {
        "application/json" => drop(serde_json::from_str::<serde_json::Value>(text).unwrap()),
        _ => assert!(!text.contains("<zqmarkqz"), "{}", told()),
    }
}

fn request(target: &[u8], header: &str, value: &[u8]) -> Vec<u8> {
    let host: &[u8] = if header == "Host" {
        b""
    } else {
        b"Host: localhost\r\n"
    };
    [
        b"GET ",
        target,
        b" HTTP/1.1\r\n",
        host,
        header.as_bytes(),
        b": ",
        value,
        b"\r\n\r\n",
    ]
    .concat()
}

/// Signed in before, and still signed in afterwards.
fn max(site: &Site) -> Visitor {
    let mut max = site.visitor();
    max.get("/session/login?user=max");
    max
}

fn is_unharmed(site: &Site, max: Visitor) {
    // The server may have closed the old connection, which was idle meanwhile.
    let mut again = site.visitor();
    again.jar = max.jar;
    assert_eq!(again.user().unwrap(), "max");
}

#[test]
fn every_byte_in_every_header() {
    let site = Site::start(&["--idle-timeout", "10m"]);
    let max = max(&site);
    let token = max.token().unwrap().to_owned();
    let mut attacker = Attacker::new(&site);
    for header in HEADERS {
        for byte in 0..=u8::MAX {
            let mut value = match header {
                "Cookie" => format!("Kr.Session={token}; Kr.Notice={MARK}"),
                "Forwarded" => format!("for={MARK};proto=https;host={MARK}"),
                _ => format!("https://{MARK}"),
            }
            .into_bytes();
            let middle = value.len() / 2;
            value.insert(middle, byte);
            value.push(byte);
            for target in ["/", "/session/whoami"] {
                attacker.send(&request(target.as_bytes(), header, &value));
            }
        }
    }
    assert!(attacker.answered > 3_000, "{}", attacker.answered);
    is_unharmed(&site, max);
}

/// A cookie of a neighbour, whatever it is, hides nobody's session.
#[test]
fn every_byte_beside_a_good_cookie_leaves_the_session_or_is_a_bad_request() {
    let site = Site::start(&["--idle-timeout", "10m"]);
    let max = max(&site);
    let mut attacker = Attacker::new(&site);
    let mut signed_in = 0;
    for byte in 0..=u8::MAX {
        let neighbour = [
            b"a=",
            &[byte][..],
            b"b; Kr.Session=",
            &[byte],
            b"; ",
            &[byte],
        ]
        .concat();
        let own = format!("; Kr.Session={}; c=d", max.token().unwrap());
        let value = [&neighbour, own.as_bytes()].concat();
        match attacker.send(&request(b"/session/whoami", "Cookie", &value)) {
            Some(answer) if answer.status == 200 => signed_in += 1,
            Some(answer) => assert!(
                answer.status == 400 || b"\r\n".contains(&byte),
                "{byte} {answer:?}"
            ),
            None => {}
        }
    }
    // All but the control characters that HTTP forbids in a header.
    assert!(signed_in >= 256 - 32, "{signed_in}");
    is_unharmed(&site, max);
}

#[test]
fn every_byte_in_the_path_and_the_query() {
    let site = Site::start(&["--idle-timeout", "10m"]);
    let max = max(&site);
    let mut attacker = Attacker::new(&site);
    for target in [
        "/session/set?key=<zqmarkqz&value=",
        "/session/get?key=<zqmarkqz",
        "/session/login?user=<zqmarkqz",
        "/?get=<zqmarkqz",
        "/<zqmarkqz",
        "/session/counter?",
    ] {
        for byte in 0..=u8::MAX {
            for bytes in [vec![byte; 2], format!("%{byte:02x}{MARK}").into_bytes()] {
                attacker.send(&request(
                    &[target.as_bytes(), &bytes].concat(),
                    "Accept",
                    b"*/*",
                ));
            }
        }
    }
    assert!(attacker.answered > 2_500, "{}", attacker.answered);
    is_unharmed(&site, max);
}

#[test]
fn random_bytes_anywhere() {
    let site = Site::start(&["--idle-timeout", "10m"]);
    let max = max(&site);
    let mut attacker = Attacker::new(&site);
    let mut random = StdRng::seed_from_u64(1);
    for _ in 0..2_000 {
        let header = HEADERS[random.random_range(0..HEADERS.len())];
        let value: Vec<u8> = (0..random.random_range(0..60))
            .map(|_| random.random())
            .collect();
        let mut whole = request(b"/session/counter?a", header, &value);
        if random.random_ratio(1, 2) {
            // Somewhere else, in the middle of the request line or of a name.
            let at = random.random_range(0..whole.len() - 4);
            whole[at] = random.random();
            whole.extend(b"\r\n\r\n");
        }
        attacker.send(&whole);
    }
    assert!(
        attacker.answered > 1_000,
        "{} {}",
        attacker.answered,
        attacker.refused
    );
    is_unharmed(&site, max);
}

#[test]
fn what_is_too_large_is_refused() {
    let site = Site::start(&["--idle-timeout", "10m"]);
    let max = max(&site);
    let mut attacker = Attacker::new(&site);
    let token = max.token().unwrap().to_owned();
    for size in [4_096, 16_384, 65_536, 262_144, 1 << 20, 4 << 20] {
        let filler = "z".repeat(size);
        let many_cookies = "Kr.Session=z; ".repeat(size / 14);
        for (target, header, value) in [
            ("/session/counter", "Cookie", format!("Kr.Session={filler}")),
            (
                "/session/counter",
                "Cookie",
                format!("{many_cookies}Kr.Session={token}"),
            ),
            ("/session/counter", "X-Forwarded-For", filler.clone()),
            ("/session/counter", "Host", filler.clone()),
            (
                &format!("/session/get?key={filler}"),
                "Accept",
                "*/*".to_owned(),
            ),
            (&format!("/{filler}"), "Accept", "*/*".to_owned()),
        ] {
            attacker.send(&request(target.as_bytes(), header, value.as_bytes()));
        }
        let many_headers = "Cookie: a=b\r\n".repeat(size / 13);
        let whole =
            format!("GET /session/counter HTTP/1.1\r\nHost: localhost\r\n{many_headers}\r\n");
        let answer = attacker.send(whole.as_bytes());
        assert!(
            answer.is_none_or(|answer| answer.status == 431),
            "{size} bytes of headers"
        );
        let form = format!("key=k&value={filler}");
        let head = format!(
            "POST /page/set HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}",
            form.len()
        );
        attacker.send(format!("{head}\r\n\r\n{form}").as_bytes());
    }
    is_unharmed(&site, max);
}

/// Two lengths, or a length and chunks: what a proxy and a server could read in two ways.
#[test]
fn requests_that_can_be_read_in_two_ways_are_refused() {
    let site = Site::start(&["--idle-timeout", "10m"]);
    let max = max(&site);
    let cookie = format!("Cookie: Kr.Session={}", max.token().unwrap());
    for headers in [
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5, 6",
        "Content-Length: +5",
        "Content-Length: -1",
        "Content-Length: 99999999999999999999",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding : chunked",
        "Host: elsewhere\r\n folded: yes",
    ] {
        let whole = format!(
            "POST /page/logout HTTP/1.1\r\nHost: localhost\r\n{cookie}\r\n{headers}\r\n\r\n0\r\n\r\n"
        );
        let answer = site.connect().exchange(whole.as_bytes());
        assert!(
            answer.as_ref().is_none_or(|answer| answer.status == 400),
            "{headers}: {answer:?}"
        );
    }
    is_unharmed(&site, max);
}
