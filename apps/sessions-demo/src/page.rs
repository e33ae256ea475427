//! The demo in a browser: one page that shows the session as it is, and forms that change it.
//!
//! The page is made here and complete without scripts. The one script only counts down what the page says; it never asks the
//! server, since a request that reads the session would keep it alive.

mod action;
mod assets;
mod forms;
mod notice;
mod problem;
mod snapshot;
mod view;

use axum::extract::{RawQuery, State};
use axum::middleware::{map_response, map_response_with_state};
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};
use http::{HeaderValue, header};
use maud::Markup;
use tower_http::csrf::CsrfLayer;
use tower_kr_session::{ConfigError, Session, SessionLayer, Sessions};

use self::notice::{Notice, Notices};
use self::problem::Problem;
use self::snapshot::Snapshot;
use crate::app::About;
use crate::query::Query;
use crate::user_key::UserKey;

/// Nothing from other hosts, nothing inline, no frame around it.
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

#[derive(Clone)]
struct PageState {
    about: About,
    sessions: Sessions,
    notices: Notices,
}

/// What a visitor asked the page for, beyond showing the session.
pub(crate) enum Answer {
    Nothing,
    Value(String, Option<String>),
    WhoAmI,
}

async fn page(
    State(state): State<PageState>,
    session: Session,
    notice: Notice,
    RawQuery(query): RawQuery,
) -> Result<(Extension<notice::Seen>, Markup), Problem> {
    let answer = answer(&session, Query(query.as_deref().unwrap_or_default())).await?;
    let snapshot = Snapshot::read(&session, &state.sessions).await?;
    let seen = Extension(notice.seen());
    Ok((seen, view::page(&state.about, &snapshot, &notice, &answer)))
}

async fn answer(session: &Session, query: Query<'_>) -> Result<Answer, Problem> {
    if let Some(key) = query.get("get")? {
        let value = session.get(&UserKey::new(&key)?.0).await?;
        return Ok(Answer::Value(key, value));
    }
    Ok(match query.get("whoami")? {
        Some(_) => Answer::WhoAmI,
        None => Answer::Nothing,
    })
}

async fn safe(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Not `no-referrer`: with it a form has the origin `null`.
        (header::REFERRER_POLICY, "same-origin"),
        // What a browser kept would show a session that is over.
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
