//! What a visitor does on the page, and what the browser keeps of it.

use serde_json::{Value, json};

use crate::{browser::Browser, support::Server, webdriver::Driver};

crate::tests!(
    the_forms_work,
    the_forms_work_without_scripts,
    the_keyboard_is_enough,
    the_cookie_is_kept_as_it_was_meant_and_really_goes,
    one_browser_ends_the_session_of_another,
    a_session_ended_elsewhere_says_so_at_the_next_action,
    a_form_that_fails_comes_back_with_what_was_written,
    a_user_signs_out_here,
    the_ring_has_one_format_and_room_for_it,
    the_ring_runs_down_without_scripts_too,
    the_ring_runs_down_and_the_session_is_over,
    after_the_timeout_nothing_is_said_in_the_present,
    looking_at_the_ring_keeps_no_session_alive,
    a_second_tab_fills_the_ring_and_tells_of_changes,
    a_second_tab_shows_every_change,
    coming_back_to_a_tab_shows_what_happened_meanwhile,
    the_view_and_the_focus_stay_where_they_were,
    times_are_relative_and_local,
    an_open_card_stretches_no_other,
    race_replay_and_requests_are_seen_without_scrolling,
    a_log_that_is_too_long_shows_it,
    a_phone_shows_requests_and_buttons_in_whole,
);

fn use_all_forms(browser: &Browser) {
    browser.sees("#status", "None");
    browser.click("#count");
    browser.sees("#counter", "1");
    browser.click("#count");
    browser.sees("#counter", "2");
    browser.sees("#counted", "Counted: 2.");
    browser.sees("#status", "Active");

    browser.sign_in("max");
    browser.sees("#counter", "2");
    browser.click("#whoami");
    browser.sees("#signed", "You are max.");

    browser.write("#set-key", "color");
    browser.write("#set-value", "purple");
    browser.click("#set");
    browser.sees("#stored", "Stored.");
    browser.write("#get-key", "color");
    browser.click("#get");
    browser.sees("#got", "color is purple.");
    browser.sees("#stored", "");
    browser.write("#get-key", "size");
    browser.click("#get");
    browser.sees("#got", "Nothing is stored at size.");

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
    browser.click("#count");
    // Without a script it stays as the server wrote it.
    browser.sees("#left", "10:00");
}

fn the_keyboard_is_enough(driver: &Driver) {
    const TAB: &str = "\u{e004}";
    const ENTER: &str = "\u{e007}";
    let server = Server::start(&["--idle-timeout", "10m"]);
    let browser = Browser::open(driver, &server);
    // Past what the header names to try.
    for _ in 0..4 {
        browser.press(TAB);
    }
    assert_eq!(browser.focus(), "count");
    for count in ["1", "2", "3"] {
        browser.press(ENTER);
        browser.sees("#counter", count);
        assert_eq!(browser.focus(), "count", "where it was");
    }
    // Past the commands, which are folded.
    browser.press(TAB);
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

    browser.sign_in("max");
    assert_ne!(
        browser.session_cookie().unwrap()["value"],
        token,
        "a new token"
    );

    browser.click("#logout");
    browser.sees("#status", "None");
    // The token from before, to be replayed: no script reads it either.
    let left = browser.cookies();
    let names: Vec<_> = left.iter().map(|cookie| &cookie["name"]).collect();
    assert_eq!(names, ["Kr.Old"]);
    assert_eq!(browser.script("return document.cookie"), "");
    browser.assert_clean();
}

fn one_browser_ends_the_session_of_another(driver: &Driver) {
    let server = Server::start(&["--idle-timeout", "10m"]);
    let (laptop, phone) = (
        Browser::open(driver, &server),
        Browser::open(driver, &server),
    );
    for browser in [&phone, &laptop] {
        browser.sign_in("max");
    }
    let id = phone.text("#id");
    laptop.click(&format!("button[aria-label='Revoke {id}']"));
    laptop.sees("#revoked", "That session has ended.");
    phone.go("/");
    phone.sees("#status", "Over");

    phone.sign_in("max");
    laptop.go("/");
    laptop.click("#revoke-others");
    laptop.sees("#revoked", "Only this session is left.");
    laptop.sees("#user", "max");
    phone.go("/");
    phone.sees("#status", "Over");
    laptop.assert_clean();
    phone.assert_clean();
}

