//! Sessions bound to the device, in Chromium with keys in software.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use base64::prelude::{BASE64_STANDARD, Engine};
use rcgen::{KeyPair, PublicKeyData};
use ring::digest::{SHA256, digest};
use serde_json::Value;
use test_support::{Scratch, wait_until};

use crate::{
    browser::Browser,
    support::{Server, identity},
    webdriver::Driver,
};

crate::tests!(a_bound_session_goes_on_in_its_browser_and_nowhere_else);

const BOUND: &str = "Kr.Session.Bound";

/// How long a proof counts in the test.
const LIFETIME: Duration = Duration::from_secs(6);

/// Far more than three proofs take.
const DEADLINE: Duration = Duration::from_secs(60);

/// What Chromium needs: the feature, keys in software, and no limit of proofs; and it must not
/// ignore certificate errors as a whole, but trust this one key.
fn arguments(key: &Path) -> Vec<String> {
    let key = KeyPair::from_pem(&std::fs::read_to_string(key).unwrap()).unwrap();
    let hash = digest(&SHA256, &key.subject_public_key_info());
    let hash = BASE64_STANDARD.encode(hash);
    vec![
        "--enable-features=DeviceBoundSessions:RequireOriginTrialTokens/false/RefreshQuota/false,\
         EnableBoundSessionCredentialsSoftwareKeysForManualTesting"
            .to_owned(),
        format!("--ignore-certificate-errors-spki-list={hash}"),
    ]
}

/// The value of the bound cookie, once the browser has one. One that ran out comes back with the
/// next request.
fn bound_cookie(browser: &Browser) -> Value {
    wait_until("a bound cookie", || {
        let cookies = browser.cookies();
        let cookie = cookies.iter().find(|cookie| cookie["name"] == BOUND);
        if cookie.is_none() {
            browser.go("/session/whoami");
        }
        Some(cookie?["value"].clone())
    })
}

/// How often a browser without a session asked to refresh it, as the server counts it.
fn refusals(server: &Server) -> String {
    let metrics = get(server, "/metrics", "");
    let mut lines = metrics.lines();
    let line = lines.find(|line| line.contains("device_refused") && line.contains("no_session"));
    line.unwrap().to_owned()
}

/// What somebody with these cookies gets, on another device.
fn whoami(server: &Server, cookies: &str) -> String {
    get(server, "/session/whoami", cookies)
}

fn get(server: &Server, path: &str, cookies: &str) -> String {
    let url = format!("{}{path}", server.base);
    let curl = Command::new("curl")
        .args([
            "-q",
            "-k",
            "-s",
            "--noproxy",
            "*",
            "--max-time",
            "60",
            "-b",
            cookies,
            &url,
        ])
        .output();
    String::from_utf8(curl.unwrap().stdout).unwrap()
}

fn copied(browser: &Browser) -> String {
    let cookies = browser.cookies();
    let pair = |cookie: &Value| {
        let text = |name| cookie[name].as_str().unwrap().to_owned();
        format!("{}={}", text("name"), text("value"))
    };
    cookies.iter().map(pair).collect::<Vec<_>>().join("; ")
}

fn a_bound_session_goes_on_in_its_browser_and_nowhere_else(driver: &Driver) {
    let dir = Scratch::new();
    let (cert, key) = identity(&dir, "device");
    let (cert, pem) = (cert.to_str().unwrap(), key.to_str().unwrap());
    let options = ["--idle-timeout", "10m", "--device-binding", "6s"];
    let server = Server::start_with(
        &[("PORT", "0"), ("RUST_LOG", "tower_kr_session=debug")],
        &[&options[..], &["--tls-cert", cert, "--tls-key", pem]].concat(),
    );
    let shows = |browser: &Browser, text: &str| {
        browser.go("/session/whoami");
        browser.waits_for("body", |body| body.contains(text));
    };
    let browser = Browser::open_bound(driver, &server, arguments(&key));
    browser.go("/session/login?user=max");
    let mut cookie = bound_cookie(&browser);
    shows(&browser, "max");
    browser.go("/");
    browser.waits_for("#device", |text| {
        text.starts_with("bound; next proof within ")
    });

    // Somebody copies the cookies, with and without the bound one.
    let (cookies, copied_at) = (copied(&browser), Instant::now());
    let (token, _) = cookies
        .split("; ")
        .partition::<Vec<_>, _>(|pair| pair.starts_with("Kr.Session="));
    assert!(whoami(&server, &cookies).contains("max"));
    assert!(whoami(&server, &token.join("; ")).contains("No active session"));

    // The browser goes on over three proofs, and longer than the copies can count.
    let mut proofs = 0;
    while proofs < 3 || copied_at.elapsed() < LIFETIME {
        shows(&browser, "max");
        let next = bound_cookie(&browser);
        proofs += u32::from(next != cookie);
        cookie = next;
        assert!(copied_at.elapsed() < DEADLINE, "{proofs} proofs");
    }
    assert!(whoami(&server, &cookies).contains("No active session"));
    shows(&browser, "max");

    // A second browser of the same user is bound on its own.
    let second = Browser::open_bound(driver, &server, arguments(&key));
    second.go("/session/login?user=max");
    assert_ne!(bound_cookie(&second), bound_cookie(&browser));

    // A sign-out ends it in the browser as well, and in no other.
    browser.go("/session/logout");
    browser.waits_for("body", |body| body.contains("Session cleared"));
    assert!(browser.session_cookie().is_none());
    // A proof that was under way may bring the bound cookie once more, for its few seconds.
    wait_until("no bound cookie", || {
        let cookies = browser.cookies();
        let gone = cookies.iter().all(|cookie| cookie["name"] != BOUND);
        gone.then_some(())
    });
    shows(&browser, "No active session");
    // It asked once more with its key, and forgot that.
    server.wait_for_log("no_session");
    let asked = refusals(&server);
    for _ in 0..3 {
        shows(&browser, "No active session");
    }
    assert_eq!(refusals(&server), asked);
    shows(&second, "max");
}
