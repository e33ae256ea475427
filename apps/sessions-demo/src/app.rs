//! Puts the application together: the tutorial's routes, the page, and the endpoints for operators.

use axum::Router;
use http::Request;
use tower_http::trace::TraceLayer;
use tower_kr_session::{ConfigError, SessionLayer};

use crate::{about::About, health, metrics, page, routes};

/// Builds the application with this session layer.
///
/// # Errors
///
/// If the settings of the layer don't fit together.
pub fn app(sessions: SessionLayer, about: About) -> Result<Router, ConfigError> {
    // Before the layer is cloned, so that all clones share one set-up.
    sessions.check()?;
    let page = page::router(sessions.clone(), about)?;
    let health = health::routes(sessions.sessions()?);
    let app = routes::router(sessions).merge(page).merge(health);
    let app = metrics::around(app);
    // Only the path: headers and queries hold what no log may show.
    Ok(app.layer(TraceLayer::new_for_http().make_span_with(|request: &Request<_>| {
        tracing::debug_span!("request", method = %request.method(), path = request.uri().path(), version = ?request.version())
    })))
}
