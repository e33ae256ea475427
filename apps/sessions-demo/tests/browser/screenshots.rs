//! Pictures of the page. `just screenshots` puts them into the documentation.

use std::{fs, path::Path};

use crate::{browser::Browser, support::Server, webdriver::Driver};

crate::tests!(light, dark, narrow);

fn light(driver: &Driver) {
    take(driver, "light", |browser| browser.set_width(1280, false));
}

fn dark(driver: &Driver) {
    take(driver, "dark", |browser| {
        browser.prefer_dark();
        browser.set_width(1280, false);
    });
}

fn narrow(driver: &Driver) {
    take(driver, "narrow", |browser| browser.set_width(360, true));
}

fn take(driver: &Driver, name: &str, look: fn(&Browser)) {
    let server = Server::start(&["--idle-timeout", "20s"]);
    let (browser, other) = (
        Browser::open(driver, &server),
        Browser::open(driver, &server),
    );
    look(&browser);
    browser.write("#set-key", "color");
    browser.write("#set-value", "purple");
    browser.click("#set");
    browser.sees("#stored", "Stored.");
    browser.click("#count");
    browser.sees("#counter", "1");
    browser.click("#race");
    browser.waits_for("#raced", |text| text.starts_with("increment: 50 of 50"));
    for browser in [&other, &browser] {
        browser.sign_in("max");
    }
    browser.waits_for_seconds_left(0..=15);
    let overflow =
        browser.script("return document.documentElement.scrollWidth > window.innerWidth");
    assert_eq!(overflow, false, "the page is wider than the screen");

    let png = browser.screenshot();
    assert!(png.starts_with(b"\x89PNG"));
    let kept = std::env::var_os("KR_SCREENSHOTS").is_some_and(|value| value == "1");
    let dir = match kept {
        true => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/images"),
        false => Path::new(env!("CARGO_TARGET_TMPDIR")).join("screenshots"),
    };
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join(format!("page-{name}.png")), png).unwrap();
}
