//! An application of one handler, a client, and a store whose I/O a test controls.
#![allow(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "each test binary uses a part"
)]

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{HeaderMap, Request, Response, StatusCode, header};
use kr_cookie::CookieBuilder;
use tokio::sync::Barrier;
use tower::{Layer, ServiceExt, service_fn};
use tower_kr_session::{
    Clock, Cursor, ManualClock, MemoryStore, MokaStore, Owner, Page, Session, SessionError,
    SessionId, SessionLayer, SessionStore, SessionSummary, Sessions, StoreError, Timestamp,
    store::{ApplyOutcome, CreateOutcome, Delta, Instants, Record, RemoveOutcome, SecretHash},
};

pub(crate) const NAME: &str = "Kr.Session";
pub(crate) const IDLE: Duration = Duration::from_secs(20);
pub(crate) const ABSOLUTE: Duration = Duration::from_secs(300);
pub(crate) const IO: Duration = Duration::from_secs(10);

/// Makes each of these functions a test on every kind of store: `<name>::memory`, `<name>::moka`,
/// `<name>::with_io`.
///
/// After `in_threads:` each test has a runtime of four threads.
macro_rules! on_each_store {
    (#[$attribute:meta] $($test:ident),+) => {
        $(mod $test {
            use crate::support::App;

            #[$attribute]
            async fn memory() {
                super::$test(App::in_memory()).await;
            }

            #[$attribute]
            async fn moka() {
                super::$test(App::in_moka()).await;
            }

            #[$attribute]
            async fn with_io() {
                super::$test(App::over_io()).await;
            }
        })+
    };
    (in_threads: $($test:ident),+ $(,)?) => {
        on_each_store!(
            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            $($test),+
        );
    };
    ($($test:ident),+ $(,)?) => {
        on_each_store!(#[tokio::test] $($test),+);
    };
}

pub(crate) use on_each_store;

/// An application over a store.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) layer: SessionLayer,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) remote: Arc<Remote>,
    pub(crate) new: fn() -> Self,
    pub(crate) needs_io: bool,
    pub(crate) moka: Option<MokaStore>,
}

impl App {
    /// Over the memory store.
    pub(crate) fn in_memory() -> Self {
        let remote = Arc::new(Remote::default());
        Self::over(remote.memory.clone(), remote, Self::in_memory, false)
    }

    /// Over the store on moka.
    pub(crate) fn in_moka() -> Self {
        let moka = MokaStore::new();
        let app = Self::over(moka.clone(), Arc::default(), Self::in_moka, true);
        Self {
            moka: Some(moka),
            ..app
        }
    }

    /// Over a store that needs I/O.
    pub(crate) fn over_io() -> Self {
        let remote = Arc::new(Remote::default());
        Self::over(Arc::clone(&remote), remote, Self::over_io, true)
    }

    fn over(
        store: impl SessionStore,
        remote: Arc<Remote>,
        new: fn() -> Self,
        needs_io: bool,
    ) -> Self {
        let start = Timestamp::from_unix_millis(1_800_000_000_000);
        let clock = Arc::new(ManualClock::new(start));
        let layer = SessionLayer::new(store)
            .cookie(CookieBuilder::new(NAME))
            .idle_timeout(IDLE)
            .absolute_timeout(ABSOLUTE)
            .io_timeout(IO)
            .clock(Arc::clone(&clock));
        Self {
            layer,
            clock,
            remote,
            new,
            needs_io,
            moka: None,
        }
    }

    /// The usual application over another store of the same kind.
    pub(crate) fn again(&self) -> Self {
        (self.new)()
    }
}

/// What a client got. A handler that failed half-way shows here alone.
#[derive(Debug)]
#[must_use]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
    pub(crate) error: Option<SessionError>,
}

impl Reply {
    /// The one Set-Cookie header, if there is one.
    pub(crate) fn set_cookie(&self) -> Option<&str> {
        let mut all = self.headers.get_all(header::SET_COOKIE).iter();
        let first = all.next().map(|value| value.to_str().unwrap());
        assert!(all.next().is_none(), "more than one Set-Cookie: {self:?}");
        first
    }

    /// The token that the client was given.
    pub(crate) fn token(&self) -> String {
        let cookie = self
            .set_cookie()
            .unwrap_or_else(|| panic!("no Set-Cookie: {self:?}"));
        let (pair, _) = cookie.split_once(';').unwrap();
        let token = pair.strip_prefix("Kr.Session=").unwrap();
        assert_eq!(token.len(), 64);
        token.to_owned()
    }

    pub(crate) fn removes_cookie(&self) -> bool {
        self.set_cookie().is_some_and(|cookie| {
            cookie.starts_with("Kr.Session=;") && cookie.contains("; Max-Age=0;")
        })
    }

