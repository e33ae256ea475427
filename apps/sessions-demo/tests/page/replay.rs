//! The old token, after a sign-in or a sign-out.

use tower_kr_session::MokaStore;

use crate::{
    app, attributes,
    support::{Client, NAME},
    text,
};

#[tokio::test]
async fn an_old_token_is_refused_and_shown_nowhere() {
    const OLD: &str = "Kr.Old";
    let app = app(MokaStore::new());
    let mut browser = Client::new(&app);
    browser.post("/page/counter", "").await;
    let old = browser.token().unwrap().to_owned();
    let login = browser.post("/page/login", "user=max").await;
    let kept = login.headers.get_all("set-cookie").iter();
    let kept: Vec<_> = kept
        .map(|cookie| cookie.to_str().unwrap())
        .filter(|cookie| cookie.starts_with(OLD))
        .collect();
    let [kept] = kept[..] else { panic!("{kept:?}") };
    for attribute in ["Path=/", "HttpOnly", "SameSite=Strict", "Secure"] {
        assert!(kept.split("; ").any(|part| part == attribute), "{kept}");
    }
    // When it is kept, it is worthless.
    let mut thief = Client::new(&app);
    thief.jar.insert(NAME, old.clone());
    assert_eq!(thief.get("/session/whoami").await.status, 401);

    // It is offered on every view, as long as the browser keeps it.
    for path in ["/", "/", "/?whoami=1", "/?get=color"] {
        let page = browser.get(path).await;
        assert!(!attributes(&page, "replay").contains("disabled"), "{path}");
        assert!(!page.body.contains("no-old-token"), "{path}");
    }
    let refused = browser.post("/page/set", "key=color").await;
    assert!(!attributes(&refused, "replay").contains("disabled"));
    let page = browser.get("/").await;
    let answer = browser.post("/page/replay", "").await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/")));
    let replayed = browser.get("/").await;
    assert_eq!(
        text(&replayed, "replayed"),
        "The old token was refused: the sign-in replaced it, and whoever copied it has nothing."
    );
    assert_eq!(text(&replayed, "user"), "max", "the new one goes on");
    assert!(!attributes(&replayed, "replay").contains("disabled"));
    for answer in [&login, &page, &refused, &answer, &replayed] {
        assert!(!answer.body.contains(&old[22..]));
    }

    browser.post("/page/logout", "").await;
    browser.get("/").await;
    let page = browser.get("/").await;
    assert!(!attributes(&page, "replay").contains("disabled"));
    browser.post("/page/replay", "").await;
    assert_eq!(
        text(&browser.get("/").await, "replayed"),
        "The old token was refused: it opens no session any more."
    );
    // A token that lives is let in, so the refusals above mean something.
    browser.get("/session/counter").await;
    let alive = browser.token().unwrap().to_owned();
    browser.jar.insert(OLD, format!("Kr%2ESession%3D{alive}"));
    browser.post("/page/replay", "").await;
    assert_eq!(
        text(&browser.get("/").await, "replayed"),
        "The old token was let in. That must not happen."
    );
    let mut nobody = Client::new(&app);
    nobody.post("/page/replay", "").await;
    assert!(text(&nobody.get("/").await, "replayed").starts_with("This browser had no token"));
}

/// The browser gets back what it sent as its session cookie, so that must have been a token.
#[tokio::test]
async fn only_what_has_the_form_of_a_token_is_kept() {
    let app = app(MokaStore::new());
    let token = "A-z_0".repeat(13)[..64].to_owned();
    for (sent, is_kept) in [
        (token.clone(), true),
        (token.replace('-', "+"), false),
        (token.replace('-', "<"), false),
        (token[1..].to_owned(), false),
        (format!("{token}A"), false),
        (String::new(), false),
        ("<zqmarkqz'\">".to_owned(), false),
        (format!("<junk>; {NAME}={token}"), true),
    ] {
        let mut client = Client::new(&app);
        client.jar.insert(NAME, sent.clone());
        let answer = client.post("/page/logout", "").await;
        let mut cookies = answer.headers.get_all("set-cookie").iter();
        let kept = cookies.find_map(|cookie| {
            let cookie = cookie.to_str().unwrap();
            cookie.strip_prefix("Kr.Old=")
        });
        assert_eq!(kept.is_some(), is_kept, "{sent}: {kept:?}");
        assert!(kept.is_none_or(|kept| !kept.contains("junk")), "{kept:?}");
    }
}
