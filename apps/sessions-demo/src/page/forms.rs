//! The forms of the page: each changes the session by a POST and redirects to the page.

use axum::{
    Extension, Router, extract::State, middleware::from_fn, response::Redirect, routing::post,
};
use http::{HeaderMap, StatusCode};
use tower_kr_session::{Owner, Session, SessionId};

use super::{
    action::Action,
    form::{self, Form},
    problem::Problem,
    remark::{self, Remark},
    state::PageState,
};
use crate::{
    device,
    failure::Failure,
    routes::COUNTER,
    user_input::{UserKey, check_user},
};

/// A redirect to the page, which shows what was done.
type Done = Result<(Extension<Action>, Redirect), Problem>;

pub(super) fn routes() -> Router<PageState> {
    Router::new()
        .route(Action::Counter.path(), post(counter))
        .route(Action::Login.path(), post(login))
        .route(Action::Logout.path(), post(logout))
        .route(Action::Set.path(), post(set))
        .route(Action::Revoke.path(), post(revoke))
        .route(Action::RevokeOthers.path(), post(revoke_others))
        .route_layer(from_fn(remark::without_session))
        .route(Action::Replay.path(), post(replay))
}

fn done(action: Action) -> Done {
    Ok((Extension(action), Redirect::to("/")))
}

async fn counter(session: Session) -> Done {
    session.increment(COUNTER, 1).await?;
    done(Action::Counter)
}

async fn login(session: Session, headers: HeaderMap, form: Form) -> Done {
    let user = form.field(form::USER)?;
    check_user(&user).map_err(|error| form.unfit(form::USER, error))?;
    session
        .sign_in_with_label(user, device::name(&headers))
        .map_err(|error| form.unfit(form::USER, error))?;
    done(Action::Login)
}

async fn logout(session: Session) -> Done {
    session.sign_out()?;
    done(Action::Logout)
}

async fn set(session: Session, form: Form) -> Done {
    let (key, value) = (form.field(form::KEY)?, form.field(form::VALUE)?);
    let key = UserKey::new(&key).map_err(|error| form.unfit(form::KEY, error))?;
    let too_large = |error| form.unfit(form::VALUE, error);
    session.insert(&key.0, &value).map_err(too_large)?;
    session.save().await.map_err(too_large)?;
    done(Action::Set)
}

/// Ends one of the user's own sessions. An id is no secret, so it can't end the session of another
/// user.
async fn revoke(session: Session, State(state): State<PageState>, form: Form) -> Done {
    let id = form.field(form::SESSION)?;
    let owner = owner(&session).await?;
    let revoked = match id.parse::<SessionId>() {
        Ok(id) => state.sessions.revoke_owned(&owner, id).await?,
        Err(_) => false,
    };
    if revoked {
        return done(Action::Revoke);
    }
    let gone = "You have no such session (any more)";
    Err(form.refused(StatusCode::NOT_FOUND, form::SESSION, gone))
}

async fn revoke_others(session: Session, State(state): State<PageState>) -> Done {
    let owner = owner(&session).await?;
    let this = session.id().await?.ok_or_else(nobody)?;
    state.sessions.revoke_others(&owner, this).await?;
    done(Action::RevokeOthers)
}

async fn replay(
    State(state): State<PageState>,
    headers: HeaderMap,
) -> Result<(Extension<Remark>, (Extension<Action>, Redirect)), Problem> {
    let remark = state.replay.attempt(&headers).await?;
    Ok((Extension(remark), done(Action::Replay)?))
}

async fn owner(session: &Session) -> Result<Owner, Problem> {
    session.owner().await?.ok_or_else(nobody)
}

fn nobody() -> Problem {
    Failure::new(StatusCode::UNAUTHORIZED, "You are not signed in (any more)").into()
}
