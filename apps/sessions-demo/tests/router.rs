//! The application without a server around it: every route, every answer, by a client that keeps
//! cookies.
#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

mod support;

use axum::{Router, routing::get};
use http::{HeaderValue, Method};
use kr_cookie::CookieBuilder;
use tower_http::cors::CorsLayer;
use tower_kr_session::{MemoryStore, Session, SessionLayer};

use support::{Client, Down, NAME};

#[tokio::test]
async fn the_walkthrough() {
    let app = app();
    let (mut first, mut fresh) = (Client::new(&app), Client::new(&app));

    first.get("/hello").await.is(200, "Hello, Session World!");
    first
        .get("/session/counter")
        .await
        .is(200, r#"{"message":"Counter incremented","counter":1}"#);
    first
        .get("/session/counter")
        .await
        .is(200, r#"{"message":"Counter incremented","counter":2}"#);
    fresh
        .get("/session/counter")
        .await
        .is(200, r#"{"message":"Counter incremented","counter":1}"#);

    first
        .get("/session/whoami")
        .await
        .is(401, r#"{"error":"No active session or user not set"}"#);
    first
        .get("/session/login?user=max")
        .await
        .is(200, r#"{"message":"Logged in","user":"max"}"#);
    first
        .get("/session/whoami")
        .await
        .is(200, r#"{"user":"max"}"#);
    fresh
        .get("/session/whoami")
        .await
        .is(401, r#"{"error":"No active session or user not set"}"#);

    let stored = r#"{"message":"Stored in session","key":"color","value":"purple"}"#;
    first
        .get("/session/set?key=color&value=purple")
        .await
        .is(200, stored);
    first
        .get("/session/get?key=color")
        .await
        .is(200, r#"{"key":"color","value":"purple"}"#);
    fresh
        .get("/session/get?key=color")
        .await
        .is(404, r#"{"error":"Key 'color' not found in session"}"#);

    first
        .get("/session/logout")
        .await
        .is(200, r#"{"message":"Session cleared"}"#);
    assert_eq!(first.token(), None);
    first
        .get("/session/whoami")
        .await
        .is(401, r#"{"error":"No active session or user not set"}"#);
    first
        .get("/session/counter")
        .await
        .is(200, r#"{"message":"Counter incremented","counter":1}"#);
}

#[tokio::test]
async fn json_is_marked_as_json() {
    let app = app();
    let mut client = Client::new(&app);
    for path in [
        "/session/counter",
        "/session/whoami",
        "/session/get?key=none",
        "/session/login",
        "/nowhere",
    ] {
        assert_eq!(
            client.get(path).await.header("content-type"),
            Some("application/json"),
            "{path}"
        );
    }
    assert_eq!(
        client.get("/hello").await.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
}

#[tokio::test]
async fn missing_and_blank_parameters_are_told_with_an_example() {
    let user = r#"{"error":"Missing 'user' query parameter","example":"/session/login?user=max"}"#;
    let key_value = concat!(
        r#"{"error":"Missing 'key' and/or 'value' query parameter(s)","#,
        r#""example":"/session/set?key=color&value=purple"}"#
    );
    let key = r#"{"error":"Missing 'key' query parameter","example":"/session/get?key=color"}"#;
    let app = app();
    let mut client = Client::new(&app);
    for (path, body) in [
        ("/session/login", user),
        ("/session/login?", user),
        ("/session/login?user", user),
        ("/session/login?user=", user),
        ("/session/login?user=%20+%09", user),
        ("/session/set", key_value),
        ("/session/set?key=color", key_value),
        ("/session/set?value=purple", key_value),
        ("/session/set?key=&value=purple", key_value),
        ("/session/set?key=color&value=", key_value),
        ("/session/set?key=color&value=%20", key_value),
        ("/session/get", key),
        ("/session/get?key=", key),
        ("/session/get?key=+", key),
    ] {
        client.get(path).await.is(400, body);
    }
    assert_eq!(client.token(), None, "a refused request leaves no session");
}

#[tokio::test]
async fn bad_values_are_refused_as_json() {
    let app = app();
    let mut client = Client::new(&app);
    let long = "k".repeat(300);
    for path in [
        "/session/login?user=max&user=eve",
        "/session/login?user=%ff",
        "/session/login?user=a%0Ab",
        "/session/set?key=a&key=b&value=c",
        "/session/set?key=a%00b&value=c",
        "/session/set?key=a%C2%85b&value=c",
        &format!("/session/set?key={long}&value=c"),
        &format!("/session/get?key={long}"),
        &format!("/session/login?user={}", "u".repeat(5000)),
    ] {
        let answer = client.get(path).await;
        assert_eq!(answer.status, 400, "{path}: {}", answer.body);
        assert!(
            answer.body.starts_with(r#"{"error":""#),
            "{path}: {}",
            answer.body
        );
        assert_eq!(
            answer.header("content-type"),
            Some("application/json"),
            "{path}"
        );
    }
    assert_eq!(client.token(), None, "a refused request leaves no session");
}

#[tokio::test]
async fn a_session_that_is_full_refuses_more_and_keeps_what_it_has() {
    let app = app();
    let mut client = Client::new(&app);
    let value = "v".repeat(60_000);
    let mut stored = 0;
    let refused = loop {
        let answer = client
            .get(&format!("/session/set?key=k{stored}&value={value}"))
            .await;
        if answer.status != 200 {
            break answer;
        }
        stored += 1;
        assert!(stored < 100, "a session has a limit");
    };
    assert_eq!(refused.status, 413, "{}", refused.body);
    assert!(
        refused.body.starts_with(r#"{"error":""#),
        "{}",
        refused.body
    );
    assert_eq!(refused.header("content-type"), Some("application/json"));
    assert!(stored > 0);
    assert_eq!(client.get("/session/get?key=k0").await.status, 200);
    assert_eq!(
        client
            .get(&format!("/session/get?key=k{stored}"))
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn any_text_comes_back_as_it_was_stored() {
    let app = app();
    let mut client = Client::new(&app);
    client
        .get("/session/set?key=%C3%A4+%F0%9F%8D%AA&value=%22a%26b%22%5C%0A")
        .await
        .is(
            200,
            r#"{"message":"Stored in session","key":"ä 🍪","value":"\"a&b\"\\\n"}"#,
        );
    client
        .get("/session/get?key=%C3%A4+%F0%9F%8D%AA")
        .await
        .is(200, r#"{"key":"ä 🍪","value":"\"a&b\"\\\n"}"#);
}

#[tokio::test]
async fn a_users_keys_never_meet_the_demos_own() {
    let app = app();
    let mut client = Client::new(&app);
    client.get("/session/counter").await;
    for key in ["user", "owner", "counter"] {
        assert_eq!(
            client.get(&format!("/session/get?key={key}")).await.status,
            404,
            "{key}"
        );
        assert_eq!(
            client
                .get(&format!("/session/set?key={key}&value=admin"))
                .await
                .status,
            200,
            "{key}"
        );
    }
    client
        .get("/session/whoami")
        .await
        .is(401, r#"{"error":"No active session or user not set"}"#);
    client
        .get("/session/counter")
        .await
        .is(200, r#"{"message":"Counter incremented","counter":2}"#);
    client
        .get("/session/get?key=counter")
        .await
        .is(200, r#"{"key":"counter","value":"admin"}"#);
}

#[tokio::test]
async fn only_a_new_session_sets_a_cookie() {
    let app = app();
    let mut client = Client::new(&app);
    for path in [
        "/hello",
        "/session/whoami",
        "/session/get?key=color",
        "/nowhere",
    ] {
        assert_eq!(client.get(path).await.header("set-cookie"), None, "{path}");
    }
    let cookie = client
        .get("/session/counter")
        .await
        .header("set-cookie")
        .unwrap()
        .to_owned();
    assert!(cookie.starts_with("Kr.Session="), "{cookie}");
    for attribute in ["Path=/", "HttpOnly", "Secure", "SameSite=Lax"] {
        assert!(cookie.split("; ").any(|part| part == attribute), "{cookie}");
    }
    for path in [
        "/session/counter",
        "/session/whoami",
        "/session/set?key=a&value=b",
        "/hello",
    ] {
        assert_eq!(client.get(path).await.header("set-cookie"), None, "{path}");
    }
}

#[tokio::test]
async fn login_changes_the_token_and_keeps_the_values() {
    let app = app();
    let mut client = Client::new(&app);
    client.get("/session/counter").await;
    let mut thief = client.clone();
    client.get("/session/login?user=max").await;
    assert_ne!(client.token(), thief.token());
    client
        .get("/session/counter")
        .await
        .is(200, r#"{"message":"Counter incremented","counter":2}"#);
    thief
        .get("/session/whoami")
        .await
        .is(401, r#"{"error":"No active session or user not set"}"#);
}

#[tokio::test]
async fn a_token_is_dead_after_logout() {
    let app = app();
    let mut client = Client::new(&app);
    client.get("/session/login?user=max").await;
    let mut thief = client.clone();
    client.get("/session/logout").await;
    thief
        .get("/session/whoami")
        .await
        .is(401, r#"{"error":"No active session or user not set"}"#);
}

#[tokio::test]
async fn a_wrong_method_and_an_unknown_path() {
    let app = app();
    let mut client = Client::new(&app);
    for (path, allowed) in [
        ("/hello", "GET,HEAD"),
        ("/session/whoami", "GET,HEAD"),
        ("/session/get?key=color", "GET,HEAD"),
        ("/session/counter", "GET"),
        ("/session/login?user=max", "GET"),
        ("/session/set?key=color&value=purple", "GET"),
        ("/session/logout", "GET"),
    ] {
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
            let answer = client.send(method.clone(), path).await;
            answer.is(405, r#"{"error":"Only GET is supported"}"#);
            assert_eq!(answer.header("allow"), Some(allowed), "{method} {path}");
        }
    }
    for path in [
        "/",
        "/session",
        "/session/",
        "/session/counter/",
        "/SESSION/counter",
    ] {
        client
            .get(path)
            .await
            .is(404, r#"{"error":"No such path"}"#);
    }
    assert_eq!(client.token(), None);
}

/// The order of the layers that the guide to errors shows.
#[tokio::test]
async fn a_cors_layer_outside_sees_the_session_layers_own_503() {
    const ORIGIN: &str = "https://app.example.com";
    let sessions = SessionLayer::new(Down).cookie(CookieBuilder::new(NAME));
    let cors = || CorsLayer::new().allow_origin(HeaderValue::from_static(ORIGIN));
    let routes = || Router::new().route("/", get(async |session: Session| session.rotate()));
    let outside = routes().layer(sessions.clone()).layer(cors());
    let inside = routes().layer(cors()).layer(sessions);
    for (app, allowed) in [(outside, Some(ORIGIN)), (inside, None)] {
        let mut client = Client::new(&app);
        client.jar.insert(NAME, "A".repeat(64));
        let answer = client.get("/").await;
        assert_eq!(answer.status, 503);
        assert_eq!(answer.header("access-control-allow-origin"), allowed);
    }
}

/// Link checkers, previews and prefetching send HEAD, and nobody means an action by it.
#[tokio::test]
async fn head_acts_on_nothing() {
    let app = app();
    let mut client = Client::new(&app);
    client.get("/session/counter").await;
    for path in [
        "/session/counter",
        "/session/login?user=max",
        "/session/set?key=color&value=purple",
        "/session/logout",
    ] {
        let answer = client.send(Method::HEAD, path).await;
        assert_eq!(answer.status, 405, "{path}");
        assert_eq!(answer.header("allow"), Some("GET"), "{path}");
        assert_eq!(answer.header("set-cookie"), None, "{path}");
    }
    for path in ["/hello", "/session/get?key=color", "/session/whoami"] {
        let (head, get) = (
            client.send(Method::HEAD, path).await,
            client.get(path).await,
        );
        assert_eq!(
            (head.status, head.body.as_str()),
            (get.status, ""),
            "{path}"
        );
    }
    client
        .get("/session/counter")
        .await
        .is(200, r#"{"message":"Counter incremented","counter":2}"#);
    client
        .get("/session/get?key=color")
        .await
        .is(404, r#"{"error":"Key 'color' not found in session"}"#);
}

#[tokio::test]
async fn a_store_that_is_down_is_told_as_json_and_harms_only_who_needs_it() {
    let app = sessions_demo::router(SessionLayer::new(Down).cookie(CookieBuilder::new(NAME)));
    let mut client = Client::new(&app);
    client.get("/hello").await.is(200, "Hello, Session World!");
    client
        .get("/session/whoami")
        .await
        .is(401, r#"{"error":"No active session or user not set"}"#);

    // Well-formed, so that only the store can tell what it is worth.
    client.jar.insert(NAME, "A".repeat(64));
    for path in [
        "/session/counter",
        "/session/whoami",
        "/session/login?user=max",
        "/session/set?key=a&value=b",
    ] {
        let answer = client.get(path).await;
        answer.is(503, r#"{"error":"The session store is unavailable"}"#);
        assert_eq!(
            answer.header("content-type"),
            Some("application/json"),
            "{path}"
        );
        assert!(answer.header("retry-after").is_some(), "{path}");
        assert_eq!(answer.header("set-cookie"), None, "{path}");
    }
    client.get("/hello").await.is(200, "Hello, Session World!");
}

fn app() -> Router {
    let sessions = SessionLayer::new(MemoryStore::new())
        .cookie(CookieBuilder::new(NAME))
        .https_when(|_| true);
    sessions.check().unwrap();
    sessions_demo::router(sessions)
}