fn a_session_ended_elsewhere_says_so_at_the_next_action(driver: &Driver) {
    let server = Server::start(&["--idle-timeout", "10m"]);
    let (laptop, phone) = (
        Browser::open(driver, &server),
        Browser::open(driver, &server),
    );
    for browser in [&phone, &laptop] {
        browser.sign_in("max");
    }
    laptop.click("#revoke-others");
    laptop.sees("#revoked", "Only this session is left.");
    phone.click("#count");
    phone.sees(
        "#counted",
        "Your session had ended; this action started a new one. Counted: 1.",
    );
    phone.sees("#status", "Active");
    phone.assert_clean();
}

fn a_form_that_fails_comes_back_with_what_was_written(driver: &Driver) {
    let server = Server::start(&["--idle-timeout", "10m"]);
    let browser = Browser::open(driver, &server);
    // 200 characters, and 400 bytes.
    let key = "ä".repeat(200);
    browser.write("#set-key", &key);
    browser.write("#set-value", "purple");
    browser.click("#set");
    browser.sees("#set-key-error", "The key is longer than 251 bytes.");
    assert_eq!(browser.focus(), "set-key");
    let tops =
        "return ['set-key', 'set-value', 'set'].map((id) => document.getElementById(id).offsetTop)";
    let tops = browser.script(tops);
    assert_eq!(tops[0], tops[1], "side by side");
    assert_eq!(tops[0], tops[2], "side by side");
    let value = |id: &str| browser.script(&format!("return document.getElementById('{id}').value"));
    assert_eq!(value("set-key"), key);
    assert_eq!(value("set-value"), "purple");

    browser.script("document.getElementById('set-key').value = 'color'");
    browser.script("document.getElementById('set-value').value = 'v'.repeat(300000)");
    browser.click("#set");
    browser.sees(
        "#set-value-error",
        "The session would hold 293 KiB of 256 KiB.",
    );
    assert_eq!(value("set-key"), "color");
    browser.sees("#status", "None");
}

fn a_user_signs_out_here(driver: &Driver) {
    let server = Server::start(&["--idle-timeout", "10m"]);
    let browser = Browser::open(driver, &server);
    for (button, name) in [("#logout", "Sign out"), ("#logout-here", "Sign out here")] {
        browser.sign_in("max");
        browser.sees(button, name);
        browser.click(button);
        browser.sees(
            "#signed",
            "Signed out. The session and its cookie are gone.",
        );
    }
    browser.assert_clean();
}

fn the_ring_has_one_format_and_room_for_it(driver: &Driver) {
    for (idle, first, second) in [
        ("20s", "20 s", "19 s"),
        ("10m", "10:00", "9:59"),
        ("20m", "20:00", "19:59"),
        ("12h", "12:00 h", "11:59 h"),
    ] {
        let server = Server::start(&["--idle-timeout", idle]);
        let unscripted = Browser::open_without_scripts(driver, &server);
        unscripted.click("#count");
        unscripted.sees("#left", first);
        let browser = Browser::open(driver, &server);
        browser.click("#count");
        browser.sees("#counter", "1");
        browser.sees("#left", second);
        let room = browser.script(
            "const hole = document.querySelector('.ring .track').getBoundingClientRect();
             const text = document.getElementById('left').getBoundingClientRect();
             return (hole.width * (104 - 9) / 104 - text.width) / hole.width",
        );
        assert!(room.as_f64().unwrap() > 0.05, "{idle}: {room}");
    }
}

fn the_ring_runs_down_without_scripts_too(driver: &Driver) {
    let server = Server::start(&["--idle-timeout", "2s"]);
    let browser = Browser::open_without_scripts(driver, &server);
    browser.click("#count");
    browser.sees("#left", "2 s");
    browser.sees(".ring .over", "over");
    browser.sees("#left", "");
}

fn the_ring_runs_down_and_the_session_is_over(driver: &Driver) {
    let server = Server::start(&["--idle-timeout", "2s"]);
    let browser = Browser::open(driver, &server);
    browser.click("#count");
    browser.sees("#counter", "1");
    browser.sees("#status", "Timed out");
    browser.sees("#left", "–");
    browser.sees("#until", "");
    browser.sees("#counted", "");
    browser.sees(
        "#over",
        "No request came within the idle timeout: the session has timed out. What this page shows of \
         it is past. Reload to see the page without it.",
    );
    browser.click("#over a");
    // The server gives up to a twentieth more. A reload within it keeps the session, and the ring
    // runs down again.
    while browser.waits_for("#status", |text| text == "Over" || text == "Timed out") != "Over" {
        browser.go("/");
    }
    browser.sees("#counter", "0");
    browser.assert_clean();
}

