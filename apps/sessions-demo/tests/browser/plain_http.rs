//! Which cookies a browser keeps over plain HTTP on this machine.

use crate::{browser::Browser, support::Server, webdriver::Driver};

crate::tests!(a_secure_cookie_is_kept, the_cookie_of_the_quick_start_works);

fn a_secure_cookie_is_kept(driver: &Driver) {
    assert_eq!(counts(driver, "always"), [1, 2, 3]);
}

fn the_cookie_of_the_quick_start_works(driver: &Driver) {
    assert_eq!(counts(driver, "none"), [1, 2, 3]);
}

/// What the counter says at three requests to `http://localhost`, with this policy for `Secure`. A
/// browser that drops the cookie gets a new session each time.
pub(crate) fn counts(driver: &Driver, secure_policy: &str) -> [i64; 3] {
    let arguments = ["--http", "--secure-policy", secure_policy];
    let server = Server::start(&[&arguments[..], &["--idle-timeout", "10m"]].concat());
    let browser = Browser::open(driver, &server);
    let (_, port) = server.base.rsplit_once(':').unwrap();
    let url = format!("http://localhost:{port}/session/counter");
    [(); 3].map(|()| {
        browser.visit(&url);
        let body = browser.waits_for("body", |body| body.contains("counter\":"));
        let (_, counter) = body.rsplit_once(':').unwrap();
        counter.trim_end_matches('}').trim().parse().unwrap()
    })
}
