//! What the page shows off: a race, an old token, the last requests, commands to copy.

use crate::{browser::Browser, support::Server, webdriver::Driver};

crate::tests!(
    a_race_loses_no_increment,
    a_phone_shows_the_verdict_of_a_race,
    a_race_takes_a_script,
    a_server_that_is_gone_is_told,
    an_old_token_is_refused,
    the_last_requests_are_shown,
    commands_are_copied,
);

fn a_race_loses_no_increment(driver: &Driver) {
    let server = Server::start(&["--idle-timeout", "10m"]);
    let browser = Browser::open(driver, &server);
    browser.click("#race");
    let raced = browser.waits_for("#raced", |text| !text.is_empty());
    let (increment, plain) = raced.split_once('\n').unwrap();
    assert_eq!(increment, "increment: 50 of 50");
    let rest = plain.strip_prefix("read, add, write: ").unwrap();
    let (plain, lost) = rest.split_once(" of 50; ").unwrap();
    let plain: u32 = plain.parse().unwrap();
    assert!((1..50).contains(&plain), "{raced}");
    assert!(
        lost.starts_with(&format!("{} lost: ", 50 - plain)),
        "{raced}"
    );
    let colors = "return [...document.querySelectorAll('#raced p')]
         .map((element) => getComputedStyle(element).color)";
    let colors = browser.script(colors);
    assert_ne!(colors[0], colors[1], "what was lost looks like a failure");
    assert_eq!(browser.focus(), "race");
    browser.assert_clean();

    browser.click("#race");
    browser.waits_for("#raced", |text| text.starts_with("increment: 50 of 50"));
    browser.assert_clean();

    // The verdict stays, whatever is done next.
    browser.click("#count");
    browser.sees("#counted", "Counted: 1.");
    browser.waits_for("#raced", |text| text.starts_with("increment: 50 of 50"));
    browser.click("#logout");
    browser.sees("#status", "None");
    browser.sees("#raced", "");
}

fn a_phone_shows_the_verdict_of_a_race(driver: &Driver) {
    let server = Server::start(&["--idle-timeout", "10m"]);
    let browser = Browser::open(driver, &server);
    browser.set_width(360, true);
    // The button is the last thing in view.
    browser.script("document.getElementById('race').scrollIntoView({ block: 'end' })");
    browser.submit("#race");
    browser.waits_for("#raced", |text| text.starts_with("increment: 50 of 50"));
    let beyond =
        "return document.getElementById('raced').getBoundingClientRect().bottom - innerHeight";
    browser.waits_for_script(beyond, |beyond| beyond.as_f64().unwrap() <= 0.0);
    browser.assert_clean();
}

fn a_race_takes_a_script(driver: &Driver) {
    let server = Server::start(&["--idle-timeout", "10m"]);
    let browser = Browser::open_without_scripts(driver, &server);
    browser.sees("#racing", "");
    browser.sees(
        "noscript p",
        "A race of 100 requests takes a script, or curl.",
    );
}

fn a_server_that_is_gone_is_told(driver: &Driver) {
    let server = Server::start(&["--idle-timeout", "10m"]);
    let browser = Browser::open(driver, &server);
    browser.click("#count");
    browser.sees("#counter", "1");
    browser.script("addEventListener('unhandledrejection', () => (document.title = 'unhandled'))");
    server.stop();
    browser.script("document.dispatchEvent(new Event('visibilitychange'))");
    browser.click("#race");
    browser.sees("#raced", "The server didn't answer.");
    let classes = browser.script("return document.getElementById('raced').className");
    assert_eq!(classes, "told wrong");
    assert_eq!(browser.script("return document.title"), "Sessions");
    let disabled = "return document.getElementById('race').disabled";
    assert_eq!(browser.script(disabled), false);
}

fn an_old_token_is_refused(driver: &Driver) {
    let server = Server::start(&["--idle-timeout", "10m"]);
    let browser = Browser::open(driver, &server);
    browser.click("#count");
    browser.sees("#counter", "1");
    let token = browser.session_cookie().unwrap()["value"].take();
    let secret = token.as_str().unwrap()[22..].to_owned();
    browser.sign_in("max");
    // It is offered after the sign-in, and on each view from then on.
    for path in ["/", "/?whoami=1"] {
        browser.click("#replay");
        browser.waits_for("#replayed", |text| {
            text.starts_with("The old token was refused: the sign-in replaced it")
        });
        assert_eq!(browser.focus(), "replay");
        browser.go(path);
    }
    browser.sees("#user", "max");
    let shown = browser.script(
        "return [document.documentElement.outerHTML, location.href, document.cookie].join(' ')",
    );
    assert!(!shown.as_str().unwrap().contains(&secret));
    for url in browser.requests() {
        assert!(!url.contains(&secret), "{url}");
    }
}

fn the_last_requests_are_shown(driver: &Driver) {
    let server = Server::start(&["--idle-timeout", "10m"]);
    let browser = Browser::open(driver, &server);
    browser.waits_for("#log", |log| log.starts_with("None yet."));
    browser.click("#count");
    browser.sees("#counter", "1");
    let log = browser.waits_for("#log", |log| log.contains("POST /page/counter"));
    assert!(log.contains("303 counter + 1 yes"), "{log}");
    assert!(log.contains(" µs") || log.contains(" ms"), "{log}");
    let other = Browser::open(driver, &server);
    other.click("#count");
    other.sees("#counter", "1");
    browser.go("/");
    let log = browser.waits_for("#log", |log| log.contains("GET /"));
    assert_eq!(log.matches("POST /page/counter").count(), 1, "{log}");
    browser.assert_clean();
}

fn commands_are_copied(driver: &Driver) {
    let server = Server::start(&["--idle-timeout", "10m"]);
    let browser = Browser::open(driver, &server);
    browser.allow_clipboard();
    browser.click(".curl summary");
    browser.click(".curl pre + button");
    browser.sees(".curl pre + button", "Copied");
    let copied = browser.script("return navigator.clipboard.readText()");
    let command = format!(
        "curl -sk -w '\\n' -b jar.txt -c jar.txt '{}/session/counter'",
        server.base
    );
    assert_eq!(copied, command);
    browser.script("navigator.clipboard.writeText = () => Promise.reject(new Error())");
    browser.click(".curl pre + button");
    browser.sees(".curl pre + button", "Can't copy");
    browser.assert_clean();
}
