//! The tower layer and its settings.

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use http::{request, response};
use kr_cookie::CookieBuilder;
use tower_layer::Layer;

use crate::{
    assurance::AssuranceLevel,
    config::{Config, ConfigError, Settings, is_https},
    error::SessionError,
    model::{Clock, SystemClock},
    service::SessionService,
    session_limit::SessionLimit,
    sessions::Sessions,
    site_data::SiteData,
    store::{SessionStore, erased::ErasedStore},
};

const DEFAULT_COOKIE_NAME: &str = "__Host-Kr.Session";
const DEFAULT_ABSOLUTE_TIMEOUT: Duration = Duration::from_secs(12 * 60 * 60);
const DEFAULT_IO_TIMEOUT: Duration = Duration::from_secs(10);
const DEFAULT_MAX_SESSION_BYTES: u64 = 256 * 1024;
const DEFAULT_SESSION_LIMIT: SessionLimit = SessionLimit::EndOldest(100);

/// Gives each request a [`Session`](crate::Session), and commits it before the response leaves.
///
/// ```
/// use std::time::Duration;
/// use kr_cookie::CookieBuilder;
/// use tower_kr_session::{MemoryStore, SessionLayer};
///
/// let layer = SessionLayer::new(MemoryStore::new())
///     .cookie(CookieBuilder::new("__Host-Shop"))
///     .idle_timeout(Duration::from_secs(30 * 60));
/// # layer.check()?;
/// # Ok::<(), tower_kr_session::ConfigError>(())
/// ```
///
/// | setting | default |
/// |---|---|
/// | [`cookie`](Self::cookie) | `__Host-Kr.Session`; Secure, HttpOnly, SameSite=Lax, Path=/ |
/// | [`header`](Self::header) | none: a cookie carries the token |
/// | [`assurance_level`](Self::assurance_level) | none: the timeouts below |
/// | [`idle_timeout`](Self::idle_timeout) | 20 minutes |
/// | [`anonymous_idle_timeout`](Self::anonymous_idle_timeout) | the idle timeout |
/// | [`absolute_timeout`](Self::absolute_timeout) | 12 hours |
/// | [`persistent`](Self::persistent) | no: the cookie ends with the browser's session |
/// | [`io_timeout`](Self::io_timeout) | 10 seconds |
/// | [`touch_interval`](Self::touch_interval) | a twentieth of the idle timeout |
/// | [`await_touch`](Self::await_touch) | no |
/// | [`max_session_bytes`](Self::max_session_bytes) | 256 KiB |
/// | [`max_sessions_per_owner`](Self::max_sessions_per_owner) | 100; then the oldest one ends |
/// | [`clear_site_data`](Self::clear_site_data) | nothing |
/// | [`consent_when`](Self::consent_when) | nobody is asked; an [essential](CookieBuilder::essential) cookie, the default, never needs consent |
///
/// A response that used the session gets `Vary: Cookie` and, if its handler set no `Cache-Control`,
/// `no-store`, or `private, no-cache` if it is known that nobody is signed in. So does a response
/// that leaves while a stream or task still has a handle. One that sets or removes the cookie is
/// `no-store` in any case.
///
/// A second layer inside the first one passes requests through if its cookie has the same name: the
/// outer one counts. With another name it is a session of its own, which is what its handlers get.
/// So an area can ask for a sign-in, timeouts and an [assurance level](AssuranceLevel) of its own:
///
#[cfg_attr(feature = "axum", doc = "```")]
#[cfg_attr(not(feature = "axum"), doc = "```ignore")]
/// use axum::{Router, routing::get};
/// use tower_kr_session::{AssuranceLevel, MemoryStore, SessionLayer, cookie::CookieBuilder};
///
/// let store = MemoryStore::new();
/// let admin = SessionLayer::new(store.clone())
///     .cookie(CookieBuilder::new("__Host-Admin"))
///     .assurance_level(AssuranceLevel::Aal3);
/// let app: Router = Router::new()
///     .nest("/admin", Router::new().route("/", get(async || "admin")).layer(admin))
///     .layer(SessionLayer::new(store));
/// ```
///
/// A layer takes no token of another one, also on the same store: the name of the cookie is part of
/// the hash that the store keeps. Users and their limit of sessions are those of the store.
#[derive(Clone)]
pub struct SessionLayer {
    /// Shared by all clones: a router that was not finished with `with_state` clones its layers for
    /// each request.
    settings: Arc<Settings>,
    /// Made once: axum calls [`Layer::layer`] for each route, and all of them share one
    /// configuration.
    config: Arc<OnceLock<Arc<Config>>>,
}

