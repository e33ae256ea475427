//! Counts the visits of each visitor.

use axum::{Router, routing::get};
use tower_kr_session::{
    MemoryStore, Session, SessionError, SessionLayer,
    cookie::{CookieBuilder, SecurePolicy},
};

async fn visits(session: Session) -> Result<String, SessionError> {
    Ok(format!("visit {}\n", session.increment("visits", 1).await?))
}

fn sessions() -> SessionLayer {
    let layer = SessionLayer::new(MemoryStore::new());
    if cfg!(debug_assertions) {
        // Plain HTTP during development, where not every browser keeps a Secure cookie.
        let insecure = CookieBuilder::new("dev-visits").secure_policy(SecurePolicy::None);
        return layer.cookie(insecure);
    }
    layer
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let app = Router::new().route("/", get(visits)).layer(sessions());
    let listener = tokio::net::TcpListener::bind("localhost:3000").await?;
    axum::serve(listener, app).await
}
