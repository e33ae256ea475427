//! A layer with the name and the setters of tower-sessions' own.

use std::{
    borrow::Cow,
    collections::HashMap,
    fmt,
    future::Future,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderMap, HeaderValue, Request, Response, header};
use pin_project_lite::pin_project;
use serde_json::Value;
use tower_kr_session::{
    ConfigError, SessionLayer, SessionStore, Sessions,
    cookie::{CookieBuilder, CookieTemplate, SameSite, SecurePolicy},
    service::SessionService,
};
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    bridge::{Bridge, BridgeService, Settings},
    cookie_age::{CookieAge, has_cookie, send, sent_token, set_age},
    lifetime::Lifetime,
    moving::{Brought, Moved, Moving, ReadId, RotateImported},
    old_store::OldStore,
    owner::UserOf,
    refuse::refuse,
    version::Version,
};

/// Gives each request a `tower_sessions::Session` on a store of tower-kr-session.
///
/// It has the name, the setters and the defaults of the layer of tower-sessions, so that moving an
/// application changes one `use` and the store:
///
/// | setting | default |
/// |---|---|
/// | [`with_name`](Self::with_name) | `id` |
/// | `with_same_site` | `Strict` |
/// | [`with_http_only`](Self::with_http_only), [`with_secure`](Self::with_secure) | yes |
/// | [`with_path`](Self::with_path) | `/` |
/// | [`with_domain`](Self::with_domain) | the host alone |
/// | [`with_expiry`](Self::with_expiry) | the cookie ends with the browser's session, the session 14 days after its last use |
/// | [`with_always_save`](Self::with_always_save) | no |
/// | [`with_owner`](Self::with_owner) | nobody signs in |
/// | `with_old_store` | no sessions move here |
///
/// Handlers may use [`tower_kr_session::Session`] too: it is the same session. What is not set here
/// is set by [`configure`](Self::configure).
pub struct SessionManagerLayer<V: Version> {
    layer: SessionLayer,
    cookie: Attributes,
    bridge: Settings<V>,
    old: Option<Arc<dyn OldStore>>,
    old_name: Option<Cow<'static, str>>,
    read_id: ReadId,
}

#[derive(Clone)]
struct Attributes {
    name: Cow<'static, str>,
    http_only: bool,
    secure: bool,
    same_site: Option<SameSite>,
    path: Cow<'static, str>,
    domain: Option<Cow<'static, str>>,
}

impl Attributes {
    fn builder(&self) -> CookieBuilder {
        let policy = match self.secure {
            true => SecurePolicy::Always,
            false => SecurePolicy::None,
        };
        let builder = CookieBuilder::new(self.name.clone())
            .http_only(self.http_only)
            .secure_policy(policy)
            .same_site(self.same_site)
            .path(self.path.clone());
        match &self.domain {
            Some(domain) => builder.domain(domain.clone()),
            None => builder,
        }
    }
}

impl<V: Version> SessionManagerLayer<V> {
    /// Creates a layer on this store.
    pub fn new(store: impl SessionStore) -> Self {
        let layer = Self {
            layer: Lifetime::BrowserSession.configure(SessionLayer::new(store)),
            cookie: Attributes {
                name: "id".into(),
                http_only: true,
                secure: true,
                same_site: Some(SameSite::Strict),
                path: "/".into(),
                domain: None,
            },
            bridge: Settings {
                expiry: None,
                always_save: false,
                user_of: None,
                sets_age: true,
            },
            old: None,
            old_name: None,
            read_id: Arc::new(V::parse_id),
        };
        layer.with_cookie(|_| {})
    }

    fn with_cookie(mut self, set: impl FnOnce(&mut Attributes)) -> Self {
        set(&mut self.cookie);
        self.layer = self.layer.cookie(self.cookie.builder());
        self
    }

    /// Sets the name of the cookie. Default: `id`.
    #[must_use]
    pub fn with_name(self, name: impl Into<Cow<'static, str>>) -> Self {
        self.with_cookie(|cookie| cookie.name = name.into())
    }