impl SessionLayer {
    /// Creates a layer on this store, with the default settings.
    pub fn new(store: impl SessionStore) -> Self {
        Self {
            settings: Arc::new(Settings {
                store: Arc::new(ErasedStore::new(store)),
                clock: Arc::new(SystemClock),
                cookie: CookieBuilder::new(DEFAULT_COOKIE_NAME),
                header: None,
                assurance: None,
                idle_timeout: None,
                anonymous_idle_timeout: None,
                absolute_timeout: DEFAULT_ABSOLUTE_TIMEOUT,
                io_timeout: DEFAULT_IO_TIMEOUT,
                touch_interval: None,
                await_touch: false,
                persistent: false,
                max_session_bytes: DEFAULT_MAX_SESSION_BYTES,
                session_limit: DEFAULT_SESSION_LIMIT,
                clear_site_data: Vec::new(),
                on_error: None,
                https_when: Arc::new(is_https),
                consent_when: None,
                #[cfg(feature = "device-bound")]
                device: None,
            }),
            config: Arc::default(),
        }
    }

    fn with(mut self, set: impl FnOnce(&mut Settings)) -> Self {
        set(Arc::make_mut(&mut self.settings));
        self.config = Arc::default();
        self
    }

    /// Sets the cookie that carries the token. Keep it `HttpOnly` and `Secure`. A name that starts
    /// with `__Host-` or `__Host-Http-` keeps sibling domains from planting one (RFC 6265bis,
    /// section 4.1.3).
    ///
    /// The server, never the cookie, decides how long a session lives. So the builder sets no
    /// Max-Age and no Expires, with which a browser drops the cookie of a session in use. The
    /// cookie ends with the browser's session, or with the absolute deadline if the session is
    /// [`persistent`](Self::persistent).
    #[must_use]
    pub fn cookie(self, cookie: CookieBuilder) -> Self {
        self.with(|settings| settings.cookie = cookie)
    }

    /// Carries the token in a header of requests and responses instead of a cookie, for clients
    /// that are no browsers. Default: no.
    ///
    /// A response has the header only if the token is new, changed or, with an empty value,
    /// removed. The client sends the last one that it got with each request. Since no browser does
    /// so by itself, there is no cross-site request forgery. Settings of the cookie, and consent to
    /// it, have no effect. For scripts of another origin the response also needs
    /// `Access-Control-Expose-Headers`.
    ///
    /// ```
    /// use tower_kr_session::{MemoryStore, SessionLayer};
    ///
    /// let layer = SessionLayer::new(MemoryStore::new()).header("x-session-token");
    /// # layer.check()?;
    /// # Ok::<(), tower_kr_session::ConfigError>(())
    /// ```
    #[must_use]
    pub fn header(self, name: impl Into<String>) -> Self {
        self.with(|settings| settings.header = Some(name.into()))
    }

    /// Sets the timeouts that NIST SP 800-63B-4 asks for at this level, and refuses longer ones.
    /// Default: none.
    ///
    /// | level | idle | absolute |
    /// |---|---|---|
    /// | [`Aal1`](AssuranceLevel::Aal1) | 1 day | 30 days |
    /// | [`Aal2`](AssuranceLevel::Aal2) | 57 minutes | 24 hours |
    /// | [`Aal3`](AssuranceLevel::Aal3) | 14 minutes | 12 hours |
    ///
    /// A session may live up to the touch interval longer than its idle timeout; both together stay
    /// within the hour of level 2 and the 15 minutes of level 3. Later setters may shorten the
    /// timeouts. One that makes them longer than the level allows fails in [`check`](Self::check).
    /// A handler that gives its session such a limit gets [`SessionError::InvalidLimit`]. Sessions
    /// that were stored before keep their limits.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower_kr_session::{AssuranceLevel, ConfigError, MemoryStore, SessionLayer};
    ///
    /// let layer = SessionLayer::new(MemoryStore::new()).assurance_level(AssuranceLevel::Aal2);
    /// layer.check()?;
    /// let longer = layer.idle_timeout(Duration::from_secs(2 * 60 * 60));
    /// assert!(matches!(longer.check(), Err(ConfigError::Assurance { .. })));
    /// # Ok::<(), ConfigError>(())
    /// ```
    #[must_use]
    pub fn assurance_level(self, level: AssuranceLevel) -> Self {
        self.with(|settings| {
            settings.assurance = Some(level);
            settings.idle_timeout = Some(level.idle_timeout());
            settings.absolute_timeout = level.absolute_timeout();
            settings.touch_interval = None;
        })
    }

