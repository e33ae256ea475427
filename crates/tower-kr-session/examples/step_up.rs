//! Asks users for a fresh sign-in before they change something sensitive (step-up).
//!
//! `cargo run -p tower-kr-session --example step_up`, then sign in with
//! `curl -c jar -b jar -X POST http://localhost:3000/login/max` and, after a while, change the
//! address with `curl -c jar -b jar -X POST http://localhost:3000/email/max@example.com`.

use std::time::Duration;

use axum::{
    Router,
    extract::Path,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use tower_kr_session::{MemoryStore, Session, SessionError, SessionLayer};

const FRESH: Duration = Duration::from_secs(5 * 60);

/// Signs the user in, for the first time or again. A real application checks a password first.
async fn login(session: Session, Path(user): Path<String>) -> Result<(), SessionError> {
    session.sign_in(user)
}

/// Changes the address. A session that was left open, or stolen, is not enough for this.
async fn change_email(
    session: Session,
    Path(email): Path<String>,
) -> Result<Response, SessionError> {
    let Some(user) = session.owner().await? else {
        return Ok((StatusCode::UNAUTHORIZED, "sign in").into_response());
    };
    if !session.authenticated_within(FRESH).await? {
        return Ok((StatusCode::FORBIDDEN, "sign in again").into_response());
    }
    Ok(format!("{user} has the address {email} now").into_response())
}

fn app(layer: SessionLayer) -> Router {
    Router::new()
        .route("/login/{user}", post(login))
        .route("/email/{email}", post(change_email))
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
async fn an_old_sign_in_reads_and_does_not_change() {
    use std::sync::Arc;
    use tower_kr_session::{ManualClock, Timestamp};

    let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(0)));
    let app = app(SessionLayer::new(MemoryStore::new()).clock(Arc::clone(&clock)));
    let mut max = client::Client::new(&app);
    assert_eq!(max.post("/email/a@example.com").await.status, 401);
    max.post("/login/max").await;
    assert_eq!(max.post("/email/a@example.com").await.status, 200);

    clock.advance(FRESH);
    let reply = max.post("/email/b@example.com").await;
    assert_eq!(
        (reply.status.as_u16(), reply.body.as_str()),
        (403, "sign in again")
    );
    max.post("/login/max").await;
    let reply = max.post("/email/b@example.com").await;
    assert_eq!(reply.body, "max has the address b@example.com now");
}