/// What was said of the session is past, and what is said of others is past when their time is
/// over.
fn after_the_timeout_nothing_is_said_in_the_present(driver: &Driver) {
    let server = Server::start(&["--idle-timeout", "6s"]);
    let (browser, other) = (
        Browser::open(driver, &server),
        Browser::open(driver, &server),
    );
    for browser in [&other, &browser] {
        browser.sign_in("max");
    }
    browser.waits_for("#signed-in", |text| text.starts_with("Signed in as max"));
    browser.waits_for("#sessions", |text| text.contains("lives at least until"));
    browser.sees("#status", "Timed out");
    browser.waits_for("#signed-in", |text| {
        text.starts_with("You were signed in as max since")
    });
    browser.sees("#counting", "Counter, before the timeout");
    browser.sees("#storing", "Values, before the timeout");
    browser.sees("#sessions .badge", "this browser, timed out");
    browser.sees("#ends dt", "Would have ended at the latest");
    browser.waits_for("#deadline", |text| !text.contains('('));
    let enabled = "return document.querySelectorAll('#logout:enabled, .everywhere form button:enabled').length";
    assert_eq!(browser.script(enabled), 0, "nobody is signed in any more");
    browser.waits_for("#sessions", |text| {
        !text.contains("lives") && text.matches("lived at least until").count() == 2
    });
    browser.assert_clean();
}

fn looking_at_the_ring_keeps_no_session_alive(driver: &Driver) {
    let server = Server::start(&["--idle-timeout", "2s"]);
    let browser = Browser::open(driver, &server);
    browser.click("#count");
    browser.sees("#counter", "1");
    browser.assert_clean();
    browser.sees("#status", "Timed out");
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
        "This session has changed since. Reload to see it.",
    );
}

fn a_second_tab_shows_every_change(driver: &Driver) {
    let server = Server::start(&["--idle-timeout", "10m"]);
    let browser = Browser::open(driver, &server);
    browser.click("#count");
    browser.sees("#counter", "1");
    let first = browser.second_tab();
    browser.click("#count");
    browser.sees("#counter", "2");
    browser.write("#set-key", "color");
    browser.write("#set-value", "purple");
    browser.click("#set");
    browser.sees("#stored", "Stored.");
    browser.switch(&first);
    browser.sees("#counter", "2");
    browser.waits_for("#values", |values| values.contains("user:color"));
    browser.waits_for("#log", |log| log.contains("POST /page/set"));
    browser.sees("#stale", "");

    // Whoever signs in gets other forms: they are not changed under somebody's hands.
    let first = browser.second_tab();
    browser.sign_in("max");
    browser.switch(&first);
    browser.sees(
        "#stale",
        "This session has changed since. Reload to see it.",
    );
    browser.assert_clean();
}

/// A tab that shows JSON tells nobody. Its requests are seen by whoever comes back to the page.
fn coming_back_to_a_tab_shows_what_happened_meanwhile(driver: &Driver) {
    let server = Server::start(&["--idle-timeout", "50s"]);
    let browser = Browser::open(driver, &server);
    browser.click("#count");
    browser.sees("#counter", "1");
    browser.waits_for_seconds_left(0..=48);
    let first = browser.second_tab();
    browser.go("/session/counter");
    browser.waits_for("body", |body| body.contains("\"counter\":2"));
    browser.switch(&first);
    let come_back = "document.dispatchEvent(new Event('visibilitychange'))";
    browser.script(come_back);
    browser.sees("#counter", "2");
    browser.waits_for("#log", |log| log.contains("GET /session/counter"));
    browser.sees("#stale", "");

    let first = browser.second_tab();
    browser.go("/session/logout");
    browser.waits_for("body", |body| body.contains("Session cleared"));
    browser.switch(&first);
    browser.script(come_back);
    browser.sees(
        "#stale",
        "This session has changed since. Reload to see it.",
    );
    browser.assert_clean();
}

fn the_view_and_the_focus_stay_where_they_were(driver: &Driver) {
    let server = Server::start(&["--idle-timeout", "10m"]);
    let [browser, other, third] = [(); 3].map(|()| Browser::open(driver, &server));
    for browser in [&other, &third, &browser] {
        browser.sign_in("max");
    }
    browser.set_width(360, true);
    for (button, line, says, focus) in [
        ("#count", "#counted", "Counted: 1.", "count"),
        ("#whoami", "#signed", "You are max.", "whoami"),
        (
            "#sessions button[aria-label]",
            "#revoked",
            "That session has ended.",
            "revoked",
        ),
        (
            "#revoke-others",
            "#revoked",
            "Only this session is left.",
            "revoked",
        ),
    ] {
        let place = browser.script(&format!(
            "document.querySelector(\"{button}\").scrollIntoView({{block: 'start'}}); return scrollY"
        ));
        browser.submit(button);
        browser.sees(line, says);
        assert_eq!(browser.focus(), focus, "{button}");
        let near = |now: &Value| (now.as_f64().unwrap() - place.as_f64().unwrap()).abs() < 2.0;
        browser.waits_for_script("return scrollY", near);
    }
    browser.assert_clean();
}

