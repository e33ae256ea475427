//! The server of the tutorial "Sessions in Redis".

use std::{
    collections::HashMap, error::Error, io::Write, net::TcpListener, process::ExitCode,
    time::Duration,
};

use axum::{
    Json, Router,
    extract::Query,
    http::StatusCode,
    response::{ErrorResponse, Result},
    routing::get,
};
use axum_server::tls_rustls::RustlsConfig;
use serde_json::{Value, json};
use tower_kr_session::{
    Session, SessionKey, SessionLayer,
    cookie::{CookieBuilder, SameSite, SecurePolicy},
};
use tower_kr_session_redis::{ConnectError, RedisStore};
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> ExitCode {
    log();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let sessions = sessions().await?;
    sessions.check()?;
    serve(app(sessions)).await
}

fn log() {
    let levels = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("info,tower_kr_session=debug"));
    let log = tracing_subscriber::fmt().with_writer(std::io::stderr);
    log.with_env_filter(levels).init();
}

async fn serve(app: Router) -> Result<(), Box<dyn Error>> {
    let names = ["localhost", "127.0.0.1"].map(String::from);
    let identity = rcgen::generate_simple_self_signed(names)?;
    let (certificate, key) = (identity.cert.der(), identity.signing_key.serialize_der());
    let tls = RustlsConfig::from_der(vec![certificate.to_vec()], key).await?;

    let port = std::env::var("PORT").map_or(Ok(8080), |port| port.parse())?;
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    writeln!(std::io::stdout(), "listening on https://{address}")?;

    let server = axum_server::from_tcp_rustls(listener, tls)?;
    Ok(server.serve(app.into_make_service()).await?)
}

fn cookie() -> CookieBuilder {
    CookieBuilder::new("Kr.Session")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure_policy(SecurePolicy::Always)
}

async fn sessions() -> Result<SessionLayer, ConnectError> {
    let store = RedisStore::connect("redis://127.0.0.1:6379").await?;
    let layer = SessionLayer::new(store)
        .cookie(cookie())
        .idle_timeout(Duration::from_secs(10 * 60))
        .io_timeout(Duration::from_secs(10));
    Ok(layer)
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