    /// Sets how long a session lives without a request, from 1 ms to the
    /// [absolute timeout](Self::absolute_timeout), which ends the session all the same. Default: 20
    /// minutes.
    #[must_use]
    pub fn idle_timeout(self, timeout: Duration) -> Self {
        self.with(|settings| settings.idle_timeout = Some(timeout))
    }

    /// Sets how long a session that nobody has signed in to lives without a request, from 1 ms to
    /// the idle timeout. Default: the idle timeout.
    ///
    /// Crawlers and passers-by start sessions that they never come back to. With a shorter timeout
    /// these leave the store sooner. When a user signs in, the session gets the ordinary idle
    /// timeout, unless a handler gave it its own with
    /// [`set_idle_timeout`](crate::Session::set_idle_timeout). To find out, a sign-in loads the
    /// session first.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower_kr_session::{MemoryStore, SessionLayer};
    ///
    /// let layer = SessionLayer::new(MemoryStore::new())
    ///     .idle_timeout(Duration::from_secs(60 * 60))
    ///     .anonymous_idle_timeout(Duration::from_secs(5 * 60));
    /// # layer.check()?;
    /// # Ok::<(), tower_kr_session::ConfigError>(())
    /// ```
    #[must_use]
    pub fn anonymous_idle_timeout(self, timeout: Duration) -> Self {
        self.with(|settings| settings.anonymous_idle_timeout = Some(timeout))
    }

    /// Sets how long a session lives at most after its start or the last sign-in, even in use: from
    /// 1 ms to 400 days. Default: 12 hours.
    #[must_use]
    pub fn absolute_timeout(self, timeout: Duration) -> Self {
        self.with(|settings| settings.absolute_timeout = timeout)
    }

    /// Sets whether the cookies of sessions that start outlive the browser's session, until the
    /// absolute deadline. A handler decides for one session with
    /// [`set_persistent`](crate::Session::set_persistent). Default: no.
    ///
    /// A session that ends 30 days after its last use:
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower_kr_session::{MemoryStore, SessionLayer};
    ///
    /// const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    ///
    /// let layer = SessionLayer::new(MemoryStore::new());
    /// let layer = layer.idle_timeout(30 * DAY).absolute_timeout(400 * DAY).persistent(true);
    /// # layer.check()?;
    /// # Ok::<(), tower_kr_session::ConfigError>(())
    /// ```
    #[must_use]
    pub fn persistent(self, persistent: bool) -> Self {
        self.with(|settings| settings.persistent = persistent)
    }

    /// Sets how long a call to the store may take before the request fails with 503. Default: 10
    /// seconds. A commit may need up to three calls, say, to end another user's session and start a
    /// new one, and one more for each further cookie of this name. One that signs in needs further
    /// calls, as [`max_sessions_per_owner`](Self::max_sessions_per_owner) says.
    #[must_use]
    pub fn io_timeout(self, timeout: Duration) -> Self {
        self.with(|settings| settings.io_timeout = timeout)
    }

    /// Sets how stale the stored idle deadline may become before a request that only reads moves
    /// it: at most one such write in each interval. A session may live up to this much longer than
    /// its idle timeout, never shorter. Default: a twentieth of the idle timeout.
    #[must_use]
    pub fn touch_interval(self, interval: Duration) -> Self {
        self.with(|settings| settings.touch_interval = Some(interval))
    }

