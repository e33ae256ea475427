//! Health and readiness endpoints. Neither uses a session.

use axum::{Router, extract::State, routing::get};
use http::StatusCode;
use tower_kr_session::Sessions;

pub(crate) fn routes(sessions: Sessions) -> Router {
    Router::new()
        .route("/healthz", get(async || "alive\n"))
        .route("/readyz", get(ready))
        .with_state(sessions)
}

/// Asks whether the store can serve sessions.
async fn ready(State(sessions): State<Sessions>) -> (StatusCode, &'static str) {
    match sessions.ping().await {
        Ok(()) => (StatusCode::OK, "ready\n"),
        // The layer has logged it.
        Err(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "the session store can't serve sessions\n",
        ),
    }
}
