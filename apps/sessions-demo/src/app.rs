//! Puts the application together: the tutorial's routes, the page, and the endpoints for operators.

use axum::{
    Router,
    middleware::{from_fn, from_fn_with_state, map_response},
    response::Response,
};
use http::{HeaderValue, header};
use tower_kr_session::{ConfigError, SessionLayer};

use crate::{
    about::About,
    health, metrics, page, requests, routes,
    traffic::{self, Traffic},
};

/// Builds the application with this session layer.
///
/// # Errors
///
/// If the settings of the layer don't fit together.
pub fn app(sessions: SessionLayer, about: About) -> Result<Router, ConfigError> {
    // Before the layer is cloned, so that all clones share one set-up.
    sessions.check()?;
    let traffic = Traffic::default();
    let page = page::router(sessions.clone(), about, traffic.clone())?;
    let health = health::routes(sessions.sessions()?).layer(map_response(requests::aside));
    let json = routes::router(sessions).layer(from_fn_with_state(traffic, traffic::watch));
    let app = json.merge(page).merge(health);
    let app = metrics::around(app).layer(from_fn(page::no_such_path));
    let app = app.layer(from_fn(requests::log));
    Ok(app.layer(map_response(nosniff)))
}

/// Keeps browsers from taking an answer for something else than it says it is.
async fn nosniff(mut response: Response) -> Response {
    let nosniff = HeaderValue::from_static("nosniff");
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    response
}
