//! The layer under a session layer: it gives each request a session of tower-sessions, whose store
//! is the request's session here.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::SystemTime,
};

use http::{Request, Response, StatusCode};
use pin_project_lite::pin_project;
use serde_json::Value;
use tower_kr_session::{Session, SessionError, Timestamp};
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    cookie_age::CookieAge,
    lifetime::Lifetime,
    moving::RotateImported,
    owner::UserOf,
    refuse::refuse,
    request_store::{OverGuard, RequestStore, raw},
    version::Version,
};

/// Gives each request a `tower_sessions::Session` that is the [`Session`] of the layer around it.
///
/// Handlers of both kinds work on one session, so an application moves handler by handler. The
/// session layer decides about the cookie, the limits and the store. Without one around it, the
/// extractor of tower-sessions answers 500.
///
/// What a handler sets, `save` and the end of the request store key by key: of two requests that
/// set different keys, both stay. `cycle_id` gives the session a new token, and `flush` ends it,
/// also if the handler then answers with a 5xx.
pub struct Bridge<V: Version> {
    settings: Settings<V>,
}

/// What a bridge does.
pub(crate) struct Settings<V: Version> {
    /// What sessions of tower-sessions start with.
    pub(crate) expiry: Option<V::Expiry>,
    pub(crate) always_save: bool,
    pub(crate) user_of: Option<UserOf>,
    /// Whether the cookie's age follows the expiry, as a layer outside does it.
    pub(crate) sets_age: bool,
}

impl<V: Version> Bridge<V> {
    /// Creates a bridge without owners.
    #[must_use]
    pub const fn new() -> Self {
        Self::with(Settings {
            expiry: None,
            always_save: false,
            user_of: None,
            sets_age: false,
        })
    }

    pub(crate) const fn with(settings: Settings<V>) -> Self {
        Self { settings }
    }

    /// Sets how to read the user from a session's values, such as
    /// [`axum_login_user`](crate::axum_login_user). Default: nobody signs in.
    ///
    /// When a user appears in the values, they sign in as the owner of the session: it can be
    /// listed, limited and revoked by [`Sessions`](tower_kr_session::Sessions). When they
    /// disappear, or another one takes their place, the session ends and a new one starts with the
    /// values that are left. A user who signed in with [`Session::sign_in`] alone is not concerned.
    #[must_use]
    pub fn with_owner(
        mut self,
        user_of: impl Fn(&HashMap<String, Value>) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.settings.user_of = Some(Arc::new(user_of));
        self
    }
}

impl<V: Version> Default for Bridge<V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<V: Version> Settings<V> {
    /// Saves a session that was changed, as tower-sessions does. Returns whether there was one.
    async fn save(&self, session: &V::Session, store: &RequestStore) -> Result<bool, SessionError> {
        if V::is_empty(session).await {
            return Ok(false);
        }
        if !V::save(session).await {
            return Err(store.take_error().unwrap_or(SessionError::Interrupted));
        }
        if let Some(lifetime) = self.lifetime_to_set(session) {
            lifetime.set(store.session(), now()).await?;
        }
        Ok(true)
    }

    /// The limits that a handler gave the session, or those of the layer that depend on the time.
    fn lifetime_to_set(&self, session: &V::Session) -> Option<Lifetime> {
        let (own, usual) = (V::expiry(session), self.expiry);
        let lifetime = V::lifetime(own);
        let sets = own != usual || matches!(lifetime, Lifetime::Until(_));
        sets.then_some(lifetime)
    }

    /// The age that the cookie is to have.
    async fn age(&self, session: &V::Session, own: &Session) -> Result<CookieAge, SessionError> {
        let now = now();
        if let Some(lifetime) = self.lifetime_to_set(session) {
            return Ok(CookieAge(lifetime.age(now)));
        }
        let limits = (
            own.is_persistent().await?,
            own.idle_timeout().await?,
            own.absolute_deadline().await?,
        );
        Ok(CookieAge(match limits {
            (Some(true), Some(idle), Some(deadline)) => {
                Some(idle.min(deadline.saturating_duration_since(now)))
            }
            (Some(false), ..) => None,
            // It starts with this response.
            _ => V::lifetime(self.expiry).age(now),
        }))
    }
}

fn now() -> Timestamp {
    SystemTime::now().into()
}

impl<V: Version, S> Layer<S> for Bridge<V> {
    type Service = BridgeService<S, V>;

    fn layer(&self, inner: S) -> Self::Service {
        BridgeService {
            inner,
            settings: self.settings.clone(),
        }
    }
}

