//! What all answers of the page have in common.

use http::Method;
use tower_kr_session::MokaStore;

use crate::{app, browser, support::Client};

/// What the page consists of, beside itself.
const ASSETS: [&str; 9] = [
    "/page/style.css",
    "/page/icon.svg",
    "/page/main.js",
    "/page/ring.js",
    "/page/tabs.js",
    "/page/times.js",
    "/page/place.js",
    "/page/race.js",
    "/page/copy.js",
];

#[tokio::test]
async fn the_page_is_small() {
    let app = app(MokaStore::new());
    let mut browser = Client::new(&app);
    for user in ["max", "eve", "max"] {
        Client::new(&app)
            .get(&format!("/session/login?user={user}"))
            .await;
    }
    browser.post("/page/login", "user=max").await;
    browser.post("/page/set", "key=color&value=purple").await;
    for _ in 0..20 {
        browser.post("/page/counter", "").await;
    }
    let mut bytes = browser.get("/").await.body.len();
    for path in ASSETS {
        let answer = browser.get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        bytes += answer.body.len();
    }
    assert!(bytes < 60 << 10, "{bytes}");
}

#[tokio::test]
async fn every_answer_of_the_page_is_safe_to_show() {
    let mut browser = browser();
    for path in ["/", "/page/counter"].into_iter().chain(ASSETS) {
        let answer = browser.get(path).await;
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; "), "{path}");
        assert!(!policy.contains("unsafe"), "{path}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
    }
}

#[tokio::test]
async fn no_answer_may_be_taken_for_something_else() {
    let mut browser = browser();
    let others = [
        "/",
        "/hello",
        "/session/counter",
        "/session/login",
        "/session/whoami",
        "/nowhere",
        "/page/counter",
        "/healthz",
        "/readyz",
        "/metrics",
    ];
    for path in others.into_iter().chain(ASSETS) {
        for method in [Method::GET, Method::HEAD, Method::PUT] {
            let answer = browser.send(method, path).await;
            let options = answer.header("x-content-type-options");
            assert_eq!(options, Some("nosniff"), "{path}");
        }
    }
}
