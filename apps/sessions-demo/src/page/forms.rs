//! What changes the session: each form is a POST that leads back to the page.

use axum::extract::{RawForm, State};
use axum::response::Redirect;
use axum::routing::post;
use axum::{Extension, Router};
use http::StatusCode;
use tower_kr_session::{Owner, Session, SessionId};

use super::PageState;
use super::action::Action;
use super::problem::Problem;
use crate::failure::Failure;
use crate::query::Query;
use crate::routes::COUNTER;
use crate::user_key::{UserKey, no_control_characters};

/// Back to the page, which tells what was done.
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

async fn login(session: Session, form: RawForm) -> Done {
    let user = field(&form, "user", "Enter a name to sign in with")?;
    no_control_characters("user", &user)?;
    session.sign_in(user)?;
    done(Action::Login)
}

async fn logout(session: Session) -> Done {
    session.sign_out()?;
    done(Action::Logout)
}

async fn set(session: Session, form: RawForm) -> Done {
    let key = field(&form, "key", "Enter a key")?;
    let value = field(&form, "value", "Enter a value")?;
    session.insert(&UserKey::new(&key)?.0, &value)?;
    session.save().await?;
    done(Action::Set)
}

/// Ends one of the user's own sessions. An id is no secret, so it must not end a stranger's session.
async fn revoke(session: Session, State(state): State<PageState>, form: RawForm) -> Done {
    let id = field(&form, "id", "Which session is to end?")?;
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

/// A form is written as a query is, and read as strictly.
fn field(RawForm(form): &RawForm, name: &str, missing: &'static str) -> Result<String, Problem> {
    let form =
        str::from_utf8(form).map_err(|_| Failure::bad_request("The form is not valid UTF-8"))?;
    let value = Query(form).get(name)?;
    Ok(value.ok_or_else(|| Failure::bad_request(missing))?)
}