    /// Sets whether a response waits until its session is touched, and until the log knows what
    /// became of an unknown token. Default: no, both go on in tasks of their own. Set it where the
    /// process is frozen as soon as the response is out, such as in a serverless function.
    #[must_use]
    pub fn await_touch(self, await_touch: bool) -> Self {
        self.with(|settings| settings.await_touch = await_touch)
    }

    /// Sets how many bytes the keys and values of a session may have together. Default: 256 KiB.
    #[must_use]
    pub fn max_session_bytes(self, bytes: u64) -> Self {
        self.with(|settings| settings.max_session_bytes = bytes)
    }

    /// Sets how many sessions a user may have at a time, and what a sign-in above that does.
    /// Default: [`SessionLimit::EndOldest(100)`](SessionLimit::EndOldest), so that one account
    /// can't fill the store.
    ///
    /// Of new sessions that sign in at the same time, on any nodes, exactly as many stay as are
    /// allowed: the newest ones under `EndOldest`, the oldest ones under `Refuse`. A session that
    /// loses such a race ends, and its sign-in is answered with 409 if it wasn't answered yet.
    ///
    /// A sign-in costs one call of [`list_up_to`](SessionStore::list_up_to) after its write (under
    /// `Refuse` also one before it), and one call of [`remove_each`](SessionStore::remove_each) for
    /// 16 sessions that it ends, 64 at most. It looks at no more sessions than the limit and 64, so
    /// it costs as much for any number. After the limit was lowered, the next sign-ins end the
    /// rest. If the store fails in one of them, the sign-in is stored but answered with 503. The
    /// response carries its cookie, and the next sign-in of this user corrects the number.
    ///
    /// ```
    /// use tower_kr_session::{MemoryStore, SessionLayer, SessionLimit};
    ///
    /// let layer = SessionLayer::new(MemoryStore::new())
    ///     .max_sessions_per_owner(SessionLimit::EndOldest(5));
    /// # layer.check()?;
    /// # Ok::<(), tower_kr_session::ConfigError>(())
    /// ```
    #[must_use]
    pub fn max_sessions_per_owner(self, limit: SessionLimit) -> Self {
        self.with(|settings| settings.session_limit = limit)
    }

    /// Sets what the browser is asked to delete, besides the cookie, when a session ends
    /// (`Clear-Site-Data`; ASVS 5.0, 14.3.1): cached pages, what scripts stored. Default: nothing.
    ///
    /// The header is sent with the cookie's removal: after [`sign_out`](crate::Session::sign_out)
    /// and [`destroy`](crate::Session::destroy), unless the same request started another session.
    /// It is not sent when a session expires or is revoked, since no response says so. [`SiteData`]
    /// says what each kind costs: [`Cookies`](SiteData::Cookies) are those of the whole registrable
    /// domain.
    ///
    /// ```
    /// use tower_kr_session::{MemoryStore, SessionLayer, SiteData};
    ///
    /// let layer = SessionLayer::new(MemoryStore::new())
    ///     .clear_site_data([SiteData::Cache, SiteData::Storage]);
    /// # layer.check()?;
    /// # Ok::<(), tower_kr_session::ConfigError>(())
    /// ```
    #[must_use]
    pub fn clear_site_data(self, kinds: impl IntoIterator<Item = SiteData>) -> Self {
        let kinds = kinds.into_iter().collect();
        self.with(|settings| settings.clear_site_data = kinds)
    }

    /// Sets where the time comes from. Default: the system's clock. Tests pass a
    /// [`ManualClock`](crate::ManualClock).
    #[must_use]
    pub fn clock(self, clock: impl Clock) -> Self {
        self.with(|settings| settings.clock = Arc::new(clock))
    }

    /// Sets a hook that is called when the layer answers a request itself, or when a commit failed
    /// behind a handler's own 5xx. It can count, or change the head of the response. The body is
    /// empty; an outer layer can write one, since the [`SessionError`] is also in the response's
    /// extensions.
    #[must_use]
    pub fn on_error(
        self,
        hook: impl Fn(&SessionError, &mut response::Parts) + Send + Sync + 'static,
    ) -> Self {
        self.with(|settings| settings.on_error = Some(Arc::new(hook)))
    }

