//! Erases the type of a store, so that no type parameter reaches a handler.

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
use super::{CreateOutcome, Cursor, Page, RemoveOutcome, SessionStore, SessionSummary, StoreError};
use crate::model::{
    ApplyOutcome, Delta, Instants, Owner, Record, SecretHash, SessionId, Timestamp,
};
#[cfg(feature = "metrics")]
use crate::telemetry::metrics::StoreTimer;

/// The in-memory table, which answers at once, or any other store.
pub(crate) enum ErasedStore {
    #[cfg(feature = "memory")]
    Memory(MemoryStore),
    Other(Box<dyn DynStore>),
}

/// The answer of a store to a call.
pub(crate) enum Answer<'a, T> {
    #[cfg_attr(not(feature = "memory"), expect(dead_code))]
    Now(Result<T, StoreError>),
    Later(Call<'a, T>),
}

/// A call that may have to wait.
pub(crate) struct Call<'a, T> {
    /// The name under which the time of the call is measured.
    #[cfg_attr(not(feature = "metrics"), expect(dead_code))]
    operation: Option<&'static str>,
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

    /// Returns whether each call is answered before it returns.
    pub(crate) const fn answers_at_once(&self) -> bool {
        !matches!(self, Self::Other(_))
    }

    pub(crate) fn largest_session(&self) -> Option<u64> {
        self.boxed().largest_session()
    }

    /// Returns the store behind boxed futures, for calls that are too rare for a way of their own.
    fn boxed(&self) -> &dyn DynStore {
        match self {
            #[cfg(feature = "memory")]
            Self::Memory(store) => store,
            Self::Other(store) => &**store,
        }
    }

    pub(crate) fn load(&self, id: SessionId, now: Timestamp) -> Answer<'_, Option<Arc<Record>>> {
        match self {
            #[cfg(feature = "memory")]
            Self::Memory(store) => Answer::Now(Ok(store.load_now(id, now))),
            Self::Other(store) => {
                let load = store.load(id, now);
                Answer::later("load", Box::pin(async { Ok(load.await?.map(Arc::new)) }))
            }
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
        delta: &'a Delta,
        at: Instants,
    ) -> Answer<'a, ApplyOutcome> {
        match self {
            #[cfg(feature = "memory")]
            Self::Memory(store) => Answer::Now(Ok(store.apply_now(id, secret, delta, at))),
            Self::Other(store) => Answer::later("apply", store.apply(id, secret, delta, at)),
        }
    }

    pub(crate) fn remove<'a>(
        &'a self,
        id: SessionId,
        secret: Option<&'a SecretHash>,
        at: Instants,
    ) -> Answer<'a, RemoveOutcome> {
        self.rare("remove", self.boxed().remove(id, secret, at))
    }

    pub(crate) fn remove_each<'a>(
        &'a self,
        ids: &'a [SessionId],
        at: Instants,
    ) -> Answer<'a, Vec<RemoveOutcome>> {
        self.rare("remove_each", self.boxed().remove_each(ids, at))
    }

    pub(crate) fn list<'a>(
        &'a self,
        owner: &'a Owner,
        now: Timestamp,
    ) -> Answer<'a, Vec<SessionSummary>> {
        self.rare("list", self.boxed().list(owner, now))
    }

    pub(crate) fn list_up_to<'a>(
        &'a self,
        owner: &'a Owner,
        most: usize,
        now: Timestamp,
    ) -> Answer<'a, Vec<SessionSummary>> {
        self.rare("list_up_to", self.boxed().list_up_to(owner, most, now))
    }

    pub(crate) fn remove_owned<'a>(
        &'a self,
        owner: &'a Owner,
        except: Option<SessionId>,
        now: Timestamp,
    ) -> Answer<'a, u64> {
        self.rare(
            "remove_owned",
            self.boxed().remove_owned(owner, except, now),
        )
    }

    pub(crate) fn page<'a>(
        &'a self,
        after: Option<&'a Cursor>,
        most: usize,
        now: Timestamp,
    ) -> Answer<'a, Page> {
        self.rare("page", self.boxed().page(after, most, now))
    }

    pub(crate) fn count(&self, now: Timestamp) -> Answer<'_, Option<u64>> {
        self.rare("count", self.boxed().count(now))
    }

    fn rare<'a, T>(&self, operation: &'static str, future: Boxed<'a, T>) -> Answer<'a, T> {
        Answer::Later(Call {
            operation: (!self.answers_at_once()).then_some(operation),
            future,
        })
    }
}

impl<'a, T> Answer<'a, T> {
    fn later(operation: &'static str, future: Boxed<'a, T>) -> Self {
        let operation = Some(operation);
        Self::Later(Call { operation, future })
    }

    /// Returns the answer, or an error if it takes longer than `io_timeout`.
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
        let timer = self.operation.map(StoreTimer::start);
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
        if let Some(timer) = timer {
            timer.stop(&answer);
        }
        answer
    }
}

/// Declares [`Other`]: [`SessionStore`] with boxed futures, which can be a trait object.
macro_rules! boxed {
    ($(fn $call:ident($($argument:ident: $kind:ty),*) -> $answer:ty;)*) => {
        pub(crate) trait DynStore: Send + Sync {
            $(fn $call<'a>(&'a self, $($argument: $kind),*) -> Boxed<'a, $answer>;)*
            fn largest_session(&self) -> Option<u64>;
        }

        impl<S: SessionStore> DynStore for S {
            $(fn $call<'a>(&'a self, $($argument: $kind),*) -> Boxed<'a, $answer> {
                Box::pin(SessionStore::$call(self, $($argument),*))
            })*

            fn largest_session(&self) -> Option<u64> {
                SessionStore::largest_session(self)
            }
        }
    };
}

boxed! {
    fn load(id: SessionId, now: Timestamp) -> Option<Record>;
    fn create(id: SessionId, record: Record, now: Timestamp) -> CreateOutcome;
    fn apply(id: SessionId, secret: &'a SecretHash, delta: &'a Delta, at: Instants) -> ApplyOutcome;
    fn remove(id: SessionId, secret: Option<&'a SecretHash>, at: Instants) -> RemoveOutcome;
    fn remove_each(ids: &'a [SessionId], at: Instants) -> Vec<RemoveOutcome>;
    fn list(owner: &'a Owner, now: Timestamp) -> Vec<SessionSummary>;
    fn list_up_to(owner: &'a Owner, most: usize, now: Timestamp) -> Vec<SessionSummary>;
    fn remove_owned(owner: &'a Owner, except: Option<SessionId>, now: Timestamp) -> u64;
    fn page(after: Option<&'a Cursor>, most: usize, now: Timestamp) -> Page;
    fn count(now: Timestamp) -> Option<u64>;
}