    /// Sets whether the cookie is kept from scripts. Default: yes.
    #[must_use]
    pub fn with_http_only(self, http_only: bool) -> Self {
        self.with_cookie(|cookie| cookie.http_only = http_only)
    }

    /// Sets whether the cookie is sent over TLS alone. Default: yes.
    #[must_use]
    pub fn with_secure(self, secure: bool) -> Self {
        self.with_cookie(|cookie| cookie.secure = secure)
    }

    /// Sets the path of the cookie. Default: `/`.
    #[must_use]
    pub fn with_path(self, path: impl Into<Cow<'static, str>>) -> Self {
        self.with_cookie(|cookie| cookie.path = path.into())
    }

    /// Sets the domain of the cookie. Default: none, so that the host alone gets it.
    #[must_use]
    pub fn with_domain(self, domain: impl Into<Cow<'static, str>>) -> Self {
        self.with_cookie(|cookie| cookie.domain = Some(domain.into()))
    }

    pub(crate) fn same_site(self, same_site: Option<SameSite>) -> Self {
        self.with_cookie(|cookie| cookie.same_site = same_site)
    }

    /// Sets how long sessions and their cookies live. Default: `Expiry::OnSessionEnd`.
    ///
    /// Every request that uses its session, a read too, is use. The cookie of `OnInactivity` gets
    /// its age anew with each response whose session was changed, as with tower-sessions. No
    /// session lives for more than 400 days after it began or its user signed in.
    ///
    /// `Session::set_expiry` in a handler stays with the session. The session gets a new token
    /// then, if its limits differ.
    #[must_use]
    pub fn with_expiry(mut self, expiry: V::Expiry) -> Self {
        self.bridge.expiry = Some(expiry);
        self.layer = self.lifetime().configure(self.layer);
        self
    }

    fn lifetime(&self) -> Lifetime {
        V::lifetime(self.bridge.expiry)
    }

    /// Sets whether a request that didn't use its session extends it too. Default: no; a request
    /// that reads does so in any case.
    #[must_use]
    pub const fn with_always_save(mut self, always_save: bool) -> Self {
        self.bridge.always_save = always_save;
        self
    }

    /// Does nothing but let `with_old_store` read the signed cookies of before: the cookie here is
    /// a random token, which a signature would make no safer.
    #[must_use]
    pub fn with_signed<Key>(mut self, _key: Key) -> Self {
        // base64 of an HMAC, escaped or not, then the id. It has 128 random bits, which nobody
        // guesses with or without a signature.
        self.read_id = Arc::new(|value| {
            let start = value.len().checked_sub(OLD_ID_CHARACTERS)?;
            V::parse_id(value.get(start..)?)
        });
        self
    }

    /// Does nothing: the cookie is a random token, which has nothing to hide. For the encrypted
    /// cookies of before, [`with_old_cookie`](Self::with_old_cookie) says how to read them.
    #[must_use]
    pub fn with_private<Key>(self, _key: Key) -> Self {
        self
    }

    /// Sets how to read the user from a session's values, such as
    /// [`axum_login_user`](crate::axum_login_user), so that [`Sessions`] lists, limits and revokes
    /// the sessions of users. Default: nobody signs in.
    ///
    /// When a user appears in the values, they sign in as the owner of the session. When they
    /// disappear, or another one takes their place, the session ends and a new one starts with the
    /// values that are left.
    #[must_use]
    pub fn with_owner(
        mut self,
        user_of: impl Fn(&HashMap<String, Value>) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        let user_of: UserOf = Arc::new(user_of);
        self.bridge.user_of = Some(user_of);
        self
    }

    pub(crate) fn old_store(mut self, store: Arc<dyn OldStore>) -> Self {
        self.old = Some(store);
        self
    }

