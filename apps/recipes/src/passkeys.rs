use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use serde::{Deserialize, Serialize};
use tower_kr_session::{Clock, Session, SessionError};
use webauthn_rs::{
    Webauthn, WebauthnBuilder,
    prelude::{
        Passkey, PasskeyAuthentication, PasskeyRegistration, PublicKeyCredential,
        RegisterPublicKeyCredential, Url, Uuid, WebauthnError,
    },
};

use crate::attempts::Attempts;

/// The site as authenticators know it, and the passkeys of its users.
pub struct Site {
    webauthn: Webauthn,
    registrations: Attempts,
    sign_ins: Attempts,
    /// Replace this by your database.
    users: Mutex<HashMap<String, Account>>,
}

struct Account {
    /// Authenticators store it: a random id, not the user's name.
    id: Uuid,
    passkeys: Vec<Passkey>,
}

impl Site {
    /// Creates a site without passkeys. They are for this domain, and used on pages of `origin`.
    ///
    /// # Errors
    /// If the origin is not of the domain.
    pub fn new(domain: &str, origin: &Url, clock: Arc<dyn Clock>) -> Result<Self, WebauthnError> {
        Ok(Self {
            webauthn: WebauthnBuilder::new(domain, origin)?.build()?,
            registrations: Attempts::new("passkey/new/", Arc::clone(&clock)),
            sign_ins: Attempts::new("passkey/use/", clock),
            users: Mutex::default(),
        })
    }

    fn users(&self) -> MutexGuard<'_, HashMap<String, Account>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The routes of the two ceremonies. The session layer goes around them.
pub fn routes(site: Site) -> Router {
    Router::new()
        .route("/passkeys/begin", post(begin_registration))
        .route("/passkeys/finish", post(finish_registration))
        .route("/login/begin", post(begin_sign_in))
        .route("/login/finish", post(finish_sign_in))
        .with_state(Arc::new(site))
}

/// What the page hands to `navigator.credentials`, and the id that it sends back.
#[derive(Serialize, Deserialize)]
struct Begun<T> {
    ceremony: Uuid,
    options: T,
}

/// What the authenticator answered.
#[derive(Serialize, Deserialize)]
struct Finish<T> {
    ceremony: Uuid,
    credential: T,
}

async fn begin_registration(
    session: Session,
    State(site): State<Arc<Site>>,
) -> Result<Response, SessionError> {
    // A passkey opens the account for good, so it takes a fresh proof of who this is.
    let fresh = session
        .authenticated_within(Duration::from_secs(5 * 60))
        .await?;
    let Some(user) = session.owner().await?.filter(|_| fresh) else {
        return Ok((StatusCode::FORBIDDEN, "Please sign in again.").into_response());
    };
    let begun = {
        let mut users = site.users();
        let account = users.entry(user.to_string()).or_insert_with(|| Account {
            id: Uuid::new_v4(),
            passkeys: Vec::new(),
        });
        let known = account
            .passkeys
            .iter()
            .map(|passkey| passkey.cred_id().clone())
            .collect();
        site.webauthn.start_passkey_registration(
            account.id,
            user.as_str(),
            user.as_str(),
            Some(known),
        )
    };
    let (options, state) = match begun {
        Ok(begun) => begun,
        Err(error) => return Ok(refused(&error)),
    };
    let ceremony = Uuid::new_v4();
    site.registrations
        .begin(&session, &ceremony.to_string(), state)
        .await?;
    Ok(Json(Begun { ceremony, options }).into_response())
}

async fn finish_registration(
    session: Session,
    State(site): State<Arc<Site>>,
    Json(finish): Json<Finish<RegisterPublicKeyCredential>>,
) -> Result<Response, SessionError> {
    let id = finish.ceremony.to_string();
    let state = site
        .registrations
        .take::<PasskeyRegistration>(&session, &id)
        .await?;
    let (Some(state), Some(user)) = (state, session.owner().await?) else {
        return Ok((StatusCode::BAD_REQUEST, "Please try again.").into_response());
    };
    let passkey = match site
        .webauthn
        .finish_passkey_registration(&finish.credential, &state)
    {
        Ok(passkey) => passkey,
        Err(error) => return Ok(refused(&error)),
    };
    let mut users = site.users();
    let mut all = users.values().flat_map(|account| &account.passkeys);
    if all.any(|other| other.cred_id() == passkey.cred_id()) {
        return Ok((StatusCode::CONFLICT, "This passkey is in use.").into_response());
    }
    if let Some(account) = users.get_mut(user.as_str()) {
        account.passkeys.push(passkey);
    }
    Ok(StatusCode::CREATED.into_response())
}

#[derive(Deserialize)]
struct Name {
    user: String,
}

#[derive(Serialize, Deserialize)]
struct SignIn {
    user: String,
    state: PasskeyAuthentication,
}

async fn begin_sign_in(
    session: Session,
    State(site): State<Arc<Site>>,
    Json(Name { user }): Json<Name>,
) -> Result<Response, SessionError> {
    let passkeys = site
        .users()
        .get(&user)
        .map(|account| account.passkeys.clone());
    let begun = site
        .webauthn
        .start_passkey_authentication(&passkeys.unwrap_or_default());
    let (options, state) = match begun {
        Ok(begun) => begun,
        Err(error) => return Ok(refused(&error)),
    };
    let ceremony = Uuid::new_v4();
    let attempt = SignIn { user, state };
    site.sign_ins
        .begin(&session, &ceremony.to_string(), attempt)
        .await?;
    Ok(Json(Begun { ceremony, options }).into_response())
}

async fn finish_sign_in(
    session: Session,
    State(site): State<Arc<Site>>,
    Json(finish): Json<Finish<PublicKeyCredential>>,
) -> Result<Response, SessionError> {
    let id = finish.ceremony.to_string();
    let Some(SignIn { user, state }) = site.sign_ins.take::<SignIn>(&session, &id).await? else {
        return Ok((StatusCode::BAD_REQUEST, "Please try again.").into_response());
    };
    let used = match site
        .webauthn
        .finish_passkey_authentication(&finish.credential, &state)
    {
        Ok(used) => used,
        Err(error) => return Ok(refused(&error)),
    };
    if let Some(account) = site.users().get_mut(&user) {
        // The counter, by which a copied authenticator is noticed.
        for passkey in &mut account.passkeys {
            passkey.update_credential(&used);
        }
    }
    session.sign_in(user)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// One answer for all. The reason is for the log.
fn refused(error: &WebauthnError) -> Response {
    tracing::warn!(%error, "a ceremony with a passkey is refused");
    (StatusCode::BAD_REQUEST, "Please try again.").into_response()
}
