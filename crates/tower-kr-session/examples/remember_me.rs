//! Keeps one session for weeks ("remember me"), with a cookie that outlives the browser window.
//!
//! `cargo run -p tower-kr-session --example remember_me`, then
//! `curl -i -X POST http://localhost:3000/login/max/remembered`.

use std::time::Duration;

use axum::{
    Router,
    extract::Path,
    routing::{get, post},
};
use tower_kr_session::{MemoryStore, Session, SessionError, SessionLayer};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

async fn login(session: Session, Path(user): Path<String>) -> Result<(), SessionError> {
    session.sign_in(user)
}

/// Signs the user in with longer limits, which are stored with the session.
async fn login_remembered(session: Session, Path(user): Path<String>) -> Result<(), SessionError> {
    session.sign_in(user)?;
    session.set_idle_timeout(30 * DAY)?;
    session.set_absolute_timeout(90 * DAY)?;
    session.set_persistent(true)
}

async fn whoami(session: Session) -> Result<String, SessionError> {
    let user = session.owner().await?;
    Ok(user.map_or("nobody".to_owned(), |user| user.to_string()))
}

fn app(layer: SessionLayer) -> Router {
    Router::new()
        .route("/", get(whoami))
        .route("/login/{user}", post(login))
        .route("/login/{user}/remembered", post(login_remembered))
        .layer(layer)
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::bind("localhost:3000").await?;
    axum::serve(listener, app(SessionLayer::new(MemoryStore::new()))).await
}

#[cfg(test)]
#[path = "shared/client.rs"]
mod client;

#[tokio::test]
async fn the_remembered_session_outlives_the_other() {
    use std::sync::Arc;
    use tower_kr_session::{ManualClock, Timestamp};

    let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(0)));
    let app = app(SessionLayer::new(MemoryStore::new()).clock(Arc::clone(&clock)));
    let (mut max, mut eve) = (client::Client::new(&app), client::Client::new(&app));
    let remembered = max.post("/login/max/remembered").await.set_cookie;
    let usual = eve.post("/login/eve").await.set_cookie;
    // The cookie lives until the absolute deadline, so it needs no renewal while the idle timeout
    // slides.
    assert!(remembered.contains("Max-Age=7776000"), "{remembered}");
    assert!(!usual.contains("Max-Age"), "{usual}");

    clock.advance(29 * DAY);
    assert_eq!(max.get("/").await.body, "max");
    assert_eq!(eve.get("/").await.body, "nobody");
    clock.advance(32 * DAY);
    assert_eq!(max.get("/").await.body, "nobody");
}
