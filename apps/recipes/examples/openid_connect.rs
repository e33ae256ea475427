//! Signs visitors in through a provider. `ISSUER`, `CLIENT_ID` and `CLIENT_SECRET` say which, and
//! it has to know the callback `http://localhost:3000/login/callback`.

use std::{env, error::Error, sync::Arc};

use axum::routing::get;
use openidconnect::{ClientId, ClientSecret, IssuerUrl, RedirectUrl};
use recipes::openid_connect::{Provider, routes};
use tower_kr_session::{
    MemoryStore, Session, SessionError, SessionLayer, SystemClock,
    cookie::{CookieBuilder, SecurePolicy},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let provider = Provider::discover(
        IssuerUrl::new(env::var("ISSUER")?)?,
        (
            ClientId::new(env::var("CLIENT_ID")?),
            ClientSecret::new(env::var("CLIENT_SECRET")?),
        ),
        RedirectUrl::new("http://localhost:3000/login/callback".to_owned())?,
        Arc::new(SystemClock),
    )
    .await?;
    // For plain HTTP, in development.
    let cookie = CookieBuilder::new("session").secure_policy(SecurePolicy::None);
    let app = routes(provider)
        .route("/", get(who))
        .layer(SessionLayer::new(MemoryStore::new()).cookie(cookie));
    let listener = tokio::net::TcpListener::bind("localhost:3000").await?;
    Ok(axum::serve(listener, app).await?)
}

async fn who(session: Session) -> Result<String, SessionError> {
    Ok(match session.owner().await? {
        Some(user) => format!("Hello, {user}."),
        None => "Please open /login.".to_owned(),
    })
}
