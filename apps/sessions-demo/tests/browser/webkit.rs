//! The page in WebKit, over TLS.

use crate::{browser::Browser, caching, plain_http, support::Server, webdriver::Driver};

crate::tests!(
    the_counter_and_the_sign_in_work,
    after_a_logout_the_back_button_shows_nothing_of_the_session,
    over_plain_http_a_secure_cookie_is_dropped,
    over_plain_http_the_cookie_of_the_quick_start_works,
);

fn after_a_logout_the_back_button_shows_nothing_of_the_session(driver: &Driver) {
    caching::after_a_logout_the_back_button_shows_nothing_of_the_session(driver);
}

fn over_plain_http_a_secure_cookie_is_dropped(driver: &Driver) {
    assert_eq!(plain_http::counts(driver, "always"), [1, 1, 1]);
}

fn over_plain_http_the_cookie_of_the_quick_start_works(driver: &Driver) {
    assert_eq!(plain_http::counts(driver, "none"), [1, 2, 3]);
}

fn the_counter_and_the_sign_in_work(driver: &Driver) {
    let server = Server::start(&["--idle-timeout", "10m"]);
    assert!(server.base.starts_with("https:"), "{}", server.base);
    let browser = Browser::open(driver, &server);
    browser.click("#count");
    browser.sees("#counter", "1");
    browser.click("#count");
    browser.sees("#counter", "2");
    browser.waits_for("#left", |left| left == "10:00" || left.starts_with("9:"));
    browser.sign_in("max");
    browser.sees("#counter", "2");
    let cookie = browser.session_cookie().unwrap();
    for flag in ["secure", "httpOnly"] {
        assert_eq!(cookie[flag], true, "{cookie}");
    }
    browser.click("#replay");
    browser.waits_for("#replayed", |text| {
        text.starts_with("The old token was refused")
    });
    browser.click("#race");
    browser.waits_for("#raced", |text| text.starts_with("increment: 50 of 50"));
    browser.click("#logout");
    browser.sees("#status", "None");
    assert!(browser.session_cookie().is_none());
}