    /// A refusal by the layer: this status, nothing of the handler, no cookie.
    pub(crate) fn assert_refused(&self, status: StatusCode) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.set_cookie(), None);
        assert_eq!(self.body, "");
        assert_eq!(self.headers.get("x-handler"), None);
        assert!(self.error.is_some());
        let temporary = status == StatusCode::SERVICE_UNAVAILABLE;
        assert_eq!(self.headers.contains_key(header::RETRY_AFTER), temporary);
    }

    /// The handler's own response: it came to its end, and so did the commit.
    #[track_caller]
    pub(crate) fn assert_done(&self) {
        assert_eq!(self.status, StatusCode::OK, "{self:?}");
        assert_eq!(self.headers["x-handler"], "was here");
    }

    /// The handler's own response, and no word about a cookie.
    pub(crate) fn assert_plain(&self) {
        assert_eq!(self.status, StatusCode::OK, "{self:?}");
        assert_eq!(self.set_cookie(), None);
        assert_eq!(self.headers["x-handler"], "was here");
    }
}

/// What handlers answer with if nothing goes wrong.
pub(crate) fn ok(body: impl ToString) -> Response<String> {
    Response::builder()
        .header("x-handler", "was here")
        .body(body.to_string())
        .unwrap()
}

impl App {
    /// Sends a request with this token and lets `handler` answer it.
    pub(crate) async fn with<F>(
        &self,
        token: Option<&str>,
        handler: impl FnOnce(Session) -> F + Send + 'static,
    ) -> Reply
    where
        F: Future<Output = Result<Response<String>, SessionError>> + Send + 'static,
    {
        let cookies: Vec<String> = token
            .iter()
            .map(|token| format!("{NAME}={token}"))
            .collect();
        self.raw(&cookies, handler).await
    }

    /// Sends a request with these Cookie headers.
    pub(crate) async fn raw<F>(
        &self,
        cookies: &[String],
        handler: impl FnOnce(Session) -> F + Send + 'static,
    ) -> Reply
    where
        F: Future<Output = Result<Response<String>, SessionError>> + Send + 'static,
    {
        let mut request = Request::builder().uri("/");
        for cookie in cookies {
            request = request.header(header::COOKIE, cookie.as_bytes());
        }
        let mut handler = Some(handler);
        let service = self.layer.layer(service_fn(move |request: Request<()>| {
            let session = request.extensions().get::<Session>().unwrap().clone();
            let answer = handler.take().unwrap()(session);
            async move {
                Ok::<_, Infallible>(answer.await.unwrap_or_else(|error| {
                    let mut response = Response::new(error.public_message());
                    *response.status_mut() = error.status();
                    response
                }))
            }
        }));
        let response = service.oneshot(request.body(()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        Reply {
            status: parts.status,
            headers: parts.headers,
            body,
            error: parts.extensions.get().cloned(),
        }
    }

    /// A new session with these values; its token.
    pub(crate) async fn start(&self, values: &'static [(&'static str, i64)]) -> String {
        let reply = self
            .with(None, move |session| async move {
                for (key, value) in values {
                    session.insert(*key, value)?;
                }
                Ok(ok(""))
            })
            .await;
        assert_eq!(reply.status, StatusCode::OK);
        reply.token()
    }

    /// The value that the holder of this token reads.
    pub(crate) async fn read(&self, token: &str, key: &'static str) -> Option<i64> {
        let reply = self
            .with(Some(token), move |session| async move {
                Ok(ok(format!("{:?}", session.get::<i64>(key).await?)))
            })
            .await;
        reply.assert_plain();
        let number = reply.body.strip_prefix("Some(")?;
        Some(number.trim_end_matches(')').parse().unwrap())
    }

    pub(crate) async fn id(&self, token: &str) -> Option<SessionId> {
        let reply = self
            .with(Some(token), |session| async move {
                Ok(ok(session
                    .id()
                    .await?
                    .map_or(String::new(), |id| id.to_string())))
            })
            .await;
        reply.body.parse().ok()
    }

    pub(crate) fn sessions(&self) -> Sessions {
        self.layer.sessions().unwrap()
    }

    pub(crate) fn advance(&self, duration: Duration) {
        self.clock.advance(duration);
    }

    /// The record of a session, as the store has it now.
    pub(crate) async fn stored(&self, id: SessionId) -> Option<Record> {
        let now = Clock::now(&self.clock);
        match &self.moka {
            Some(moka) => moka.load(id, now).await.unwrap(),
            None => self.remote.memory.load(id, now).await.unwrap(),
        }
    }

    pub(crate) fn records(&self) -> u64 {
        if let Some(moka) = &self.moka {
            return moka.record_count();
        }
        self.remote
            .memory
            .run_pending_tasks(Clock::now(&self.clock));
        self.remote.memory.record_count()
    }
}

pub(crate) fn owner(id: &str) -> Owner {
    Owner::new(id).unwrap()
}

/// The id of one token with the secret of another.
pub(crate) fn with_wrong_secret(token: &str, other: &str) -> String {
    // The id ends within the 22nd character, and the rest of that is secret.
    format!("{}{}", &token[..22], &other[22..])
}

/// Lets the tasks beside the requests end: each makes a step at a time, and none needs more than a
/// few.
pub(crate) async fn settle() {
    for _ in 0..16 {
        tokio::task::yield_now().await;
    }
}