fn times_are_relative_and_local(driver: &Driver) {
    let server = Server::start(&["--idle-timeout", "10m"]);
    let browser = Browser::open(driver, &server);
    browser.click("#count");
    browser.sees("#counter", "1");
    browser.waits_for("#deadline", |text| {
        text.contains("(in 11 hours)") || text.contains("(in 12 hours)")
    });
    let same = browser.script(
        "const time = document.querySelector('#deadline time');
         const at = new Date(time.dateTime);
         return time.textContent.startsWith(at.toLocaleTimeString())
             || time.textContent.startsWith(at.toLocaleString())",
    );
    assert_eq!(same, true);
}

fn an_open_card_stretches_no_other(driver: &Driver) {
    let server = Server::start(&["--idle-timeout", "10m"]);
    let browser = Browser::open(driver, &server);
    browser.sign_in("max");
    for width in [360, 768, 1280] {
        browser.set_width(width, false);
        let stretched = browser.script(
            "const cards = [...document.querySelectorAll('.card')];
             const heights = () => cards.map((card) => card.offsetHeight);
             const closed = heights();
             return cards.flatMap((card, index) => {
                 const details = card.querySelector('details');
                 if (!details) return [];
                 details.open = true;
                 const open = heights();
                 details.open = false;
                 const others = open.filter((height, other) => other !== index && height !== closed[other]);
                 return open[index] > closed[index] ? others : ['it does not open'];
             })",
        );
        assert_eq!(stretched, json!([]), "{width}");
        let wider = "return document.documentElement.scrollWidth > innerWidth";
        assert_eq!(browser.script(wider), false, "{width}");
    }
}

fn race_replay_and_requests_are_seen_without_scrolling(driver: &Driver) {
    let server = Server::start(&["--idle-timeout", "10m"]);
    let browser = Browser::open(driver, &server);
    browser.set_width(1280, false);
    let unseen = |selectors: &str| {
        browser.script(&format!(
            "return {selectors}.filter((selector) => {{
                 const {{ bottom, height }} = document.querySelector(selector).getBoundingClientRect();
                 return height === 0 || bottom > innerHeight;
             }})"
        ))
    };
    assert_eq!(
        unseen("['#race', '#no-old-token', '#log', '.ring']"),
        json!([])
    );
    browser.click("#race");
    browser.waits_for("#raced", |text| text.starts_with("increment: 50 of 50"));
    browser.sign_in("max");
    let all = "['#raced', '#replay', '#log tr:nth-child(4)', '#status']";
    assert_eq!(unseen(all), json!([]));
}

fn a_log_that_is_too_long_shows_it(driver: &Driver) {
    let server = Server::start(&["--idle-timeout", "10m"]);
    let browser = Browser::open(driver, &server);
    for count in 1..=6 {
        browser.click("#count");
        browser.sees("#counter", &count.to_string());
    }
    let region = "const region = document.querySelector('#log .wide');";
    for width in [610, 768, 1000, 1280] {
        browser.set_width(width, false);
        let beyond = format!("{region} return region.scrollWidth - region.clientWidth");
        assert_eq!(browser.script(&beyond), 0, "{width}");
    }
    let below = format!("{region} return region.scrollHeight - region.clientHeight");
    assert!(browser.script(&below).as_f64().unwrap() > 0.0);
    // The edges stay where they are, and what covers them moves along.
    let shadows = format!("{region} return getComputedStyle(region).backgroundAttachment");
    assert_eq!(browser.script(&shadows), "local, local, scroll, scroll");
}

fn a_phone_shows_requests_and_buttons_in_whole(driver: &Driver) {
    let server = Server::start(&["--idle-timeout", "10m"]);
    let browser = Browser::open(driver, &server);
    browser.set_width(360, true);
    browser.click("#count");
    browser.sees("#counter", "1");
    let beyond = browser.script(
        "const region = document.querySelector('#log .wide');
         return region.scrollWidth - region.clientWidth",
    );
    assert_eq!(beyond, 0);
    let narrower = browser.script(
        "return ['#login', '#set', '#get', '#race'].filter((button) => {
             const element = document.querySelector(button);
             const width = (element) => element.getBoundingClientRect().width;
             return width(element.parentElement) - width(element) > 1;
         })",
    );
    assert_eq!(narrower, json!([]));
}
