//! Serves the demo's page, which shows the session and has forms that change it.
//!
//! The page is complete without scripts, but for the race. They make it livelier: they count down,
//! show what other tabs did, and race. None asks the server while nobody uses the page, since a
//! request that reads the session would keep the session alive.

mod action;
mod again;
mod answer;
mod assets;
mod base;
mod document;
mod form;
mod forms;
mod notice;
mod problem;
mod race;
mod refused;
mod remark;
mod render;
mod replay;
mod snapshot;
mod state;
mod view;

pub(crate) use problem::no_such_path;

use axum::{
    Extension, Router,
    extract::{RawQuery, State},
    middleware::{from_fn, from_fn_with_state, map_response, map_response_with_state},
    response::Response,
    routing::get,
};
use http::{HeaderValue, StatusCode, header};
use maud::Markup;
use tower_http::csrf::CsrfLayer;
use tower_kr_session::{ConfigError, Session, SessionLayer};

use self::{
    answer::Answer,
    base::Base,
    notice::{NOTICE_COOKIE, Notice, Notices},
    problem::Problem,
    replay::{OLD_COOKIE, OldToken, Replay},
    state::PageState,
};
use crate::{
    about::About,
    query::Query,
    requests,
    traffic::{self, Traffic},
};

/// The cookies of the page itself.
pub(crate) const COOKIES: [&str; 2] = [NOTICE_COOKIE, OLD_COOKIE];

/// Allows nothing from other hosts, nothing inline, and no frame around the page.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
                      connect-src 'self'; form-action 'self'; frame-ancestors 'none'; \
                      base-uri 'none'";

pub(crate) fn router(
    sessions: SessionLayer,
    about: About,
    traffic: Traffic,
) -> Result<Router, ConfigError> {
    let notices = Notices::new(about.https)?;
    let replay = Replay::new(sessions.clone(), about.https)?;
    let state = PageState {
        about,
        sessions: sessions.sessions()?,
        notices: notices.clone(),
        replay: replay.clone(),
        traffic: traffic.clone(),
    };
    Ok(Router::new()
        .route("/", get(page))
        .merge(forms::routes())
        .merge(race::routes())
        .layer(from_fn_with_state(state.clone(), again::show))
        .layer(from_fn(traffic::hand_out))
        .layer(sessions)
        .layer(from_fn_with_state(traffic, traffic::watch))
        .layer(from_fn_with_state(replay, replay::keep_old_token))
        .layer(map_response_with_state(notices, notice::leave))
        .layer(CsrfLayer::new())
        .layer(from_fn(problem::as_page))
        .merge(assets::routes().layer(map_response(requests::aside)))
        .layer(map_response(safe))
        .with_state(state))
}

async fn page(
    State(state): State<PageState>,
    session: Session,
    base: Base,
    notice: Notice,
    old: OldToken,
    RawQuery(query): RawQuery,
) -> Result<(StatusCode, Extension<notice::Seen>, Markup), Problem> {
    let query = Query(query.as_deref().unwrap_or_default());
    let answer = Answer::to(query, &session).await?;
    let page = render::page(&state, &session, &base, &notice, old, &answer).await?;
    Ok((answer.status(), Extension(notice.seen()), page))
}

/// Adds the headers that keep other sites and caches away from the page.
async fn safe(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        // Not `no-referrer`: with it a form has the origin `null`.
        (header::REFERRER_POLICY, "same-origin"),
        // A stored page would show a session that may have ended.
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
