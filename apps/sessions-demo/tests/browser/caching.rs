//! What the back button shows.

use crate::{browser::Browser, support::Server, webdriver::Driver};

crate::tests!(
    after_a_logout_the_back_button_shows_nothing_of_the_session,
    the_back_button_shows_a_visitors_page_as_it_was,
);

pub(crate) fn shows(browser: &Browser, text: &str) {
    browser.waits_for("body", |body| body.contains(text));
}

pub(crate) fn after_a_logout_the_back_button_shows_nothing_of_the_session(driver: &Driver) {
    let server = Server::start(&["--idle-timeout", "10m"]);
    let browser = Browser::open(driver, &server);
    browser.go("/session/login?user=max");
    browser.go("/session/whoami");
    shows(&browser, "max");
    browser.go("/session/logout");
    shows(&browser, "Session cleared");
    browser.back();
    shows(&browser, "No active session");
}

/// A browser that always asked again would show nothing after a logout either way.
fn the_back_button_shows_a_visitors_page_as_it_was(driver: &Driver) {
    let server = Server::start(&["--idle-timeout", "10m"]);
    let browser = Browser::open(driver, &server);
    browser.go("/session/set?key=color&value=purple");
    browser.go("/session/get?key=color");
    shows(&browser, "purple");
    browser.go("/session/set?key=color&value=green");
    browser.back();
    shows(&browser, "purple");
}
