//! The JSON routes of the tutorial.

use axum::{
    Extension, Json, Router,
    extract::RawQuery,
    handler::Handler,
    middleware::{from_fn, map_response},
    routing::{MethodRouter, get},
};
use http::{HeaderMap, StatusCode, header};
use serde::Serialize;
use tower_kr_session::{Session, SessionKey, SessionLayer};

use crate::{
    device,
    failure::{Failure, NoSuchPath, session_error_as_json},
    query::Query,
    traffic,
    user_input::{UserKey, check_user},
};

/// The demo's own value. Keys that a user chooses have a prefix (see [`UserKey`]), so none can be
/// this one.
pub(crate) const COUNTER: SessionKey<i64> = SessionKey::new("counter");

/// Builds the JSON routes of the tutorial with this session layer.
pub fn router(sessions: SessionLayer) -> Router {
    Router::new()
        .route("/hello", get(hello))
        .route("/session/counter", acting(counter))
        .route("/session/login", acting(login))
        .route("/session/whoami", get(whoami))
        .route("/session/logout", acting(logout))
        .route("/session/set", acting(set))
        .route("/session/get", get(get_value))
        .fallback(no_such_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn(traffic::hand_out))
        .layer(sessions)
        .layer(map_response(session_error_as_json))
}

/// Routes GET alone. The tutorial acts on GET, so that a browser's address bar is enough to try it;
/// `get` would answer HEAD too, by acting.
fn acting<H: Handler<T, ()>, T: 'static>(handler: H) -> MethodRouter {
    let refuse = async || ([(header::ALLOW, "GET")], wrong_method().await);
    get(handler).head(refuse).fallback(refuse)
}

async fn no_such_path() -> (Extension<NoSuchPath>, Failure) {
    let failure = Failure::new(StatusCode::NOT_FOUND, "No such path");
    (Extension(NoSuchPath), failure)
}

async fn wrong_method() -> Failure {
    Failure::new(StatusCode::METHOD_NOT_ALLOWED, "Only GET is supported")
}

async fn hello() -> &'static str {
    "Hello, Session World!"
}

#[derive(Serialize)]
struct Counter {
    message: &'static str,
    counter: i64,
}

async fn counter(session: Session) -> Result<Json<Counter>, Failure> {
    let counter = session.increment(COUNTER, 1).await?;
    Ok(Json(Counter {
        message: "Counter incremented",
        counter,
    }))
}

#[derive(Serialize)]
struct LoggedIn {
    message: &'static str,
    user: String,
}

/// Signs the user in: the token changes, the values stay. A real application asks for a password
/// first.
async fn login(
    session: Session,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Json<LoggedIn>, Failure> {
    let missing = || Failure::missing("Missing 'user' query parameter", "/session/login?user=max");
    let user = Query(query.as_deref().unwrap_or_default())
        .get("user")?
        .ok_or_else(missing)?;
    check_user(&user)?;
    session.sign_in_with_label(&user, device::name(&headers))?;
    Ok(Json(LoggedIn {
        message: "Logged in",
        user,
    }))
}

#[derive(Serialize)]
struct Identity {
    user: String,
}

async fn whoami(session: Session) -> Result<Json<Identity>, Failure> {
    match session.owner().await? {
        Some(owner) => Ok(Json(Identity {
            user: owner.as_str().to_owned(),
        })),
        None => Err(Failure::new(
            StatusCode::UNAUTHORIZED,
            "No active session or user not set",
        )),
    }
}

#[derive(Serialize)]
struct Message {
    message: &'static str,
}

async fn logout(session: Session) -> Result<Json<Message>, Failure> {
    session.sign_out()?;
    Ok(Json(Message {
        message: "Session cleared",
    }))
}

#[derive(Serialize)]
struct Stored {
    message: &'static str,
    key: String,
    value: String,
}

/// Stores a value. Saves before it answers, so that a value that doesn't fit is refused with a
/// message of its own.
async fn set(session: Session, RawQuery(query): RawQuery) -> Result<Json<Stored>, Failure> {
    let query = Query(query.as_deref().unwrap_or_default());
    let (Some(key), Some(value)) = (query.get("key")?, query.get("value")?) else {
        return Err(Failure::missing(
            "Missing 'key' and/or 'value' query parameter(s)",
            "/session/set?key=color&value=purple",
        ));
    };
    session.insert(&UserKey::new(&key)?.0, &value)?;
    session.save().await?;
    Ok(Json(Stored {
        message: "Stored in session",
        key,
        value,
    }))
}

#[derive(Serialize)]
struct Value {
    key: String,
    value: String,
}

async fn get_value(session: Session, RawQuery(query): RawQuery) -> Result<Json<Value>, Failure> {
    let missing = || Failure::missing("Missing 'key' query parameter", "/session/get?key=color");
    let key = Query(query.as_deref().unwrap_or_default())
        .get("key")?
        .ok_or_else(missing)?;
    match session.get::<String>(&UserKey::new(&key)?.0).await? {
        Some(value) => Ok(Json(Value { key, value })),
        None => Err(Failure::new(
            StatusCode::NOT_FOUND,
            format!("Key '{key}' not found in session"),
        )),
    }
}
