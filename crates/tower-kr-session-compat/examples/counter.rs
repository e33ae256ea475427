//! A handler of tower-sessions, and a native one beside it: both count in one session, and no visit
//! is lost.
//!
//! `cargo run -p tower-kr-session-compat --features tower-sessions-0_15 --example counter`, then
//! open <http://localhost:3000>.
//!
//! What differs from an application on tower-sessions is marked with `CHANGED` and `NEW`.

use axum::{Router, routing::get};
// NEW
use tower_kr_session::SessionError;
// CHANGED: was `tower_sessions::{Expiry, MemoryStore, Session, SessionManagerLayer}`
use tower_kr_session_compat::tower_sessions_0_15::{
    Expiry, MemoryStore, Session, SessionManagerLayer, session,
};

const VISITS: &str = "visits";

async fn count(session: Session) -> Result<String, (axum::http::StatusCode, String)> {
    let failed = |error: session::Error| {
        let status = axum::http::StatusCode::INTERNAL_SERVER_ERROR;
        (status, error.to_string())
    };
    let visits: u64 = session
        .get(VISITS)
        .await
        .map_err(failed)?
        .unwrap_or_default();
    session.insert(VISITS, visits + 1).await.map_err(failed)?;
    Ok((visits + 1).to_string())
}

// NEW: a handler that has moved already.
async fn count_exactly(session: tower_kr_session::Session) -> Result<String, SessionError> {
    Ok(session.increment(VISITS, 1).await?.to_string())
}

fn app() -> Router {
    let layer = SessionManagerLayer::new(MemoryStore::default())
        .with_secure(false)
        .with_expiry(Expiry::OnInactivity(time::Duration::minutes(10)));
    Router::new()
        .route("/", get(count))
        .route("/exactly", get(count_exactly))
        .layer(layer)
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::bind("localhost:3000").await?;
    axum::serve(listener, app()).await
}

#[cfg(test)]
#[path = "../tests/support/mod.rs"]
mod support;

#[tokio::test]
async fn both_handlers_count_in_one_session() {
    let mut browser = support::Browser::new(&app());
    for (path, expected) in [("/", "1"), ("/exactly", "2"), ("/", "3"), ("/exactly", "4")] {
        assert_eq!(browser.get(path).await.body, expected);
    }
}
