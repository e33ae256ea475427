//! Signs visitors in and out.

use axum::{
    Router,
    routing::{get, post},
};
use tower_kr_session::{MemoryStore, Session, SessionError, SessionLayer};

/// Check the password before you call this.
async fn login(session: Session) -> Result<(), SessionError> {
    session.sign_in("max")
}

async fn whoami(session: Session) -> Result<String, SessionError> {
    let user = session.owner().await?;
    Ok(user.map_or("nobody\n".to_owned(), |user| format!("{user}\n")))
}

async fn logout(session: Session) -> Result<(), SessionError> {
    session.sign_out()
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let app = Router::new()
        .route("/login", post(login))
        .route("/whoami", get(whoami))
        .route("/logout", post(logout))
        .layer(SessionLayer::new(MemoryStore::new()));
    let listener = tokio::net::TcpListener::bind("localhost:3000").await?;
    axum::serve(listener, app).await
}
