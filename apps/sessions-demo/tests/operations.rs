//! Health, readiness and metrics of the application.
#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

mod support;

use axum::Router;
use kr_cookie::CookieBuilder;
use sessions_demo::About;
use tower_kr_session::{MemoryStore, SessionLayer, SessionStore};

use support::{Client, Down, NAME};

fn app(store: impl SessionStore) -> Router {
    let sessions = SessionLayer::new(store).cookie(CookieBuilder::new(NAME));
    let about = About {
        store: "memory",
        https: true,
    };
    sessions_demo::app(sessions, about).unwrap()
}

#[tokio::test]
async fn health_needs_no_store_and_readiness_does() {
    let mut up = Client::new(&app(MemoryStore::new()));
    up.get("/healthz").await.is(200, "alive\n");
    up.get("/readyz").await.is(200, "ready\n");
    assert!(up.jar.is_empty());

    let mut down = Client::new(&app(Down));
    down.get("/healthz").await.is(200, "alive\n");
    down.get("/readyz")
        .await
        .is(503, "the session store does not answer\n");
}

#[tokio::test]
async fn requests_are_counted_by_route_and_status() {
    let mut client = Client::new(&app(MemoryStore::new()));
    client.get("/session/counter").await;
    client.get("/session/counter").await;
    client.get("/session/whoami").await;
    for path in ["/session/get?key=secret", "/nowhere/secret", "/secret"] {
        client.get(path).await;
    }
    let metrics = client.get("/metrics").await;
    assert_eq!(
        metrics.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    for line in [
        "http_request_duration_seconds_count{route=\"/session/counter\",status=\"200\"} 2",
        "http_request_duration_seconds_count{route=\"/session/whoami\",status=\"401\"} 1",
        "http_request_duration_seconds_count{route=\"none\",status=\"404\"} 2",
    ] {
        assert!(
            metrics.body.lines().any(|told| told == line),
            "{line}\n{}",
            metrics.body
        );
    }
    assert!(!metrics.body.contains("secret"), "{}", metrics.body);
}

#[tokio::test]
async fn a_commit_that_fails_is_counted() {
    let mut client = Client::new(&app(Down));
    let login = client.get("/session/login?user=max").await;
    assert_eq!(login.status, 503);
    let metrics = client.get("/metrics").await.body;
    let line = "session_commit_failures_total{reason=\"store\"} 1";
    assert!(metrics.lines().any(|told| told == line), "{metrics}");
}