    /// Sets the name of the cookie under which `with_old_store` looks for sessions. Default: the
    /// name of the new one.
    #[must_use]
    pub fn with_old_name(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.old_name = Some(name.into());
        self
    }

    /// Sets how to read the id, in the form of 22 characters, from the value of the old cookie. It
    /// is needed for encrypted cookies alone.
    #[must_use]
    pub fn with_old_cookie(
        mut self,
        read_id: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.read_id = Arc::new(move |value| V::parse_id(&read_id(value)?));
        self
    }

    /// Changes the session layer within: its clock, its I/O timeout, the limit of a user's
    /// sessions, and what else tower-sessions has no setter for. Setters that are called later win.
    ///
    /// The cookie, the timeouts and `persistent` are set here: leave them alone there.
    #[must_use]
    pub fn configure(mut self, change: impl FnOnce(SessionLayer) -> SessionLayer) -> Self {
        self.layer = change(self.layer);
        self
    }

    /// Returns a handle that lists and ends sessions from outside of requests.
    ///
    /// # Errors
    /// If the layer can't work as configured.
    pub fn sessions(&self) -> Result<Sessions, ConfigError> {
        self.layer.sessions()
    }

    /// Checks that the layer can work as configured.
    ///
    /// # Errors
    /// As [`SessionLayer::check`].
    pub fn check(&self) -> Result<(), ConfigError> {
        self.layer.check()
    }

    fn shared(&self) -> Result<Shared, ConfigError> {
        let moving = match &self.old {
            None => None,
            Some(store) => Some(Moving {
                store: Arc::clone(store),
                old_name: self
                    .old_name
                    .as_ref()
                    .unwrap_or(&self.cookie.name)
                    .to_string(),
                read_id: Arc::clone(&self.read_id),
                user_of: self.bridge.user_of.clone(),
                lifetime: self.lifetime(),
                sessions: self.sessions()?,
            }),
        };
        Ok(Shared {
            cookie: self.cookie.builder().build()?,
            moving,
        })
    }
}

/// The length of an id of tower-sessions as text.
const OLD_ID_CHARACTERS: usize = 22;

impl<S, V: Version> Layer<S> for SessionManagerLayer<V> {
    type Service = SessionManager<SessionService<BridgeService<S, V>>>;

    /// # Panics
    /// If [`check`](SessionManagerLayer::check) fails, as that of a [`SessionLayer`].
    fn layer(&self, inner: S) -> Self::Service {
        let inner = self
            .layer
            .layer(Bridge::with(self.bridge.clone()).layer(inner));
        match self.shared() {
            Ok(shared) => SessionManager {
                inner,
                shared: Arc::new(shared),
            },
            Err(error) => panic!("misconfigured session layer: {error}"),
        }
    }
}

/// Gives each request a session of tower-sessions; made by a `SessionManagerLayer`.
#[derive(Clone)]
pub struct SessionManager<S> {
    inner: S,
    shared: Arc<Shared>,
}

/// What all requests of a layer share.
pub struct Shared {
    cookie: CookieTemplate,
    moving: Option<Moving>,
}

impl<S, RequestBody, ResponseBody> Service<Request<RequestBody>> for SessionManager<S>
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send,
    RequestBody: Send + 'static,
    ResponseBody: Default + Send,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, S::Response, S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<RequestBody>) -> Self::Future {
        let shared = Arc::clone(&self.shared);
        let name = shared.cookie.name();
        let brought = match &shared.moving {
            Some(moving) => moving.look(request.headers(), name),
            None => Brought::Own,
        };
        match brought {
            Brought::Own => {}
            Brought::Imported => drop(request.extensions_mut().insert(RotateImported)),
            Brought::Old(id) => {
                // The one that is ready, not its clone.
                let clone = self.inner.clone();
                let mut inner = mem::replace(&mut self.inner, clone);
                let response = Box::pin(async move {
                    let moved = match &shared.moving {
                        Some(moving) => moving.bring(id).await,
                        None => Ok(None),
                    };
                    let moved = match moved {
                        Ok(moved) => moved,
                        Err(error) => {
                            let mut response = Response::default();
                            refuse(error, &mut response);
                            return Ok(response);
                        }
                    };
                    if let Some(moved) = &moved {
                        moved.enter(&mut request, shared.cookie.name());
                    }
                    let mut response = inner.call(request).await?;
                    shared.finish_moved(&mut response, moved.as_ref());
                    Ok(response)
                });
                return ResponseFuture::Moving { response };
            }
        }
        let sent = Sent::of(request.headers());
        ResponseFuture::Usual {
            response: self.inner.call(request),
            shared,
            sent,
        }
    }
}

