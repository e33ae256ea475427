//! What the page says of the last action.

use tower_kr_session::MokaStore;

use crate::{app, attributes, browser, requests::requests, support::Client, text};

#[tokio::test]
async fn what_was_set_is_told_once_and_without_the_token() {
    let mut browser = browser();
    browser.post("/page/counter", "").await;
    let page = browser.get("/").await;
    assert!(
        page.body
            .contains("Set-Cookie: Kr.Session=…; Secure; Path=/; HttpOnly; SameSite=Lax"),
        "{}",
        page.body
    );
    assert!(!page.body.contains(browser.token().unwrap()));
    assert_eq!(text(&page, "counted"), "Counted: 1.");
    assert_eq!(text(&browser.get("/").await, "counted"), "");

    browser.post("/page/counter", "").await;
    let page = browser.get("/").await;
    assert_eq!(
        text(&page, "set-cookie"),
        "The last action set no cookie: the token stayed as it was."
    );
    browser.post("/page/logout", "").await;
    let page = browser.get("/").await;
    assert!(
        page.body.contains("Kr.Session=; Max-Age=0;"),
        "{}",
        page.body
    );
}

/// An action in the place of a session that is over says that it started a new one.
#[tokio::test]
async fn a_session_that_was_ended_elsewhere_says_so_at_the_next_action() {
    let app = app(MokaStore::new());
    for (path, form, line, says) in [
        ("/page/counter", "", "counted", "Counted: 1."),
        ("/page/set", "key=a&value=b", "stored", "Stored."),
        ("/page/login", "user=max", "signed", "Signed in."),
    ] {
        let [mut laptop, mut phone] = [(); 2].map(|()| Client::new(&app));
        for client in [&mut laptop, &mut phone] {
            client.post("/page/login", "user=max").await;
        }
        laptop.post("/page/revoke-others", "").await;
        phone.post(path, form).await;
        let page = phone.get("/").await;
        let renewed = "Your session had ended; this action started a new one. ";
        assert_eq!(text(&page, line), format!("{renewed}{says}"));
        phone.post(path, form).await;
        let again = text(&phone.get("/").await, line);
        assert!(!again.contains("had ended"), "only once: {again}");
        laptop.post("/page/logout", "").await;
    }
}

#[tokio::test]
async fn a_visitor_without_a_session_is_told_of_none() {
    let mut browser = browser();
    let page = browser.get("/").await;
    for id in ["logout", "unscripted"] {
        assert!(!page.body.contains(&format!("id=\"{id}\"")), "{id}");
    }
    browser.post("/page/logout", "").await;
    let page = browser.get("/").await;
    assert_eq!(text(&page, "signed"), "There was no session.");
    assert!(page.body.contains("<p class=\"told wrong\" id=\"signed\""));
    assert!(attributes(&page, "replay").contains(" disabled "));

    browser.post("/page/login", "user=max").await;
    let page = browser.get("/").await;
    assert_eq!(text(&page, "signed"), "Signed in. A session began.");
    assert!(page.body.contains("<p class=\"told\" id=\"signed\""));
    assert!(attributes(&page, "replay").contains(" disabled "));
    let why = "A sign-in replaces the token, and a sign-out ends it. Count up, then sign in";
    assert!(text(&page, "no-old-token").starts_with(why));
    assert!(page.body.contains("id=\"logout\""));
    let log = requests(&page);
    assert!(log[0].starts_with("POST /page/login | 303 | user, new session | yes"));
    // Without a script nothing else says that the ring has run down.
    assert_eq!(
        text(&page, "unscripted"),
        "When the ring says over, the session has timed out: "
    );

    browser.post("/page/login", "user=max").await;
    let page = browser.get("/").await;
    assert!(text(&page, "signed").starts_with("Signed in. The token changed"));
    assert!(!attributes(&page, "replay").contains("disabled"));
    let log = requests(&page);
    assert!(log[0].starts_with("POST /page/login | 303 | user, new token | yes"));
}
