use std::{error::Error, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use openidconnect::{
    AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointMaybeSet, EndpointNotSet,
    EndpointSet, IssuerUrl, Nonce, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, TokenResponse,
    core::{CoreAuthenticationFlow, CoreClient, CoreProviderMetadata},
    reqwest,
};
use serde::{Deserialize, Serialize};
use tower_kr_session::{Clock, Session, SessionError};

use crate::attempts::Attempts;

/// The provider, and this application as its client.
pub struct Provider {
    client: Client,
    http: reqwest::Client,
    attempts: Attempts,
}

type Client = CoreClient<
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;
type Failed = Box<dyn Error + Send + Sync>;

impl Provider {
    /// Asks the provider for its addresses and keys. `callback` is where it sends users back to.
    ///
    /// # Errors
    /// If it doesn't answer as a provider of OpenID Connect.
    pub async fn discover(
        issuer: IssuerUrl,
        (id, secret): (ClientId, ClientSecret),
        callback: RedirectUrl,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Failed> {
        let http = reqwest::Client::builder()
            // Or an address of the provider could make us ask any server.
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(10))
            .build()?;
        let metadata = CoreProviderMetadata::discover_async(issuer, &http).await?;
        let client = CoreClient::from_provider_metadata(metadata, id, Some(secret))
            .set_redirect_uri(callback);
        let attempts = Attempts::new("login/", clock);
        Ok(Self {
            client,
            http,
            attempts,
        })
    }

    /// Exchanges the code, and checks the ID token: signature, issuer, audience, age and nonce.
    async fn user(
        &self,
        code: String,
        verifier: PkceCodeVerifier,
        nonce: &Nonce,
    ) -> Result<String, Failed> {
        let request = self.client.exchange_code(AuthorizationCode::new(code))?;
        let answer = request
            .set_pkce_verifier(verifier)
            .request_async(&self.http)
            .await?;
        let token = answer.id_token().ok_or("the answer has no ID token")?;
        let claims = token.claims(&self.client.id_token_verifier(), nonce)?;
        Ok(format!(
            "{} {}",
            claims.issuer().as_str(),
            claims.subject().as_str()
        ))
    }
}

/// The routes of the login. The session layer goes around them.
pub fn routes(provider: Provider) -> Router {
    Router::new()
        .route("/login", get(login))
        .route("/login/callback", get(callback))
        .with_state(Arc::new(provider))
}

#[derive(Serialize, Deserialize)]
struct Attempt {
    nonce: Nonce,
    pkce_verifier: PkceCodeVerifier,
    then: String,
}

#[derive(Deserialize)]
struct Begin {
    then: Option<String>,
}

async fn login(
    session: Session,
    State(provider): State<Arc<Provider>>,
    Query(Begin { then }): Query<Begin>,
) -> Result<Redirect, SessionError> {
    let (challenge, pkce_verifier) = PkceCodeChallenge::new_random_sha256();
    let flow = CoreAuthenticationFlow::AuthorizationCode;
    let (url, state, nonce) = provider
        .client
        .authorize_url(flow, CsrfToken::new_random, Nonce::new_random)
        .set_pkce_challenge(challenge)
        .url();
    let then = then
        .filter(|path| is_own_path(path))
        .unwrap_or_else(|| "/".to_owned());
    let attempt = Attempt {
        nonce,
        pkce_verifier,
        then,
    };
    provider
        .attempts
        .begin(&session, state.secret(), attempt)
        .await?;
    Ok(Redirect::to(url.as_str()))
}

/// Anything else could lead to another site, as `//example.com` does.
fn is_own_path(path: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_?=&".contains(&byte);
    path.starts_with('/') && !path.starts_with("//") && path.bytes().all(plain)
}

#[derive(Deserialize)]
struct Answer {
    state: String,
    /// Missing if the user or the provider said no.
    code: Option<String>,
}

async fn callback(
    session: Session,
    State(provider): State<Arc<Provider>>,
    Query(Answer { state, code }): Query<Answer>,
) -> Result<Response, SessionError> {
    let attempt = provider.attempts.take::<Attempt>(&session, &state).await?;
    let (
        Some(Attempt {
            nonce,
            pkce_verifier,
            then,
        }),
        Some(code),
    ) = (attempt, code)
    else {
        // No redirect to the login: it would loop.
        return Ok((StatusCode::BAD_REQUEST, "Please sign in again.").into_response());
    };
    match provider.user(code, pkce_verifier, &nonce).await {
        Ok(user) => session.sign_in(user)?,
        Err(error) => {
            tracing::warn!(%error, "the provider's answer is not accepted");
            return Ok((StatusCode::BAD_GATEWAY, "Please sign in again.").into_response());
        }
    }
    Ok(Redirect::to(&then).into_response())
}
