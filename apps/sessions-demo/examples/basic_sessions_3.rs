//! The server that the tutorial "Basic sessions" has built after step 3.

use std::collections::HashMap;

use axum::{
    Json, Router,
    extract::Query,
    http::StatusCode,
    response::{ErrorResponse, Result},
    routing::get,
};
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
        // GET, as in the original tutorial, so that the address bar of a browser is enough to try
        // them. In an application, use POST for what changes something.
        .route("/session/login", get(login))
        .route("/session/whoami", get(whoami))
        .route("/session/logout", get(logout))
        .route("/session/set", get(set))
        .route("/session/get", get(get_value))
        .layer(sessions)
}

type Answer = Result<Json<Value>>;

const COUNTER: SessionKey<i64> = SessionKey::new("counter");

async fn counter(session: Session) -> Answer {
    let counter = session.increment(COUNTER, 1).await?;
    let answer = json!({ "message": "Counter incremented", "counter": counter });
    Ok(Json(answer))
}

type Parameters = Query<HashMap<String, String>>;

async fn login(session: Session, query: Parameters) -> Answer {
    let Some(user) = given(&query, "user") else {
        return Err(missing("'user' query parameter", "/session/login?user=max"));
    };
    session.sign_in(user)?;
    Ok(Json(json!({ "message": "Logged in", "user": user })))
}

async fn whoami(session: Session) -> Answer {
    let Some(user) = session.owner().await? else {
        let error = json!({ "error": "No active session or user not set" });
        return Err((StatusCode::UNAUTHORIZED, Json(error)).into());
    };
    Ok(Json(json!({ "user": user.as_str() })))
}

async fn logout(session: Session) -> Answer {
    session.sign_out()?;
    Ok(Json(json!({ "message": "Session cleared" })))
}

/// Returns a query parameter, unless it is missing or blank.
fn given<'a>(query: &'a Parameters, name: &str) -> Option<&'a String> {
    query.get(name).filter(|value| !value.trim().is_empty())
}

fn missing(what: &str, example: &str) -> ErrorResponse {
    let error = json!({ "error": format!("Missing {what}"), "example": example });
    (StatusCode::BAD_REQUEST, Json(error)).into()
}

async fn set(session: Session, query: Parameters) -> Answer {
    let (Some(key), Some(value)) = (given(&query, "key"), given(&query, "value")) else {
        let example = "/session/set?key=color&value=purple";
        return Err(missing("'key' and/or 'value' query parameter(s)", example));
    };
    session.insert(&of_user(key), value)?;
    let answer = json!({ "message": "Stored in session", "key": key, "value": value });
    Ok(Json(answer))
}

async fn get_value(session: Session, query: Parameters) -> Answer {
    let Some(key) = given(&query, "key") else {
        return Err(missing("'key' query parameter", "/session/get?key=color"));
    };
    let Some(value) = session.get::<String>(&of_user(key)).await? else {
        let error = json!({ "error": format!("Key '{key}' not found in session") });
        return Err((StatusCode::NOT_FOUND, Json(error)).into());
    };
    Ok(Json(json!({ "key": key, "value": value })))
}

/// Sets users' values apart, so that `/session/set?key=counter` doesn't touch the counter.
fn of_user(key: &str) -> String {
    format!("user:{key}")
}
