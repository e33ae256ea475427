//! Stores the progress of a stream that outlives its response head: server-sent events with
//! `detach` and `save`.
//!
//! `cargo run -p tower-kr-session --example events`, then
//! `curl -N -c jar -b jar http://localhost:3000`, end it with Ctrl-C and start it again: it
//! continues where it stopped.

use std::{convert::Infallible, time::Duration};

use axum::{
    Router,
    response::{
        IntoResponse,
        sse::{Event, KeepAlive, Sse},
    },
    routing::{get, post},
};
use futures_util::stream::{self, Stream};
use tower_kr_session::{MemoryStore, Session, SessionError, SessionKey, SessionLayer};

const SEEN: SessionKey<u64> = SessionKey::new("seen");

async fn events(session: Session) -> Result<impl IntoResponse, SessionError> {
    let seen = session.get(SEEN).await?.unwrap_or_default();
    // A new session must start now, since its cookie goes into the head.
    session.insert(SEEN, &seen)?;
    let events = follow(session.detach(), seen);
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

fn follow(session: Session, seen: u64) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold(seen, move |seen| {
        let session = session.clone();
        async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let seen = seen + 1;
            // The session ended in the meantime: the stream ends, and revives nothing.
            store(&session, seen).await.ok()?;
            Some((Ok(Event::default().data(seen.to_string())), seen))
        }
    })
}

async fn store(session: &Session, seen: u64) -> Result<(), SessionError> {
    session.insert(SEEN, &seen)?;
    session.save().await
}

async fn logout(session: Session) -> Result<(), SessionError> {
    session.sign_out()
}

fn app() -> Router {
    Router::new()
        .route("/", get(events))
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

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http_body_util::BodyExt;

    use super::client::Client;

    async fn next(body: &mut Body) -> Option<String> {
        let frame = body.frame().await?.unwrap();
        let text = frame.into_data().unwrap();
        Some(String::from_utf8(text.into()).unwrap())
    }

    // Time is paused, so the stream's sleep ends at once.
    #[tokio::test(start_paused = true)]
    async fn a_stream_goes_on_where_the_last_one_ended() {
        let mut client = Client::new(&super::app());
        let mut body = client.start("GET", "/").await.into_body();
        assert_eq!(next(&mut body).await.unwrap(), "data: 1\n\n");
        assert_eq!(next(&mut body).await.unwrap(), "data: 2\n\n");
        drop(body);
        let mut body = client.start("GET", "/").await.into_body();
        assert_eq!(next(&mut body).await.unwrap(), "data: 3\n\n");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_ends_with_its_session() {
        let mut client = Client::new(&super::app());
        let mut body = client.start("GET", "/").await.into_body();
        assert_eq!(next(&mut body).await.unwrap(), "data: 1\n\n");
        client.post("/logout").await;
        assert_eq!(next(&mut body).await, None);
    }
}
