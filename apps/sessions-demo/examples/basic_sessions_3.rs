//! The server that the tutorial "Basic sessions" has built after step 3.

use std::{error::Error, io::Write, net::TcpListener, process::ExitCode, time::Duration};

use axum::{Json, Router, response::Result, routing::get};
use axum_server::tls_rustls::RustlsConfig;
use serde_json::{Value, json};
use tower_kr_session::{
    MemoryStore, Session, SessionKey, SessionLayer,
    cookie::{CookieBuilder, SameSite, SecurePolicy},
};
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
    let sessions = sessions();
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

fn sessions() -> SessionLayer {
    SessionLayer::new(MemoryStore::new())
        .cookie(cookie())
        .idle_timeout(Duration::from_secs(20))
        .io_timeout(Duration::from_secs(10))
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
