//! What axe-core, which checks pages for barriers, finds.

use std::fs;

use serde_json::Value;
use test_support::axe_script;

use crate::{browser::Browser, support::Server, webdriver::Driver};

crate::tests!(light, dark, narrow, forced_colors);

fn light(driver: &Driver) {
    check(driver, |browser| browser.set_width(1280, false));
}

fn dark(driver: &Driver) {
    check(driver, Browser::prefer_dark);
}

fn narrow(driver: &Driver) {
    check(driver, |browser| browser.set_width(360, true));
}

fn forced_colors(driver: &Driver) {
    check(driver, Browser::force_colors);
}

/// Looks at each state that the page can have.
fn check(driver: &Driver, look: fn(&Browser)) {
    let server = Server::start(&["--idle-timeout", "10m"]);
    let (browser, other) = (
        Browser::open(driver, &server),
        Browser::open(driver, &server),
    );
    look(&browser);
    finds_nothing(&browser, "no session");
    browser.click("#race");
    browser.waits_for("#raced", |text| text.starts_with("increment: 50 of 50"));
    finds_nothing(&browser, "after a race");
    for browser in [&other, &browser] {
        browser.sign_in("max");
    }
    browser
        .script("document.querySelectorAll('details').forEach((details) => (details.open = true))");
    finds_nothing(&browser, "signed in");
    browser.write("#set-key", "\u{e4}".repeat(200).as_str());
    browser.write("#set-value", "purple");
    browser.click("#set");
    browser.sees("#set-key-error", "The key is longer than 251 bytes.");
    finds_nothing(&browser, "a form that failed");
    browser.go("/page/counter");
    browser.sees("h1", "That did not work");
    finds_nothing(&browser, "a problem");

    let server = Server::start(&["--idle-timeout", "2s"]);
    let browser = Browser::open(driver, &server);
    look(&browser);
    browser.sign_in("max");
    browser.sees("#status", "Timed out");
    finds_nothing(&browser, "after the timeout");
}

#[track_caller]
fn finds_nothing(browser: &Browser, state: &str) {
    let axe = fs::read_to_string(axe_script().unwrap()).unwrap();
    browser.script(&axe);
    let found = browser.script("return axe.run().then((found) => found.violations)");
    let found: Vec<String> = found.as_array().unwrap().iter().map(one_line).collect();
    assert!(found.is_empty(), "{state}: {found:#?}");
}

fn one_line(violation: &Value) -> String {
    let nodes = violation["nodes"].as_array().into_iter().flatten();
    let nodes: Vec<String> = nodes
        .map(|node| format!("{} {}", node["target"], node["failureSummary"]))
        .collect();
    format!("{}: {}", violation["id"], nodes.join("; "))
}
