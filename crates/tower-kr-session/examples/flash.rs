//! Shows a flash message, set by one request, in the next one, exactly once.
//!
//! `cargo run -p tower-kr-session --example flash`, then open <http://localhost:3000> and press the
//! button. The cookie is `Secure`: over plain HTTP, Chromium keeps it on localhost, Safari doesn't.

use axum::{
    Router,
    response::{Html, Redirect},
    routing::{get, post},
};
use tower_kr_session::{MemoryStore, Session, SessionError, SessionKey, SessionLayer};

const FLASH: SessionKey<String> = SessionKey::new("flash");

async fn save(session: Session) -> Result<Redirect, SessionError> {
    session.insert(FLASH, "Saved.")?;
    Ok(Redirect::to("/"))
}

/// Reads and removes the message in one step (`take`): of two tabs that load at once, one shows it.
async fn page(session: Session) -> Result<Html<String>, SessionError> {
    let flash = session.take(FLASH).await?.unwrap_or_default();
    Ok(Html(format!(
        "<p role=status>{flash}</p><form action=/save method=post><button>Save</button></form>"
    )))
}

fn app() -> Router {
    Router::new()
        .route("/", get(page))
        .route("/save", post(save))
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
async fn the_message_is_shown_once() {
    let mut client = client::Client::new(&app());
    assert_eq!(client.post("/save").await.status, 303);
    assert!(client.get("/").await.body.contains("Saved."));
    assert!(!client.get("/").await.body.contains("Saved."));
}