/// Gives each request a session of tower-sessions; made by a `Bridge`.
pub struct BridgeService<S, V: Version> {
    inner: S,
    settings: Settings<V>,
}

impl<S, V, RequestBody, ResponseBody> Service<Request<RequestBody>> for BridgeService<S, V>
where
    V: Version,
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>>,
    ResponseBody: Default + Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BridgeFuture<S::Future, V, S::Response>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<RequestBody>) -> Self::Future {
        let handed = self.hand_out(&mut request);
        BridgeFuture::Handling {
            response: self.inner.call(request),
            handed,
        }
    }
}

impl<S, V: Version> BridgeService<S, V> {
    /// Gives a request its session of tower-sessions, if it has one of ours.
    fn hand_out<B>(&self, request: &mut Request<B>) -> Option<Handed<V>> {
        let own = request.extensions().get::<Session>()?;
        if request.extensions().get::<RotateImported>().is_some() && own.rotate().is_err() {
            tracing::error!("a session that moved here could not get a token of its own");
        }
        let settings = self.settings.clone();
        let id = own.presented_id().map(raw);
        let store = Arc::new(RequestStore::new(own, id, settings.user_of.clone()));
        let session = V::session(id, Arc::clone(&store), settings.expiry);
        request.extensions_mut().insert(session.clone());
        Some(Handed {
            settings,
            session,
            store: OverGuard(store),
        })
    }
}

/// A session that was handed to the handler.
pub struct Handed<V: Version> {
    settings: Settings<V>,
    session: V::Session,
    store: OverGuard,
}

impl<V: Version> Handed<V> {
    /// Whether there is something to save now that the response is ready.
    fn saves(&self, status: StatusCode) -> bool {
        let saves = self.settings.always_save || V::is_modified(&self.session);
        saves && !status.is_server_error()
    }

    /// Hands what the handler left to the session layer.
    async fn save<B: Default>(&self, response: &mut Response<B>) {
        let (settings, session, store) = (&self.settings, &self.session, &self.store.0);
        store.end();
        let saved = settings.save(session, store).await;
        let age = match (saved, store.end_if_deleted()) {
            (Err(error), _) | (_, Err(error)) => return refuse(error, response),
            (Ok(saved), Ok(())) => saved && settings.sets_age,
        };
        if age {
            match settings.age(session, store.session()).await {
                Ok(age) => drop(response.extensions_mut().insert(age)),
                Err(error) => refuse(error, response),
            }
        }
    }
}

pin_project! {
    /// The response of a `BridgeService`.
    #[project = Projected]
    pub enum BridgeFuture<F, V, R>
    where
        V: Version,
    {
        /// The handler works on it. Without a session layer outside, nothing was handed to it.
        Handling {
            #[pin]
            response: F,
            handed: Option<Handed<V>>,
        },
        /// It waits until its session is saved.
        Saving {
            response: Pin<Box<dyn Future<Output = R> + Send>>,
        },
    }
}

impl<F, V, B, E> Future for BridgeFuture<F, V, Response<B>>
where
    F: Future<Output = Result<Response<B>, E>>,
    V: Version,
    B: Default + Send + 'static,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let saving = match self.as_mut().project() {
            Projected::Saving { response } => return response.as_mut().poll(context).map(Ok),
            Projected::Handling { response, handed } => {
                let mut polled = response.poll(context);
                let Poll::Ready(outcome) = &mut polled else {
                    return polled;
                };
                // From here on, or if the handler failed, nobody else looks after it.
                let (Some(handed), Ok(response)) = (handed.take(), outcome) else {
                    return polled;
                };
                if !handed.saves(response.status()) {
                    if let Err(error) = handed.store.0.end_if_deleted() {
                        refuse(error, response);
                    }
                    return polled;
                }
                let mut response = mem::take(response);
                Box::pin(async move {
                    handed.save(&mut response).await;
                    response
                })
            }
        };
        self.set(Self::Saving { response: saving });
        self.poll(context)
    }
}

impl<V: Version> Clone for Settings<V> {
    fn clone(&self) -> Self {
        Self {
            expiry: self.expiry,
            always_save: self.always_save,
            user_of: self.user_of.clone(),
            sets_age: self.sets_age,
        }
    }
}

impl<V: Version> Clone for Bridge<V> {
    fn clone(&self) -> Self {
        Self::with(self.settings.clone())
    }
}

impl<V: Version> fmt::Debug for Bridge<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bridge").finish_non_exhaustive()
    }
}

impl<S: Clone, V: Version> Clone for BridgeService<S, V> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            settings: self.settings.clone(),
        }
    }
}

impl<S: fmt::Debug, V: Version> fmt::Debug for BridgeService<S, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BridgeService")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}
