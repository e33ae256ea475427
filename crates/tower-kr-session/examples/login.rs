//! Signs users in and out: the session gets an owner and a new token, and keeps its values.
//!
//! `cargo run -p tower-kr-session --example login`, then
//! `curl -c jar -b jar -X POST http://localhost:3000/login/max`.

use axum::{
    Router,
    extract::Path,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use tower_kr_session::{MemoryStore, Session, SessionError, SessionLayer};

/// Signs the user in. A real application checks a password first.
async fn login(session: Session, Path(user): Path<String>) -> Result<(), SessionError> {
    session.sign_in(user)
}

/// Shows the owner, which is not a value of the session: no code that stores values can forge it.
async fn whoami(session: Session) -> Result<Response, SessionError> {
    Ok(match session.owner().await? {
        Some(user) => user.to_string().into_response(),
        None => (StatusCode::UNAUTHORIZED, "nobody").into_response(),
    })
}

async fn logout(session: Session) -> Result<(), SessionError> {
    session.sign_out()
}

async fn visit(session: Session) -> Result<String, SessionError> {
    Ok(session.increment("visits", 1).await?.to_string())
}

fn app() -> Router {
    Router::new()
        .route("/", get(visit))
        .route("/login/{user}", post(login))
        .route("/whoami", get(whoami))
        .route("/logout", post(logout))
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
async fn the_token_of_before_the_login_is_worthless_after_it() {
    let mut max = client::Client::new(&app());
    assert_eq!(max.get("/").await.body, "1");
    let mut thief = max.clone();
    max.post("/login/max").await;

    assert_ne!(thief.cookie, max.cookie);
    assert_eq!(thief.get("/whoami").await.status, 401);
    assert_eq!(max.get("/whoami").await.body, "max");
    assert_eq!(max.get("/").await.body, "2", "the values stay");
}

#[tokio::test]
async fn a_logout_ends_the_session_on_the_server() {
    let mut max = client::Client::new(&app());
    max.post("/login/max").await;
    let mut copy = max.clone();
    max.post("/logout").await;

    assert_eq!(max.cookie, "", "the browser was told to forget it");
    assert_eq!(copy.get("/whoami").await.status, 401);
}
