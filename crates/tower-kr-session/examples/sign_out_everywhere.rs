//! Lets users list their sessions, end one, or all but the one they are using ("your sessions").
//!
//! `cargo run -p tower-kr-session --example sign_out_everywhere`, then sign in with several cookie
//! jars: `curl -c one -b one -X POST http://localhost:3000/login/max`.

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use tower_kr_session::{
    MemoryStore, Owner, Session, SessionError, SessionId, SessionLayer, Sessions,
};

async fn login(session: Session, Path(user): Path<String>) -> Result<(), SessionError> {
    session.sign_in(user)
}

/// Lists the user's sessions. An id names a session and lets nobody in: it may be shown, logged,
/// and sent back to end the session.
async fn list(session: Session, State(sessions): State<Sessions>) -> Result<Response, Refusal> {
    let ids: Vec<String> = sessions
        .list(&user(&session).await?)
        .await?
        .iter()
        .map(|session| session.id.to_string())
        .collect();
    Ok(Json(ids).into_response())
}

/// Ends one of the user's own sessions. The id of another user's session is answered with 404.
async fn end(
    session: Session,
    State(sessions): State<Sessions>,
    Path(id): Path<String>,
) -> Result<StatusCode, Refusal> {
    let user = user(&session).await?;
    let Ok(id) = id.parse::<SessionId>() else {
        return Ok(StatusCode::NOT_FOUND);
    };
    if sessions.revoke_owned(&user, id).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Ok(StatusCode::NOT_FOUND)
    }
}

async fn end_others(session: Session, State(sessions): State<Sessions>) -> Result<String, Refusal> {
    let user = user(&session).await?;
    let Some(this) = session.id().await? else {
        return Err(Refusal(StatusCode::UNAUTHORIZED.into_response()));
    };
    let ended = sessions.revoke_others(&user, this).await?;
    Ok(format!("{ended} ended"))
}

async fn user(session: &Session) -> Result<Owner, Refusal> {
    let user = session.owner().await?;
    user.ok_or_else(|| Refusal(StatusCode::UNAUTHORIZED.into_response()))
}

struct Refusal(Response);

impl From<SessionError> for Refusal {
    fn from(error: SessionError) -> Self {
        Self(error.into_response())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        self.0
    }
}

fn app() -> Result<Router, tower_kr_session::ConfigError> {
    let layer = SessionLayer::new(MemoryStore::new());
    Ok(Router::new()
        .route("/login/{user}", post(login))
        .route("/sessions", get(list))
        .route("/sessions/{id}/end", post(end))
        .route("/sessions/end-others", post(end_others))
        .with_state(layer.sessions()?)
        .layer(layer))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = tokio::net::TcpListener::bind("localhost:3000").await?;
    Ok(axum::serve(listener, app()?).await?)
}

#[cfg(test)]
#[path = "shared/client.rs"]
mod client;

#[cfg(test)]
mod tests {
    use super::client::Client;

    async fn signed_in(app: &axum::Router, user: &str) -> Client {
        let mut client = Client::new(app);
        client.post(&format!("/login/{user}")).await;
        client
    }

    async fn ids(client: &mut Client) -> Vec<String> {
        serde_json::from_str(&client.get("/sessions").await.body).unwrap()
    }

    #[tokio::test]
    async fn one_session_ends_another_of_the_same_user() {
        let app = super::app().unwrap();
        let mut phone = signed_in(&app, "max").await;
        let path = format!("/sessions/{}/end", ids(&mut phone).await[0]);
        let mut laptop = signed_in(&app, "max").await;
        let mut eve = signed_in(&app, "eve").await;

        assert_eq!(eve.post(&path).await.status, 404, "not hers");
        assert_eq!(ids(&mut phone).await.len(), 2);
        assert_eq!(laptop.post(&path).await.status, 204);
        assert_eq!(phone.get("/sessions").await.status, 401);
        assert_eq!(ids(&mut laptop).await.len(), 1);
    }

    #[tokio::test]
    async fn all_others_end_and_this_one_stays() {
        let app = super::app().unwrap();
        let mut laptop = signed_in(&app, "max").await;
        let mut phone = signed_in(&app, "max").await;
        let mut eve = signed_in(&app, "eve").await;

        assert_eq!(laptop.post("/sessions/end-others").await.body, "1 ended");
        assert_eq!(phone.get("/sessions").await.status, 401);
        assert_eq!(ids(&mut laptop).await.len(), 1);
        assert_eq!(ids(&mut eve).await.len(), 1);
    }
}
