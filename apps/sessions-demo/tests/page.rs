//! The page without a browser: what it shows, what its forms do, and what it refuses.
#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

mod support;

use axum::Router;
use http::{Method, Request};
use kr_cookie::CookieBuilder;
use sessions_demo::About;
use tower_kr_session::{MemoryStore, SessionLayer, SessionStore};

use support::{Answer, Client, Down, NAME};

const ABOUT: About = About {
    store: "memory",
    https: true,
};

fn app(store: impl SessionStore) -> Router {
    let sessions = SessionLayer::new(store).cookie(CookieBuilder::new(NAME));
    sessions_demo::app(sessions, ABOUT).unwrap()
}

fn browser() -> Client {
    Client::new(&app(MemoryStore::new()))
}

/// The text of the element with this id, up to the first tag in it.
#[track_caller]
fn text<'a>(page: &'a Answer, id: &str) -> &'a str {
    let body = &page.body;
    let element = body.split_once(&format!("id=\"{id}\""));
    let (_, rest) = element.unwrap_or_else(|| panic!("no {id} in {body}"));
    let (_, rest) = rest.split_once('>').unwrap();
    rest.split_once('<').unwrap().0
}

#[tokio::test]
async fn looking_at_the_page_starts_no_session() {
    let mut browser = browser();
    let page = browser.get("/").await;
    assert_eq!(page.status, 200);
    assert_eq!(text(&page, "status"), "None");
    assert_eq!(text(&page, "store"), "memory");
    assert!(browser.jar.is_empty(), "{:?}", browser.jar);
}

#[tokio::test]
async fn the_forms_change_the_session_and_lead_back_to_the_page() {
    let mut browser = browser();
    for (path, form) in [
        ("/page/counter", ""),
        ("/page/counter", ""),
        ("/page/login", "user=max"),
        ("/page/set", "key=color&value=deep+purple"),
    ] {
        let answer = browser.post(path, form).await;
        assert_eq!(
            (answer.status, answer.header("location")),
            (303, Some("/")),
            "{path}"
        );
    }
    let page = browser.get("/").await;
    assert_eq!(text(&page, "status"), "Active");
    assert_eq!(text(&page, "counter"), "2");
    assert_eq!(text(&page, "user"), "max");
    assert_eq!(text(&page, "stored"), "Stored.");
    assert!(
        page.body.contains("&quot;deep purple&quot;"),
        "{}",
        page.body
    );

    let page = browser.get("/?get=color").await;
    assert_eq!(text(&page, "stored"), "color is deep purple.");
    let page = browser.get("/?whoami=1").await;
    assert_eq!(text(&page, "signed"), "You are max.");

    let token = browser.token().unwrap().to_owned();
    browser.post("/page/logout", "").await;
    assert_eq!(browser.token(), None);
    assert_eq!(text(&browser.get("/").await, "status"), "None");
    browser.jar.insert(NAME, token);
    assert_eq!(text(&browser.get("/").await, "status"), "Over");
}

#[tokio::test]
async fn the_page_and_the_json_routes_share_the_session() {
    let mut browser = browser();
    browser.get("/session/counter").await;
    browser.post("/page/counter", "").await;
    assert_eq!(text(&browser.get("/").await, "counter"), "2");
}

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

#[tokio::test]
async fn sessions_of_one_user_are_listed_and_ended_by_him_alone() {
    let app = app(MemoryStore::new());
    let [mut laptop, mut phone, mut eve] = [(); 3].map(|()| Client::new(&app));
    phone.post("/page/login", "user=max").await;
    let id = text(&phone.get("/").await, "id").to_owned();
    laptop.post("/page/login", "user=max").await;
    eve.post("/page/login", "user=eve").await;
    assert!(laptop.get("/").await.body.contains(&id));
    assert!(!eve.get("/").await.body.contains(&id));

    let revoke = Box::leak(format!("id={id}").into_boxed_str());
    assert_eq!(eve.post("/page/revoke", revoke).await.status, 404);
    assert_eq!(text(&phone.get("/").await, "status"), "Active");
    assert_eq!(laptop.post("/page/revoke", revoke).await.status, 303);
    assert_eq!(text(&phone.get("/").await, "status"), "Over");
    assert_eq!(laptop.post("/page/revoke", revoke).await.status, 404);

    phone.post("/page/login", "user=max").await;
    assert_eq!(laptop.post("/page/revoke-others", "").await.status, 303);
    assert_eq!(text(&phone.get("/").await, "status"), "Over");
    assert_eq!(text(&laptop.get("/").await, "status"), "Active");
    assert_eq!(text(&eve.get("/").await, "status"), "Active");

    let mut nobody = Client::new(&app);
    assert_eq!(nobody.post("/page/revoke", revoke).await.status, 401);
    assert_eq!(nobody.post("/page/revoke-others", "").await.status, 401);
}

