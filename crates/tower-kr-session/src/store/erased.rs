//! Any store behind one type, so that no type parameter reaches a handler.

#[cfg(feature = "memory")]
use std::any::Any;
use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

#[cfg(feature = "memory")]
use super::memory::MemoryStore;
use super::{CreateOutcome, RemoveOutcome, SessionStore, SessionSummary, StoreError};
use crate::model::{
    ApplyOutcome, Delta, Instants, Owner, Record, SecretHash, SessionId, Timestamp,
};
#[cfg(feature = "metrics")]
use crate::telemetry::metrics::StoreTimer;

/// The in-memory store, which answers at once, or any other one.
pub(crate) enum ErasedStore {
    #[cfg(feature = "memory")]
    Memory(MemoryStore),
    Other(Box<dyn Other>),
}

/// What a store says to a call.
pub(crate) enum Answer<'a, T> {
    #[cfg_attr(not(feature = "memory"), expect(dead_code))]
    Now(Result<T, StoreError>),
    Later(Call<'a, T>),
}

/// A call that may have to wait.
pub(crate) struct Call<'a, T> {
    #[cfg_attr(not(feature = "metrics"), expect(dead_code))]
    operation: &'static str,
    future: Boxed<'a, T>,
}

type Boxed<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

impl ErasedStore {
    #[cfg(feature = "memory")]
    pub(crate) fn new(store: impl SessionStore) -> Self {
        let any: &dyn Any = &store;
        let memory = any
            .downcast_ref::<MemoryStore>()
            .or_else(|| any.downcast_ref::<Arc<MemoryStore>>().map(|store| &**store));
        match memory {
            Some(memory) => Self::Memory(memory.clone()),
            None => Self::Other(Box::new(store)),
        }
    }

    #[cfg(not(feature = "memory"))]
    pub(crate) fn new(store: impl SessionStore) -> Self {
        Self::Other(Box::new(store))
    }

    /// Whether each call is answered before it returns.
    pub(crate) const fn answers_at_once(&self) -> bool {
        !matches!(self, Self::Other(_))
    }

    pub(crate) fn largest_session(&self) -> Option<u64> {
        match self {
            #[cfg(feature = "memory")]
            Self::Memory(store) => SessionStore::largest_session(store),
            Self::Other(store) => store.largest_session(),
        }
    }

    pub(crate) fn load(&self, id: SessionId, now: Timestamp) -> Answer<'_, Option<Arc<Record>>> {
        match self {
            #[cfg(feature = "memory")]
            Self::Memory(store) => Answer::Now(Ok(store.load_now(id, now))),
            Self::Other(store) => Answer::later("load", store.load(id, now)),
        }
    }

    pub(crate) fn create(
        &self,
        id: SessionId,
        record: Record,
        now: Timestamp,
    ) -> Answer<'_, CreateOutcome> {
        match self {
            #[cfg(feature = "memory")]
            Self::Memory(store) => Answer::Now(Ok(store.create_now(id, record, now))),
            Self::Other(store) => Answer::later("create", store.create(id, record, now)),
        }
    }

    pub(crate) fn apply<'a>(
        &'a self,
        id: SessionId,
        secret: &'a SecretHash,
        delta: &Delta,
        at: Instants,
    ) -> Answer<'a, ApplyOutcome> {
        match self {
            #[cfg(feature = "memory")]
            Self::Memory(store) => Answer::Now(Ok(store.apply_now(id, secret, delta, at))),
            Self::Other(store) => {
                Answer::later("apply", store.apply(id, secret, delta.clone(), at))
            }
        }
    }

    pub(crate) fn remove<'a>(
        &'a self,
        id: SessionId,
        secret: Option<&'a SecretHash>,
        at: Instants,
    ) -> Answer<'a, RemoveOutcome> {
        match self {
            #[cfg(feature = "memory")]
            Self::Memory(store) => Answer::Now(Ok(store.remove_now(id, secret, at))),
            Self::Other(store) => Answer::later("remove", store.remove(id, secret, at)),
        }
    }

    pub(crate) fn list<'a>(
        &'a self,
        owner: &'a Owner,
        now: Timestamp,
    ) -> Answer<'a, Vec<SessionSummary>> {
        match self {
            #[cfg(feature = "memory")]
            Self::Memory(store) => Answer::Now(Ok(store.list_now(owner, now))),
            Self::Other(store) => Answer::later("list", store.list(owner, now)),
        }
    }

    pub(crate) fn remove_owned<'a>(
        &'a self,
        owner: &'a Owner,
        except: Option<SessionId>,
        now: Timestamp,
    ) -> Answer<'a, u64> {
        match self {
            #[cfg(feature = "memory")]
            Self::Memory(store) => Answer::Now(Ok(store.remove_owned_now(owner, except, now))),
            Self::Other(store) => {
                Answer::later("remove_owned", store.remove_owned(owner, except, now))
            }
        }
    }
}

