//! Failures as pages.

use http::{Method, Request};

use crate::{
    app, browser,
    support::{Client, Down, NAME},
    text,
};

#[tokio::test]
async fn a_body_that_is_no_form_is_told_on_a_page() {
    let mut browser = browser();
    let huge = Box::leak(format!("key=k&value={}", "v".repeat(3 << 20)).into_boxed_str());
    for (path, form, status, says) in [
        (
            "/page/login",
            "user=a&user=b",
            400,
            "The form has a field twice, or one that is not valid UTF-8.",
        ),
        (
            "/page/login",
            "user=%ff",
            400,
            "The form has a field twice, or one that is not valid UTF-8.",
        ),
        (
            "/page/set",
            huge,
            413,
            "The form is larger than the 2 MiB that this page takes.",
        ),
    ] {
        let answer = browser.post(path, form).await;
        assert_eq!(answer.status, status, "{path} {form:.20}");
        assert_eq!(
            answer.header("content-type"),
            Some("text/html; charset=utf-8")
        );
        assert_eq!(text(&answer, "problem"), says);
    }
    let json = Request::builder()
        .method(Method::POST)
        .uri("/page/login")
        .header("content-type", "application/json");
    let answer = browser.request(json, "{}").await;
    assert_eq!(answer.status, 415);
    assert_eq!(
        text(&answer, "problem"),
        "The form has to be sent as application/x-www-form-urlencoded."
    );
    assert_eq!(browser.token(), None);
    let answer = browser.get("/page/counter").await;
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")));
    assert_eq!(
        text(&answer, "problem"),
        "This address is for the forms of the page: it takes POST alone."
    );
    for method in [Method::DELETE, Method::POST] {
        let answer = browser.send(method, "/").await;
        let allow = answer.header("allow");
        assert_eq!((answer.status, allow), (405, Some("GET,HEAD")));
        assert_eq!(
            text(&answer, "problem"),
            "This address is the page itself: it takes GET and HEAD alone."
        );
    }
    let answer = browser.send(Method::HEAD, "/page/counter").await;
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")));
}

#[tokio::test]
async fn an_unknown_path_is_a_page_for_browsers_and_json_for_programs() {
    let mut browser = browser();
    let browsers = Request::builder()
        .uri("/nowhere")
        .header("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
    let answer = browser.request(browsers, "").await;
    assert_eq!(answer.status, 404);
    assert_eq!(
        answer.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert_eq!(
        text(&answer, "problem"),
        "There is nothing at this address."
    );
    for path in ["/nowhere", "/page/nowhere"] {
        browser
            .get(path)
            .await
            .is(404, r#"{"error":"No such path"}"#);
    }
    // What is missing in a session is no unknown path.
    let request = Request::builder()
        .uri("/session/get?key=none")
        .header("accept", "text/html");
    let answer = browser.request(request, "").await;
    answer.is(404, r#"{"error":"Key 'none' not found in session"}"#);
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
