//! Shows the page again after a form that was refused, with what was written and what is wrong.

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tower_kr_session::Session;

use super::{
    answer::Answer, base::Base, notice::Notice, problem::Problem, refused::Refused, render,
    replay::OldToken, state::PageState,
};

/// Answers a refused form with the page.
pub(super) async fn show(
    State(state): State<PageState>,
    session: Session,
    base: Base,
    old: OldToken,
    request: Request,
    next: Next,
) -> Response {
    let mut response = next.run(request).await;
    let Some(refused) = response.extensions_mut().remove::<Refused>() else {
        return response;
    };
    let status = refused.status;
    let answer = Answer::Refused(refused);
    let notice = Notice::default();
    match render::page(&state, &session, &base, &notice, old, &answer).await {
        Ok(page) => (status, page).into_response(),
        Err(error) => Problem::from(error).into_response(),
    }
}
