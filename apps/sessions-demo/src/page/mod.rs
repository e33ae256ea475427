//! Serves the demo's page, which shows the session and has forms that change it.
//!
//! The page is complete without scripts. Its one script counts down the idle timeout. It never asks
//! the server, since a request that reads the session would keep the session alive.

mod action;
mod answer;
mod assets;
mod document;
mod form;
mod forms;
mod notice;
mod problem;
mod snapshot;
mod state;
mod view;

pub(crate) use notice::NOTICE_COOKIE;

use axum::{
    Extension, Router,
    extract::{RawQuery, State},
    middleware::{map_response, map_response_with_state},
    response::Response,
    routing::get,
};
use http::{HeaderValue, header};
use maud::Markup;
use tower_http::csrf::CsrfLayer;
use tower_kr_session::{ConfigError, Session, SessionLayer};

use self::{
    answer::Answer,
    notice::{Notice, Notices},
    problem::Problem,
    snapshot::Snapshot,
    state::PageState,
};
use crate::{about::About, query::Query};

/// Allows nothing from other hosts, nothing inline, and no frame around the page.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
                      form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

pub(crate) fn router(sessions: SessionLayer, about: About) -> Result<Router, ConfigError> {
    let notices = Notices::new(about.https)?;
    let state = PageState {
        about,
        sessions: sessions.sessions()?,
        notices: notices.clone(),
    };
    Ok(Router::new()
        .route("/", get(page))
        .merge(forms::routes())
        .layer(sessions)
        .layer(map_response_with_state(notices, notice::leave))
        .layer(CsrfLayer::new())
        .layer(map_response(problem::as_page))
        .merge(assets::routes())
        .layer(map_response(safe))
        .with_state(state))
}

async fn page(
    State(state): State<PageState>,
    session: Session,
    notice: Notice,
    RawQuery(query): RawQuery,
) -> Result<(Extension<notice::Seen>, Markup), Problem> {
    let query = Query(query.as_deref().unwrap_or_default());
    let answer = Answer::to(query, &session).await?;
    let snapshot = Snapshot::read(&session, &state.sessions).await?;
    let seen = Extension(notice.seen());
    Ok((seen, view::page(&state.about, &snapshot, &notice, &answer)))
}

/// Adds the headers that keep other sites and caches away from the page.
async fn safe(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Not `no-referrer`: with it a form has the origin `null`.
        (header::REFERRER_POLICY, "same-origin"),
        // A stored page would show a session that may have ended.
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