pin_project! {
    /// The response of a `SessionManager`.
    #[project = Projected]
    pub enum ResponseFuture<F, R, E> {
        /// Of a request that doesn't move a session.
        Usual {
            #[pin]
            response: F,
            shared: Arc<Shared>,
            sent: Sent,
        },
        /// Of one that brought the cookie of an old session.
        Moving {
            response: Pin<Box<dyn Future<Output = Result<R, E>> + Send>>,
        },
    }
}

impl<F, B, E> Future for ResponseFuture<F, Response<B>, E>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        match self.project() {
            Projected::Moving { response } => response.as_mut().poll(context),
            Projected::Usual {
                response,
                shared,
                sent,
            } => {
                let mut polled = response.poll(context);
                if let Poll::Ready(Ok(response)) = &mut polled {
                    shared.finish(response, sent);
                }
                polled
            }
        }
    }
}

/// The `Cookie` headers of a request. Most have one, which costs no allocation.
#[derive(Default)]
pub struct Sent {
    first: Option<HeaderValue>,
    further: Vec<HeaderValue>,
}

impl Sent {
    fn of(headers: &HeaderMap) -> Self {
        let mut sent = headers.get_all(header::COOKIE).iter().cloned();
        Self {
            first: sent.next(),
            further: sent.collect(),
        }
    }

    fn iter(&self) -> impl Iterator<Item = &HeaderValue> {
        self.first.iter().chain(&self.further)
    }
}

impl Shared {
    /// Gives the cookie the age that the expiry asks for, and sends it anew if a session whose
    /// cookie has an age was changed.
    fn finish<B>(&self, response: &mut Response<B>, sent: &Sent) {
        let Some(CookieAge(age)) = response.extensions_mut().remove() else {
            return;
        };
        let headers = response.headers_mut();
        if !set_age(headers, &self.cookie, age)
            && age.is_some()
            && let Some(token) = sent_token(sent.iter(), self.cookie.name())
        {
            send(headers, &self.cookie, &token, age);
        }
    }

    /// Sends the cookie of a session that moved, unless the handler gave it another token, or ended
    /// it.
    fn finish_moved<B>(&self, response: &mut Response<B>, moved: Option<&Moved>) {
        self.finish(response, &Sent::default());
        let (Some(moved), Some(moving)) = (moved, &self.moving) else {
            return;
        };
        let headers = response.headers_mut();
        if !has_cookie(headers, self.cookie.name()) {
            send(headers, &self.cookie, moved.import.token(), moved.age);
        }
        if let Some(removal) = moving.removal(&self.cookie) {
            headers.append(header::SET_COOKIE, removal);
        }
    }
}

impl<V: Version> Clone for SessionManagerLayer<V> {
    fn clone(&self) -> Self {
        Self {
            layer: self.layer.clone(),
            cookie: self.cookie.clone(),
            bridge: self.bridge.clone(),
            old: self.old.clone(),
            old_name: self.old_name.clone(),
            read_id: Arc::clone(&self.read_id),
        }
    }
}

impl<V: Version> fmt::Debug for SessionManagerLayer<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionManagerLayer")
            .field("layer", &self.layer)
            .finish_non_exhaustive()
    }
}

impl<S: fmt::Debug> fmt::Debug for SessionManager<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionManager")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}
