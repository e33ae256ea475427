//! The server that the tutorial "Basic sessions" has built after step 1.

use axum::{Json, Router, response::Result, routing::get};
use serde_json::{Value, json};
use tower_kr_session::{MemoryStore, Session, SessionKey, SessionLayer};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
    axum::serve(listener, app(sessions())).await
}

fn sessions() -> SessionLayer {
    SessionLayer::new(MemoryStore::new())
}

fn app(sessions: SessionLayer) -> Router {
    Router::new()
        .route("/hello", get(async || "Hello, Session World!"))
        .route("/session/counter", get(counter))
        .layer(sessions)
}

type Answer = Result<Json<Value>>;

const COUNTER: SessionKey<i64> = SessionKey::new("counter");

async fn counter(session: Session) -> Answer {
    let counter = session.increment(COUNTER, 1).await?;
    let answer = json!({ "message": "Counter incremented", "counter": counter });
    Ok(Json(answer))
}
