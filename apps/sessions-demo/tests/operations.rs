//! Health and readiness of the application.
#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

mod support;

use axum::Router;
use kr_cookie::CookieBuilder;
use sessions_demo::About;
use tower_kr_session::{MokaStore, SessionLayer, SessionStore};

use support::{Client, Down, NAME};

fn app(store: impl SessionStore) -> Router {
    let sessions = SessionLayer::new(store).cookie(CookieBuilder::new(NAME));
    let about = About {
        store: "moka",
        https: true,
        cookie: CookieBuilder::new(NAME).build().unwrap(),
    };
    sessions_demo::app(sessions, about).unwrap()
}

#[tokio::test]
async fn health_needs_no_store_and_readiness_does() {
    let mut up = Client::new(&app(MokaStore::new()));
    up.get("/healthz").await.is(200, "alive\n");
    up.get("/readyz").await.is(200, "ready\n");
    assert!(up.jar.is_empty());

    let mut down = Client::new(&app(Down));
    down.get("/healthz").await.is(200, "alive\n");
    down.get("/readyz")
        .await
        .is(503, "the session store can't serve sessions\n");
}
