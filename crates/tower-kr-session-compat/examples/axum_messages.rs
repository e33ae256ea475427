//! axum-messages on our store: a message of one request is shown in the next one.
//!
//! `cargo run -p tower-kr-session-compat --features tower-sessions-0_14 --example axum_messages`,
//! then open <http://localhost:3000> and press the button.
//!
//! What differs from an application on tower-sessions is marked with `CHANGED`.

use axum::{
    Router,
    response::{Html, Redirect},
    routing::{get, post},
};
use axum_messages::{Messages, MessagesManagerLayer};
// CHANGED: was `tower_sessions::{MemoryStore, SessionManagerLayer}`
use tower_kr_session_compat::tower_sessions_0_14::{MemoryStore, SessionManagerLayer};

async fn save(messages: Messages) -> Redirect {
    messages.success("Saved.").info("It took a moment.");
    Redirect::to("/")
}

async fn page(messages: Messages) -> Html<String> {
    let messages: Vec<String> = messages
        .map(|message| format!("{}: {message}", message.level))
        .collect();
    Html(format!(
        "<p role=status>{}</p><form action=/save method=post><button>Save</button></form>",
        messages.join(" ")
    ))
}

fn app() -> Router {
    let sessions = SessionManagerLayer::new(MemoryStore::default()).with_secure(false);
    Router::new()
        .route("/", get(page))
        .route("/save", post(save))
        .layer(MessagesManagerLayer)
        .layer(sessions)
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
async fn messages_are_shown_once() {
    let mut browser = support::Browser::new(&app());
    assert_eq!(browser.get("/").await.set_cookie(), None, "no session yet");
    browser.post("/save", "").await;
    let page = browser.get("/").await.body;
    assert!(
        page.contains("Success: Saved. Info: It took a moment."),
        "{page}"
    );
    assert!(browser.get("/").await.body.contains("<p role=status></p>"));
}
