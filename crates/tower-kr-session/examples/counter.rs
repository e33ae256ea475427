//! Counts the requests of a visitor.
//!
//! `cargo run -p tower-kr-session --example counter`, then open <http://localhost:3000> and reload.
//! The cookie is `Secure`: over plain HTTP, Chromium, Firefox and curl keep it on localhost, Safari
//! doesn't.

use axum::{Router, routing::get};
use tower_kr_session::{MemoryStore, Session, SessionError, SessionLayer};

async fn counter(session: Session) -> Result<String, SessionError> {
    // Atomic: two tabs that reload at once are counted twice.
    let visits = session.increment("visits", 1).await?;
    Ok(format!("visit {visits}"))
}

fn app() -> Router {
    Router::new()
        .route("/", get(counter))
        .layer(SessionLayer::new(MemoryStore::new()))
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::bind("localhost:3000").await?;
    axum::serve(listener, app()).await
}

#[cfg(test)]
#[path = "shared/client.rs"]
mod client;

#[tokio::test]
async fn every_visitor_has_a_counter() {
    let app = app();
    let (mut first, mut second) = (client::Client::new(&app), client::Client::new(&app));
    assert_eq!(first.get("/").await.body, "visit 1");
    assert_eq!(first.get("/").await.body, "visit 2");
    assert_eq!(second.get("/").await.body, "visit 1");
}
