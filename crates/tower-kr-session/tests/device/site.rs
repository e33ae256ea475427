//! An application behind a layer that binds sessions to devices.

use std::{convert::Infallible, future::Future, sync::Arc, time::Duration};

use http::{HeaderMap, Request, Response, StatusCode};
use tower::{Layer, ServiceExt, service_fn};
use tower_kr_session::{
    Clock, DeviceBinding, DeviceState, ManualClock, MemoryStore, MokaStore, Session, SessionError,
    SessionId, SessionLayer, SessionStore, Status, Timestamp, cookie::CookieBuilder, store::Record,
};

pub(crate) const NAME: &str = "__Host-Kr.Session";
pub(crate) const BOUND: &str = "__Host-Kr.Session.Bound";
pub(crate) const PATH: &str = "/session/device";
pub(crate) const REGISTER: &str = "/session/device/register";
pub(crate) const REFRESH: &str = "/session/device/refresh";

/// Makes each of these functions a test on both stores in memory: one answers at once, one waits.
macro_rules! on_each_store {
    ($($test:ident),+ $(,)?) => {
        $(mod $test {
            #[tokio::test]
            async fn memory() {
                super::$test(crate::site::Site::in_memory()).await;
            }

            #[tokio::test]
            async fn moka() {
                super::$test(crate::site::Site::in_moka()).await;
            }
        })+
    };
}
pub(crate) use on_each_store;

#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) layer: SessionLayer,
    pub(crate) clock: Arc<ManualClock>,
    store: Store,
}

#[derive(Clone)]
enum Store {
    Memory(MemoryStore),
    Moka(MokaStore),
}

pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next();
        assert!(values.next().is_none(), "more than one {name}");
        value.map(|value| value.to_str().unwrap())
    }

    /// The value of a cookie that it sets or, empty, removes.
    pub(crate) fn cookie(&self, name: &str) -> Option<&str> {
        let cookies = self.headers.get_all("set-cookie").iter();
        let mut cookies = cookies.filter_map(|cookie| {
            let (pair, _) = cookie.to_str().unwrap().split_once(';').unwrap();
            let (found, value) = pair.split_once('=').unwrap();
            (found == name).then_some(value)
        });
        let cookie = cookies.next();
        assert!(cookies.next().is_none(), "{name} twice");
        cookie
    }
}

pub(crate) fn binding() -> DeviceBinding {
    binding_at(PATH)
}

/// A layer with another cookie needs another path than those of the tests that run beside it.
pub(crate) fn binding_at(path: &str) -> DeviceBinding {
    DeviceBinding::new(path).body(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
}

impl Site {
    pub(crate) fn in_memory() -> Self {
        let store = MemoryStore::new();
        Self::over(SessionLayer::new(store.clone()), Store::Memory(store))
    }

    pub(crate) fn in_moka() -> Self {
        let store = MokaStore::new();
        Self::over(SessionLayer::new(store.clone()), Store::Moka(store))
    }

    fn over(layer: SessionLayer, store: Store) -> Self {
        let start = Timestamp::from_unix_millis(1_800_000_000_000);
        let clock = Arc::new(ManualClock::new(start));
        let layer = layer
            .cookie(CookieBuilder::new(NAME))
            .idle_timeout(Duration::from_secs(3_600))
            .clock(Arc::clone(&clock))
            // So that a test knows what the store has.
            .await_touch(true)
            .device_binding(binding());
        Self {
            layer,
            clock,
            store,
        }
    }

    pub(crate) fn with(mut self, set: impl FnOnce(SessionLayer) -> SessionLayer) -> Self {
        self.layer = set(self.layer);
        self
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// Sends a request and lets a handler answer it.
    pub(crate) async fn handle<F>(
        &self,
        request: Request<()>,
        handler: impl FnOnce(Session) -> F + Send + 'static,
    ) -> Reply
    where
        F: Future<Output = Result<String, SessionError>> + Send + 'static,
    {
        let mut handler = Some(handler);
        let service = self.layer.layer(service_fn(move |request: Request<()>| {
            let session = request.extensions().get::<Session>().unwrap().clone();
            let answer = handler.take().unwrap()(session);
            async move {
                Ok::<_, Infallible>(match answer.await {
                    Ok(body) => Response::new(body),
                    Err(error) => {
                        let mut response = Response::new(error.public_message());
                        *response.status_mut() = error.status();
                        response
                    }
                })
            }
        }));
        let response = service.oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        Reply {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    /// The record of a session, as the store has it now.
    pub(crate) async fn stored(&self, id: SessionId) -> Option<Record> {
        let now = Clock::now(&self.clock);
        let record = match &self.store {
            Store::Memory(store) => store.load(id, now).await,
            Store::Moka(store) => store.load(id, now).await,
        };
        record.unwrap()
    }

    pub(crate) fn records(&self) -> u64 {
        match &self.store {
            Store::Memory(store) => store.record_count(),
            Store::Moka(store) => store.record_count(),
        }
    }
}

/// Says all that a request can see of its session.
pub(crate) async fn look(session: Session) -> Result<String, SessionError> {
    let status = session.status().await?;
    let owner = session.owner().await?;
    let owner = owner.as_ref().map_or("nobody", |owner| owner.as_str());
    let device = match session.device().await? {
        DeviceState::Bound { .. } => "bound".to_owned(),
        device => format!("{device:?}").to_lowercase(),
    };
    let count = session.get::<i64>("count").await?;
    let count = count.map_or("none".to_owned(), |count| count.to_string());
    assert_eq!(session.id().await?.is_some(), status == Status::Active);
    Ok(format!("{status:?} {owner} {device} {count}"))
}
