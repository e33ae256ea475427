//! What a visitor does on the page, and what the browser keeps of it.

use serde_json::{Value, json};

use crate::{browser::Browser, support::Server, webdriver::Driver};

crate::tests!(
    the_forms_work,
    the_forms_work_without_scripts,
    the_keyboard_is_enough,
    the_cookie_is_kept_as_it_was_meant_and_really_goes,
    one_browser_ends_the_session_of_another,
    the_ring_runs_down_and_the_session_is_over,
    looking_at_the_ring_keeps_no_session_alive,
    a_second_tab_fills_the_ring_and_tells_of_changes,
);

fn use_all_forms(browser: &Browser) {
    browser.sees("#status", "None");
    browser.click("#count");
    browser.sees("#counter", "1");
    browser.click("#count");
    browser.sees("#counter", "2");
    browser.sees("#counted", "Counted: 2.");
    browser.sees("#status", "Active");

    browser.write("#name", "max");
    browser.click("#login");
    browser.sees("#user", "max");
    browser.sees("#counter", "2");
    browser.click("#whoami");
    browser.sees("#signed", "You are max.");

    browser.write("#set-key", "color");
    browser.write("#set-value", "purple");
    browser.click("#set");
    browser.sees("#stored", "Stored.");
    browser.write("#get-key", "color");
    browser.click("#get");
    browser.sees("#stored", "color is purple.");
    browser.write("#get-key", "size");
    browser.click("#get");
    browser.sees("#stored", "Nothing is stored at size.");

    browser.click("#logout");
    browser.sees(
        "#signed",
        "Signed out. The session and its cookie are gone.",
    );
    browser.sees("#status", "None");
    browser.sees("#counter", "0");
    browser.assert_clean();
}

fn the_forms_work(driver: &Driver) {
    let server = Server::start(&["--idle-timeout", "10m"]);
    use_all_forms(&Browser::open(driver, &server));
}

fn the_forms_work_without_scripts(driver: &Driver) {
    let server = Server::start(&["--idle-timeout", "10m"]);
    let browser = Browser::open_without_scripts(driver, &server);
    use_all_forms(&browser);
    // As the server wrote it: with scripts it would count down in other words.
    browser.click("#count");
    browser.sees("#left", "10m");
}

fn the_keyboard_is_enough(driver: &Driver) {
    const TAB: &str = "\u{e004}";
    const ENTER: &str = "\u{e007}";
    let server = Server::start(&["--idle-timeout", "10m"]);
    let browser = Browser::open(driver, &server);
    browser.press(TAB);
    assert_eq!(browser.focus(), "count");
    for count in ["1", "2", "3"] {
        browser.press(ENTER);
        browser.sees("#counter", count);
        assert_eq!(browser.focus(), "count", "where it was");
    }
    browser.press(TAB);
    assert_eq!(browser.focus(), "name");
    for key in ["m", "a", "x", ENTER] {
        browser.press(key);
    }
    browser.sees("#user", "max");
    assert_eq!(browser.focus(), "logout");
}

fn the_cookie_is_kept_as_it_was_meant_and_really_goes(driver: &Driver) {
    let server = Server::start(&["--idle-timeout", "10m"]);
    let browser = Browser::open(driver, &server);
    assert_eq!(
        browser.cookies(),
        Vec::<Value>::new(),
        "looking sets nothing"
    );

    browser.click("#count");
    browser.sees("#counter", "1");
    let mut cookie = browser.session_cookie().unwrap();
    let token = cookie["value"].take();
    assert_eq!(token.as_str().unwrap().len(), 64);
    assert_eq!(
        cookie,
        json!({
            "name": "Kr.Session", "value": null, "domain": "127.0.0.1", "path": "/",
            "secure": true, "httpOnly": true, "sameSite": "Lax",
        }),
        "and no expiry: it ends with the browser"
    );
    assert_eq!(
        browser.script("return document.cookie"),
        "",
        "no script reads it"
    );
    browser.sees(
        "#set-cookie",
        "Set-Cookie: Kr.Session=…; Secure; Path=/; HttpOnly; SameSite=Lax",
    );

    browser.write("#name", "max");
    browser.click("#login");
    browser.sees("#user", "max");
    assert_ne!(
        browser.session_cookie().unwrap()["value"],
        token,
        "a new token"
    );

    browser.click("#logout");
    browser.sees("#status", "None");
    assert_eq!(browser.cookies(), Vec::<Value>::new());
    browser.assert_clean();
}

fn one_browser_ends_the_session_of_another(driver: &Driver) {
    let server = Server::start(&["--idle-timeout", "10m"]);
    let (laptop, phone) = (
        Browser::open(driver, &server),
        Browser::open(driver, &server),
    );
    for browser in [&phone, &laptop] {
        browser.write("#name", "max");
        browser.click("#login");
        browser.sees("#user", "max");
    }
    let id = phone.text("#id");
    laptop.click(&format!("button[aria-label='Revoke {id}']"));
    laptop.sees("#revoked", "That session has ended.");
    phone.go("/");
    phone.sees("#status", "Over");

    phone.write("#name", "max");
    phone.click("#login");
    phone.sees("#user", "max");
    laptop.go("/");
    laptop.click("#revoke-others");
    laptop.sees("#revoked", "Only this session is left.");
    laptop.sees("#user", "max");
    phone.go("/");
    phone.sees("#status", "Over");
    laptop.assert_clean();
    phone.assert_clean();
}

fn the_ring_runs_down_and_the_session_is_over(driver: &Driver) {
    let server = Server::start(&["--idle-timeout", "2s"]);
    let browser = Browser::open(driver, &server);
    browser.click("#count");
    browser.sees("#counter", "1");
    browser.sees("#status", "Idle timeout");
    browser.sees("#left", "0 s");
    browser.sees(
        "#over",
        "No request came within the idle timeout. Reload to see that the session is gone.",
    );
    browser.click("#over a");
    // The server gives up to a twentieth more. A reload within it keeps the session, and the ring
    // runs down again.
    while browser.waits_for("#status", |text| text == "Over" || text == "Idle timeout") != "Over" {
        browser.go("/");
    }
    browser.sees("#counter", "0");
    browser.assert_clean();
}

fn looking_at_the_ring_keeps_no_session_alive(driver: &Driver) {
    let server = Server::start(&["--idle-timeout", "2s"]);
    let browser = Browser::open(driver, &server);
    browser.click("#count");
    browser.sees("#counter", "1");
    browser.assert_clean();
    browser.sees("#status", "Idle timeout");
    assert_eq!(
        browser.requests(),
        Vec::<String>::new(),
        "it asked the server meanwhile"
    );
}

fn a_second_tab_fills_the_ring_and_tells_of_changes(driver: &Driver) {
    let server = Server::start(&["--idle-timeout", "50s"]);
    let browser = Browser::open(driver, &server);
    browser.click("#count");
    browser.sees("#counter", "1");
    browser.waits_for_seconds_left(0..=44);
    let first = browser.second_tab();
    browser.switch(&first);
    browser.waits_for_seconds_left(45..=50);

    let first = browser.second_tab();
    browser.click("#logout");
    browser.sees("#status", "None");
    browser.switch(&first);
    browser.sees(
        "#stale",
        "Another tab changed this session. Reload to see it.",
    );
}
