//! Tests an application: calls its router directly, and sets its clock.
//!
//! `cargo test -p tower-kr-session --example testing`

use axum::{Router, routing::get};
use tower_kr_session::{MemoryStore, Session, SessionError, SessionLayer};

async fn visit(session: Session) -> Result<String, SessionError> {
    Ok(session.increment("visits", 1).await?.to_string())
}

/// Builds the application. The server passes the real session layer, a test its own.
fn app(sessions: SessionLayer) -> Router {
    Router::new().route("/", get(visit)).layer(sessions)
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::bind("localhost:3000").await?;
    axum::serve(listener, app(SessionLayer::new(MemoryStore::new()))).await
}

#[cfg(test)]
#[path = "shared/client.rs"]
mod client;

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use tower_kr_session::{ManualClock, Timestamp};

    use super::{client::Client, *};

    const SECOND: Duration = Duration::from_secs(1);

    /// Returns a visitor of a fresh application, and its clock.
    fn visitor() -> (Client, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(0)));
        let sessions = SessionLayer::new(MemoryStore::new())
            .idle_timeout(20 * SECOND)
            .absolute_timeout(60 * SECOND)
            .touch_interval(SECOND)
            .clock(Arc::clone(&clock));
        (Client::new(&app(sessions)), clock)
    }

    #[tokio::test]
    async fn a_session_lives_while_it_is_used() {
        let (mut visitor, clock) = visitor();
        for visit in 1..=3 {
            assert_eq!(visitor.get("/").await.body, visit.to_string());
            clock.advance(19 * SECOND);
        }
    }

    #[tokio::test]
    async fn a_session_ends_when_it_is_not_used() {
        let (mut visitor, clock) = visitor();
        assert_eq!(visitor.get("/").await.body, "1");
        clock.advance(21 * SECOND);
        assert_eq!(visitor.get("/").await.body, "1", "a new session");
    }

    #[tokio::test]
    async fn no_use_extends_the_absolute_timeout() {
        let (mut visitor, clock) = visitor();
        let mut last = String::new();
        for _ in 0..5 {
            last = visitor.get("/").await.body;
            clock.advance(15 * SECOND);
        }
        assert_eq!(last, "1", "the fifth visit came after a minute");
    }
}
