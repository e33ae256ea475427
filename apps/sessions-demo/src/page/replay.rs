//! "Replay my old token": shows that a token opens nothing once a sign-in has replaced it, or its
//! session has ended.
//!
//! The server doesn't keep the old token, and the page never has it: the browser keeps it, in a
//! cookie of its own. This is safe for these reasons:
//!
//! - It is written only if it has the form of a token, so that nothing else which a client sends as
//!   its session cookie comes back to it, and only along with the `Set-Cookie` that replaces or
//!   removes the session's own cookie, so after the commit that made the old token worthless.
//! - It goes back to the browser that sent it, in a header that no script can read (`HttpOnly`).
//! - The browser sends it only with requests that this site itself makes (`SameSite=Strict`). The
//!   page only looks whether there is one, and the form that replays it answers with a redirect;
//!   the page then says in words of its own what came of it.
//!
//! To find out, the server sends itself a request with that cookie alone, through a session layer
//! on the same store.

use std::{
    convert::Infallible,
    time::{Duration, SystemTime},
};

use axum::{
    Extension, Router,
    body::Body,
    extract::{FromRef, FromRequestParts, Request, State},
    middleware::Next,
    response::Response,
    routing::get,
};
use http::{HeaderMap, HeaderValue, header, request::Parts};
use kr_cookie::{CookieBuilder, CookieTemplate, SameSite, SecurePolicy};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};
use tower::ServiceExt;
use tower_kr_session::{ConfigError, Session, SessionError, SessionLayer, Status};

use super::{action::Action, remark::Remark};

/// The name of the cookie. The session cookie can't have it too.
pub(crate) const OLD_COOKIE: &str = "Kr.Old";

/// Keeps the old token in a cookie, and tries it.
#[derive(Clone)]
pub(super) struct Replay {
    cookie: CookieTemplate,
    https: bool,
    probe: Router,
}

/// Whether the browser keeps an old token.
#[derive(Clone, Copy)]
pub(super) struct OldToken(pub(super) bool);

/// How the session stands for the probe's request.
#[derive(Clone, Copy)]
struct Found(Status);

impl Replay {
    pub(super) fn new(sessions: SessionLayer, https: bool) -> Result<Self, ConfigError> {
        let cookie = CookieBuilder::new(OLD_COOKIE)
            .same_site(SameSite::Strict)
            .secure_policy(SecurePolicy::SameAsRequest)
            .max_age(Duration::from_secs(10 * 60))
            .build()?;
        let probe = async |session: Session| -> Result<Extension<Found>, SessionError> {
            Ok(Extension(Found(session.status().await?)))
        };
        Ok(Self {
            cookie,
            https,
            probe: Router::new().route("/", get(probe)).layer(sessions),
        })
    }

    /// Sends the old token as a thief would, and returns what came of it.
    pub(super) async fn attempt(&self, headers: &HeaderMap) -> Result<Remark, SessionError> {
        let Some(cookie) = self.old_cookie(headers) else {
            return Ok(Remark::NoToken);
        };
        let mut request = Request::new(Body::empty());
        request.headers_mut().insert(header::COOKIE, cookie);
        let Ok(response) = self.probe.clone().oneshot(request).await;
        if let Some(error) = response.extensions().get::<SessionError>() {
            return Err(error.clone());
        }
        Ok(match response.extensions().get() {
            Some(Found(Status::Superseded)) => Remark::Superseded,
            Some(Found(Status::Active)) => Remark::LetIn,
            _ => Remark::Refused,
        })
    }

    /// The session cookie, `name=token`, as the browser sent it before.
    fn old_cookie(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let text = percent_decode(values(headers, self.cookie.name()).next()?).decode_utf8();
        let mut cookie = HeaderValue::from_str(&text.ok()?).ok()?;
        cookie.set_sensitive(true);
        Some(cookie)
    }

    /// A `Set-Cookie` that keeps the cookie which `replaced` replaces or removes.
    fn keep(&self, sent: &HeaderMap, replaced: &HeaderValue) -> Option<HeaderValue> {
        let (name, _) = replaced.to_str().ok()?.split_once('=')?;
        let token = token(sent, name)?;
        let pair = format!("{name}={token}");
        let value = utf8_percent_encode(&pair, NON_ALPHANUMERIC).to_string();
        let now = SystemTime::now().into();
        self.cookie.render(&value, self.https, now).ok()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for OldToken
where
    Replay: FromRef<S>,
{
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let replay = Replay::from_ref(state);
        Ok(Self(replay.old_cookie(&parts.headers).is_some()))
    }
}

/// The value of the first cookie of this name that has the form of a token.
fn token<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    values(headers, name)
        .filter_map(|value| str::from_utf8(value).ok())
        .find(|value| has_token_form(value))
}

/// Whether this is 64 characters of base64url, as each token of the session layer.
fn has_token_form(value: &str) -> bool {
    let is_known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    value.len() == 64 && value.bytes().all(is_known)
}

fn values<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a [u8]> {
    kr_cookie::cookies(headers)
        .filter(move |cookie| cookie.name == name.as_bytes())
        .map(|cookie| cookie.value)
}

/// Keeps the token that an action has replaced or ended.
pub(super) async fn keep_old_token(
    State(replay): State<Replay>,
    request: Request,
    next: Next,
) -> Response {
    let sent = request.headers().clone();
    let mut response = next.run(request).await;
    let action = response.extensions().get::<Action>();
    if action.is_some_and(|action| action.retires_token())
        && let Some(replaced) = response.headers().get(header::SET_COOKIE)
        && let Some(cookie) = replay.keep(&sent, replaced)
    {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}
