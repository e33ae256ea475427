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

/// Asks the store something cheap, within the I/O timeout.
async fn ready(State(sessions): State<Sessions>) -> (StatusCode, &'static str) {
    match sessions.ping().await {
        Ok(()) => (StatusCode::OK, "ready\n"),
        Err(error) => {
            tracing::warn!(%error, "not ready");
            (
                StatusCode::SERVICE_UNAVAILABLE,
                "the session store does not answer\n",
            )
        }
    }
}
