//! The whole application: the tutorial's routes, the page, and what operators ask for.

use axum::Router;
use http::Request;
use tower_http::trace::TraceLayer;
use tower_kr_session::{ConfigError, SessionLayer};

use crate::{health, metrics, page, routes};

/// What the page tells of the server.
#[derive(Debug, Clone, Copy)]
pub struct About {
    /// The store's name.
    pub store: &'static str,
    /// Whether browsers talk to the server over TLS.
    pub https: bool,
}

/// The application, with its sessions kept as `sessions` says.
///
/// # Errors
///
/// When the settings of the sessions don't fit together.
pub fn app(sessions: SessionLayer, about: About) -> Result<Router, ConfigError> {
    // Before it is cloned: so all clones share one set-up.
    sessions.check()?;
    let page = page::router(sessions.clone(), about)?;
    let health = health::routes(sessions.sessions()?);
    let app = routes::router(sessions).merge(page).merge(health);
    let app = metrics::around(app);
    // The path alone: headers and the query hold what a log must not.
    Ok(app.layer(TraceLayer::new_for_http().make_span_with(|request: &Request<_>| {
        tracing::debug_span!("request", method = %request.method(), path = request.uri().path(), version = ?request.version())
    })))
}
