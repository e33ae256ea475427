//! The forms of the page: each changes the session by a POST and redirects to the page.

use axum::{Extension, Router, extract::State, response::Redirect, routing::post};
use http::StatusCode;
use tower_kr_session::{Owner, Session, SessionId};

use super::{action::Action, form::Form, problem::Problem, state::PageState};
use crate::{
    failure::Failure,
    routes::COUNTER,
    user_key::{UserKey, no_control_characters},
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
}

fn done(action: Action) -> Done {
    Ok((Extension(action), Redirect::to("/")))
}

async fn counter(session: Session) -> Done {
    session.increment(COUNTER, 1).await?;
    done(Action::Counter)
}

async fn login(session: Session, form: Form) -> Done {
    let user = form.field("user", "Enter a name to sign in with")?;
    no_control_characters("user", &user)?;
    session.sign_in(user)?;
    done(Action::Login)
}

async fn logout(session: Session) -> Done {
    session.sign_out()?;
    done(Action::Logout)
}

async fn set(session: Session, form: Form) -> Done {
    let key = form.field("key", "Enter a key")?;
    let value = form.field("value", "Enter a value")?;
    session.insert(&UserKey::new(&key)?.0, &value)?;
    session.save().await?;
    done(Action::Set)
}

/// Ends one of the user's own sessions. An id is no secret, so it can't end the session of another
/// user.
async fn revoke(session: Session, State(state): State<PageState>, form: Form) -> Done {
    let id = form.field("id", "Which session is to end?")?;
    let owner = owner(&session).await?;
    let revoked = match id.parse::<SessionId>() {
        Ok(id) => state.sessions.revoke_owned(&owner, id).await?,
        Err(_) => false,
    };
    if revoked {
        return done(Action::Revoke);
    }
    Err(Failure::new(StatusCode::NOT_FOUND, "You have no such session (any more)").into())
}

async fn revoke_others(session: Session, State(state): State<PageState>) -> Done {
    let owner = owner(&session).await?;
    let this = session.id().await?.ok_or_else(nobody)?;
    state.sessions.revoke_others(&owner, this).await?;
    done(Action::RevokeOthers)
}

async fn owner(session: &Session) -> Result<Owner, Problem> {
    session.owner().await?.ok_or_else(nobody)
}

fn nobody() -> Problem {
    Failure::new(StatusCode::UNAUTHORIZED, "You are not signed in (any more)").into()
}