    /// Sets how [`SecurePolicy::SameAsRequest`](kr_cookie::SecurePolicy::SameAsRequest) decides
    /// whether a request came over HTTPS. Default: by the scheme in its URI, or the extension
    /// [`Https`](crate::Https).
    ///
    /// Forwarded headers count only if you say so here. Do that only if every request passes your
    /// proxy, since anybody can send them.
    #[must_use]
    pub fn https_when(
        self,
        predicate: impl Fn(&request::Parts) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.with(|settings| settings.https_when = Arc::new(predicate))
    }

    /// Sets how to find out whether a visitor consents to a cookie that is not
    /// [`essential`](CookieBuilder::essential). Default: such a cookie is sent without asking, like
    /// an essential one.
    ///
    /// Without consent no session starts. The request reads what it wrote, its status is
    /// [`Status::RequestOnly`](crate::Status::RequestOnly), and in the end nothing is stored and no
    /// cookie is sent. A sign-in and a [`save`](crate::Session::save) fail with
    /// [`SessionError::NoConsent`]. A session that exists goes on, new tokens included, until it
    /// ends; to end it when consent is withdrawn, [`destroy`](crate::Session::destroy) it.
    ///
    /// ```
    /// use kr_cookie::CookieBuilder;
    /// use tower_kr_session::{MemoryStore, SessionLayer};
    ///
    /// let layer = SessionLayer::new(MemoryStore::new())
    ///     .cookie(CookieBuilder::new("__Host-Preferences").essential(false))
    ///     .consent_when(|request| {
    ///         kr_cookie::cookies(&request.headers)
    ///             .any(|cookie| cookie.name == b"consent" && cookie.value == b"yes")
    ///     });
    /// # layer.check()?;
    /// # Ok::<(), tower_kr_session::ConfigError>(())
    /// ```
    #[must_use]
    pub fn consent_when(
        self,
        predicate: impl Fn(&request::Parts) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.with(|settings| settings.consent_when = Some(Arc::new(predicate)))
    }

    /// Binds sessions to the browser's device after a sign-in over HTTPS, if the browser can do it
    /// (feature `device-bound`). Default: no.
    ///
    /// The layer answers `POST <path>/register` and `POST <path>/refresh` itself. Once a session is
    /// bound, its token opens nothing without the second, short-lived cookie: the status is
    /// [`ProofMissing`](crate::Status::ProofMissing), and reads find nothing. To know that, a
    /// request loads its session before it writes.
    ///
    /// A handle that outlives its request, in a stream or a socket, keeps what its request had.
    /// [`Session::device`](crate::Session::device) says how a session stands.
    #[cfg(feature = "device-bound")]
    #[must_use]
    pub fn device_binding(self, binding: crate::DeviceBinding) -> Self {
        self.with(|settings| settings.device = Some(binding))
    }

    /// Checks that the layer can work as configured.
    ///
    /// # Errors
    /// If a setting is out of its range, the cookie breaks a rule, or the store can't hold the
    /// largest session.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.config().map(drop)
    }

    /// Returns a handle that lists and ends sessions from outside of requests.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn sessions(&self) -> Result<Sessions, ConfigError> {
        self.config().map(Sessions::new)
    }

    fn config(&self) -> Result<Arc<Config>, ConfigError> {
        if let Some(config) = self.config.get() {
            return Ok(Arc::clone(config));
        }
        let config = Arc::new(self.settings.check()?);
        Ok(Arc::clone(self.config.get_or_init(|| config)))
    }
}

impl<S> Layer<S> for SessionLayer {
    type Service = SessionService<S>;

    /// # Panics
    /// If [`check`](SessionLayer::check) fails. Layers are applied at the start of a server, and a
    /// misconfigured one must not reach its first user.
    fn layer(&self, inner: S) -> SessionService<S> {
        match self.config() {
            Ok(config) => SessionService::new(inner, config),
            Err(error) => panic!("misconfigured session layer: {error}"),
        }
    }
}

impl fmt::Debug for SessionLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionLayer")
            .field("cookie", &self.settings.cookie)
            .field("idle_timeout", &self.settings.idle_timeout)
            .field("absolute_timeout", &self.settings.absolute_timeout)
            .field("io_timeout", &self.settings.io_timeout)
            .finish_non_exhaustive()
    }
}