/// A memory store behind I/O: every call waits once, is counted, and can be made to fail or hang.
#[derive(Default)]
pub(crate) struct Remote {
    pub(crate) memory: MemoryStore,
    pub(crate) calls: AtomicUsize,
    /// How many sessions were listed for sign-ins.
    listed: AtomicUsize,
    behaviour: Mutex<Behaviour>,
    /// What comes after how many calls.
    next: Mutex<Option<(usize, Behaviour)>>,
    /// Calls of `list` whose answers wait for each other.
    meeting: Mutex<Vec<Arc<Barrier>>>,
}

#[derive(Clone, Copy, Default)]
pub(crate) enum Behaviour {
    #[default]
    Answer,
    Fail,
    /// Never answers.
    Hang,
    /// Does what it is told, and loses the answer.
    DoAndHang,
    /// Loads never answer, the rest does.
    HangLoads,
    /// What writes is refused: a standby, a full disk.
    RefuseWrites,
    /// The record is of a later release.
    UnknownVersion,
}

impl Remote {
    pub(crate) fn set(&self, behaviour: Behaviour) {
        *self.behaviour.lock().unwrap() = behaviour;
    }

    /// Behaves like this once so many calls were answered.
    pub(crate) fn set_after(&self, calls: usize, behaviour: Behaviour) {
        *self.next.lock().unwrap() = Some((calls, behaviour));
    }

    /// Lets the next `calls` of `list_up_to` answer only once all of them know what they answer.
    pub(crate) fn let_lists_meet(&self, calls: usize) {
        let all = Arc::new(Barrier::new(calls));
        *self.meeting.lock().unwrap() = vec![all; calls];
    }

    fn write(&self) -> Result<(), StoreError> {
        match *self.behaviour.lock().unwrap() {
            Behaviour::RefuseWrites => Err(StoreError::unavailable("read-only")),
            _ => Ok(()),
        }
    }

    fn behave(&self) -> Behaviour {
        let mut next = self.next.lock().unwrap();
        match &mut *next {
            Some((0, behaviour)) => {
                self.set(*behaviour);
                *next = None;
            }
            Some((calls, _)) => *calls -= 1,
            None => {}
        }
        *self.behaviour.lock().unwrap()
    }

    /// How many sessions sign-ins looked at.
    pub(crate) fn take_listed(&self) -> usize {
        self.listed.swap(0, Ordering::SeqCst)
    }

    /// How many calls `requests` makes.
    pub(crate) fn take_calls(&self) -> usize {
        self.calls.swap(0, Ordering::SeqCst)
    }

    async fn call<T>(
        &self,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        match self.behave() {
            Behaviour::Answer | Behaviour::HangLoads | Behaviour::RefuseWrites => call.await,
            Behaviour::Fail => Err(StoreError::unavailable("connection refused")),
            Behaviour::Hang => std::future::pending().await,
            Behaviour::DoAndHang => {
                drop(call.await);
                std::future::pending().await
            }
            Behaviour::UnknownVersion => Err(StoreError::UnknownVersion { version: 9 }),
        }
    }
}

impl SessionStore for Remote {
    async fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Record>, StoreError> {
        let behaviour = *self.behaviour.lock().unwrap();
        if let Behaviour::HangLoads = behaviour {
            std::future::pending::<()>().await;
        }
        self.call(SessionStore::load(&self.memory, id, now)).await
    }

    async fn create(
        &self,
        id: SessionId,
        record: Record,
        now: Timestamp,
    ) -> Result<CreateOutcome, StoreError> {
        self.write()?;
        self.call(SessionStore::create(&self.memory, id, record, now))
            .await
    }

    async fn apply(
        &self,
        id: SessionId,
        secret: &SecretHash,
        delta: &Delta,
        at: Instants,
    ) -> Result<ApplyOutcome, StoreError> {
        self.write()?;
        self.call(SessionStore::apply(&self.memory, id, secret, delta, at))
            .await
    }

    async fn remove(
        &self,
        id: SessionId,
        secret: Option<&SecretHash>,
        at: Instants,
    ) -> Result<RemoveOutcome, StoreError> {
        self.call(SessionStore::remove(&self.memory, id, secret, at))
            .await
    }

    async fn list(&self, owner: &Owner, now: Timestamp) -> Result<Vec<SessionSummary>, StoreError> {
        self.call(self.memory.list(owner, now)).await
    }

    async fn list_up_to(
        &self,
        owner: &Owner,
        most: usize,
        now: Timestamp,
    ) -> Result<Vec<SessionSummary>, StoreError> {
        let sessions = self.call(self.memory.list_up_to(owner, most, now)).await;
        if let Ok(sessions) = &sessions {
            self.listed.fetch_add(sessions.len(), Ordering::SeqCst);
        }
        let all = self.meeting.lock().unwrap().pop();
        if let Some(all) = all {
            all.wait().await;
        }
        sessions
    }

    async fn remove_owned(
        &self,
        owner: &Owner,
        except: Option<SessionId>,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        self.call(self.memory.remove_owned(owner, except, now))
            .await
    }

    async fn page(
        &self,
        after: Option<&Cursor>,
        most: usize,
        now: Timestamp,
    ) -> Result<Page, StoreError> {
        self.call(self.memory.page(after, most, now)).await
    }
}
