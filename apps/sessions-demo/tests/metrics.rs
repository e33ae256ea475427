//! What `/metrics` tells. One test in a process of its own: a process has one recorder, and what
//! other tests do would count too.
#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

mod support;

use axum::Router;
use kr_cookie::CookieBuilder;
use sessions_demo::About;
use tower_kr_session::{MemoryStore, Owner, SessionLayer, SessionStore};

use support::{Client, Down, NAME};

fn layer(store: impl SessionStore) -> SessionLayer {
    SessionLayer::new(store)
        .cookie(CookieBuilder::new(NAME))
        .max_session_bytes(1_024)
}

fn app(layer: SessionLayer) -> Router {
    let about = About {
        store: "memory",
        https: true,
        cookie: CookieBuilder::new(NAME).build().unwrap(),
    };
    sessions_demo::app(layer, about).unwrap()
}

#[track_caller]
fn tells(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.lines().any(|told| told == *line), "{line}\n{text}");
    }
}

#[tokio::test]
async fn requests_and_what_happens_to_sessions_are_counted() {
    let store = MemoryStore::builder()
        .anonymous_bytes(16 * 1_024)
        .owned_bytes(16 * 1_024)
        .build();
    let layer = layer(store.clone());
    let sessions = layer.sessions().unwrap();
    let app = app(layer);
    let mut client = Client::new(&app);

    let metrics = client.get("/metrics").await;
    assert_eq!(
        metrics.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    // From the start, so that the first one is seen as a step.
    tells(
        &metrics.body,
        &[
            "# TYPE kr_session_refused_total counter",
            "kr_session_refused_total 0",
            "kr_session_evicted_total{share=\"owned\"} 0",
            "kr_session_commit_failures_total{reason=\"store\"} 0",
        ],
    );

    client.get("/session/counter").await;
    client.get("/session/counter").await;
    client.get("/session/whoami").await;
    for path in ["/session/get?key=hunter2", "/nowhere/hunter2", "/hunter2"] {
        client.get(path).await;
    }
    let anonymous = client.token().unwrap().to_owned();
    client.get("/session/login?user=hunter2").await;
    let token = client.token().unwrap().to_owned();
    let mut thief = Client::new(&app);
    let guessed = format!("{}{}", &token[..22], "A".repeat(42));
    thief.jar.insert(NAME, guessed);
    thief.get("/session/whoami").await;
    client.get("/session/logout").await;
    thief.jar.insert(NAME, token.clone());
    thief.get("/session/whoami").await;
    client.get("/session/login?user=hunter2").await;
    sessions
        .revoke_all(&Owner::new("hunter2").unwrap())
        .await
        .unwrap();
    let metrics = client.get("/metrics").await.body;
    tells(
        &metrics,
        &[
            "http_request_duration_seconds_count{route=\"/session/counter\",status=\"200\"} 2",
            "http_request_duration_seconds_count{route=\"/session/get\",status=\"404\"} 1",
            "http_request_duration_seconds_count{route=\"none\",status=\"404\"} 2",
            "kr_session_created_total{signed_in=\"false\"} 1",
            "kr_session_created_total{signed_in=\"true\"} 1",
            "kr_session_rotated_total{signed_in=\"true\"} 1",
            "kr_session_refused_total 1",
            "kr_session_destroyed_total 1",
            "kr_session_expired_total 1",
            "kr_session_revoked_total 1",
        ],
    );
    for secret in ["hunter2", &anonymous[22..], &token[22..]] {
        assert!(!metrics.contains(secret), "{metrics}");
    }

    for _ in 0..200 {
        Client::new(&app).get("/session/counter").await;
    }
    let evicted = store.evictions().anonymous;
    assert!(evicted > 50, "{evicted}");
    let line = format!("kr_session_evicted_total{{share=\"anonymous\"}} {evicted}");
    tells(&client.get("/metrics").await.body, &[&line]);

    let mut down = Client::new(&self::app(self::layer(Down)));
    let login = down.get("/session/login?user=max").await;
    assert_eq!(login.status, 503);
    tells(
        &down.get("/metrics").await.body,
        &["kr_session_commit_failures_total{reason=\"store\"} 1"],
    );
    let metrics = client.get("/metrics").await.body;
    let failed = metrics.lines().find(|line| {
        line.starts_with("kr_session_store_seconds_count") && line.contains("outcome=\"failed\"")
    });
    assert!(failed.unwrap().ends_with(" 1"), "{metrics}");
}