impl<'a, T> Answer<'a, T> {
    fn later(operation: &'static str, future: Boxed<'a, T>) -> Self {
        Self::Later(Call { operation, future })
    }

    /// The answer, or an error if it takes longer than `io_timeout`.
    pub(crate) async fn within(self, io_timeout: Duration) -> Result<T, StoreError> {
        match self {
            Self::Now(answer) => answer,
            Self::Later(call) => call.within(io_timeout).await,
        }
    }
}

impl<T> Call<'_, T> {
    /// Waits for the answer, at most for `io_timeout`, and measures how long it takes.
    pub(crate) async fn within(self, io_timeout: Duration) -> Result<T, StoreError> {
        let mut future = self.future;
        #[cfg(feature = "metrics")]
        let timer = StoreTimer::start(self.operation);
        // The deadline is set when the first poll is pending: a call that is answered by then needs
        // no timer.
        let mut deadline = None;
        let answer = poll_fn(|context| {
            if let Poll::Ready(answer) = future.as_mut().poll(context) {
                return Poll::Ready(answer);
            }
            let deadline = deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(io_timeout)));
            let elapsed = deadline.as_mut().poll(context);
            elapsed.map(|()| Err(StoreError::TimedOut))
        })
        .await;
        #[cfg(feature = "metrics")]
        timer.stop(&answer);
        answer
    }
}

/// [`SessionStore`] with boxed futures: the form of it that can be a trait object.
pub(crate) trait Other: Send + Sync {
    fn load(&self, id: SessionId, now: Timestamp) -> Boxed<'_, Option<Arc<Record>>>;
    fn create(&self, id: SessionId, record: Record, now: Timestamp) -> Boxed<'_, CreateOutcome>;
    fn apply<'a>(
        &'a self,
        id: SessionId,
        secret: &'a SecretHash,
        delta: Delta,
        at: Instants,
    ) -> Boxed<'a, ApplyOutcome>;
    fn remove<'a>(
        &'a self,
        id: SessionId,
        secret: Option<&'a SecretHash>,
        at: Instants,
    ) -> Boxed<'a, RemoveOutcome>;
    fn list<'a>(&'a self, owner: &'a Owner, now: Timestamp) -> Boxed<'a, Vec<SessionSummary>>;
    fn remove_owned<'a>(
        &'a self,
        owner: &'a Owner,
        except: Option<SessionId>,
        now: Timestamp,
    ) -> Boxed<'a, u64>;
    fn largest_session(&self) -> Option<u64>;
}

impl<S: SessionStore> Other for S {
    fn load(&self, id: SessionId, now: Timestamp) -> Boxed<'_, Option<Arc<Record>>> {
        Box::pin(async move {
            let record = SessionStore::load(self, id, now).await?;
            Ok(record.map(Arc::new))
        })
    }

    fn create(&self, id: SessionId, record: Record, now: Timestamp) -> Boxed<'_, CreateOutcome> {
        Box::pin(SessionStore::create(self, id, record, now))
    }

    fn apply<'a>(
        &'a self,
        id: SessionId,
        secret: &'a SecretHash,
        delta: Delta,
        at: Instants,
    ) -> Boxed<'a, ApplyOutcome> {
        Box::pin(SessionStore::apply(self, id, secret, delta, at))
    }

    fn remove<'a>(
        &'a self,
        id: SessionId,
        secret: Option<&'a SecretHash>,
        at: Instants,
    ) -> Boxed<'a, RemoveOutcome> {
        Box::pin(SessionStore::remove(self, id, secret, at))
    }

    fn list<'a>(&'a self, owner: &'a Owner, now: Timestamp) -> Boxed<'a, Vec<SessionSummary>> {
        Box::pin(SessionStore::list(self, owner, now))
    }

    fn remove_owned<'a>(
        &'a self,
        owner: &'a Owner,
        except: Option<SessionId>,
        now: Timestamp,
    ) -> Boxed<'a, u64> {
        Box::pin(SessionStore::remove_owned(self, owner, except, now))
    }

    fn largest_session(&self) -> Option<u64> {
        SessionStore::largest_session(self)
    }
}