#[tokio::test]
async fn a_form_of_another_site_does_nothing() {
    let mut browser = browser();
    browser.post("/page/counter", "").await;
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
    ] {
        for path in [
            "counter",
            "login",
            "logout",
            "set",
            "revoke",
            "revoke-others",
        ] {
            let request = Request::builder()
                .method(Method::POST)
                .uri(format!("/page/{path}"))
                .header("host", "localhost:8080")
                .header(name, value);
            let answer = browser
                .request(request, "user=eve&key=a&value=b&id=c")
                .await;
            assert_eq!(answer.status, 403, "{path} {name} {value}");
            assert_eq!(answer.header("set-cookie"), None);
        }
    }
    let page = browser.get("/").await;
    assert_eq!(text(&page, "counter"), "1");
    assert_eq!(text(&page, "status"), "Active");
}

#[tokio::test]
async fn what_visitors_write_is_text() {
    let mut browser = browser();
    let script = "%3Cscript%3Ealert(1)%3C%2Fscript%3E";
    let form = Box::leak(format!("key={script}&value={script}").into_boxed_str());
    browser.post("/page/set", form).await;
    browser.post("/page/login", "user=%3Cb%3E%22'").await;
    browser.jar.insert("Kr.Notice", format!("set%20{script}"));
    for path in [
        "/".to_owned(),
        format!("/?get={script}"),
        format!("/?get={script}2"),
    ] {
        let page = browser.get(&path).await;
        assert_eq!(page.status, 200);
        assert!(!page.body.contains("<script>"), "{}", page.body);
        assert!(!page.body.contains("<b>"), "{}", page.body);
    }
}

#[tokio::test]
async fn bad_forms_are_told_on_a_page() {
    let mut browser = browser();
    let too_long = Box::leak(format!("key={}&value=b", "k".repeat(252)).into_boxed_str());
    let too_large = Box::leak(format!("key=k&value={}", "v".repeat(300_000)).into_boxed_str());
    for (path, form, status) in [
        ("/page/login", "", 400),
        ("/page/login", "user=+", 400),
        ("/page/login", "user=a&user=b", 400),
        ("/page/login", "user=%ff", 400),
        ("/page/login", "user=%00", 400),
        ("/page/set", "key=a", 400),
        ("/page/set", "value=a", 400),
        ("/page/set", too_long, 400),
        ("/page/set", too_large, 413),
    ] {
        let answer = browser.post(path, form).await;
        assert_eq!(answer.status, status, "{path} {form:.20}");
        assert_eq!(
            answer.header("content-type"),
            Some("text/html; charset=utf-8")
        );
        assert_ne!(text(&answer, "problem"), "");
    }
    assert_eq!(browser.token(), None);
    let answer = browser.get("/page/counter").await;
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")));
    assert_ne!(text(&answer, "problem"), "");
}

#[tokio::test]
async fn a_store_that_is_down_is_told_on_a_page() {
    let mut browser = Client::new(&app(Down));
    browser.jar.insert(NAME, "A".repeat(64));
    for answer in [
        browser.get("/").await,
        browser.post("/page/counter", "").await,
    ] {
        assert_eq!(answer.status, 503);
        assert_eq!(
            text(&answer, "problem"),
            "The session store is unavailable."
        );
        assert!(answer.header("retry-after").is_some());
        assert_eq!(answer.header("set-cookie"), None);
    }
}

#[tokio::test]
async fn every_answer_of_the_page_is_safe_to_show() {
    let mut browser = browser();
    for path in [
        "/",
        "/page/style.css",
        "/page/script.js",
        "/page/icon.svg",
        "/page/counter",
    ] {
        let answer = browser.get(path).await;
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; "), "{path}");
        assert!(!policy.contains("unsafe"), "{path}");
        assert_eq!(
            answer.header("x-content-type-options"),
            Some("nosniff"),
            "{path}"
        );
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
    }
}
