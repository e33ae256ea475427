//! The object-safe twin of [`SessionStore`], so that no type parameter reaches a handler, and the I/O timeout around each call.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

#[cfg(feature = "metrics")]
use crate::telemetry::metrics::StoreTimer;
use crate::{
    model::{ApplyOutcome, Delta, Instants, Owner, Record, SecretHash, SessionId, Timestamp},
    store::{
        CreateOutcome, ImmediateStore, RemoveOutcome, SessionStore, SessionSummary, StoreError,
    },
};

type Boxed<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

trait Erased: Send + Sync {
    fn load(&self, id: SessionId, now: Timestamp) -> Boxed<'_, Option<Record>>;
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
    fn immediate(&self) -> Option<&dyn ImmediateStore>;
}

impl<S: SessionStore> Erased for S {
    fn load(&self, id: SessionId, now: Timestamp) -> Boxed<'_, Option<Record>> {
        Box::pin(SessionStore::load(self, id, now))
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

    fn immediate(&self) -> Option<&dyn ImmediateStore> {
        SessionStore::immediate(self)
    }
}

/// Any store. A call ends within the I/O timeout; one on a store without I/O is made in place.
pub(crate) struct ErasedStore {
    store: Box<dyn Erased>,
}

impl ErasedStore {
    pub(crate) fn new(store: impl SessionStore) -> Self {
        Self {
            store: Box::new(store),
        }
    }

    /// The store, if it needs no I/O.
    pub(crate) fn immediate(&self) -> Option<&dyn ImmediateStore> {
        self.store.immediate()
    }

    pub(crate) fn needs_io(&self) -> bool {
        self.immediate().is_none()
    }

    pub(crate) fn largest_session(&self) -> Option<u64> {
        self.store.largest_session()
    }

    pub(crate) async fn load(
        &self,
        timeout: Duration,
        id: SessionId,
        now: Timestamp,
    ) -> Result<Option<Arc<Record>>, StoreError> {
        match self.store.immediate() {
            Some(store) => store.load_now(id, now),
            None => {
                let answer = self.call("load", timeout, self.store.load(id, now)).await;
                answer.map(|record| record.map(Arc::new))
            }
        }
    }

    pub(crate) async fn create(
        &self,
        timeout: Duration,
        id: SessionId,
        record: Record,
        now: Timestamp,
    ) -> Result<CreateOutcome, StoreError> {
        match self.store.immediate() {
            Some(store) => store.create_now(id, record, now),
            None => {
                self.call("create", timeout, self.store.create(id, record, now))
                    .await
            }
        }
    }

    /// For a store with I/O. One without takes the delta by reference: [`ImmediateStore::apply_now`].
    pub(crate) async fn apply(
        &self,
        timeout: Duration,
        id: SessionId,
        secret: &SecretHash,
        delta: Delta,
        at: Instants,
    ) -> Result<ApplyOutcome, StoreError> {
        self.call("apply", timeout, self.store.apply(id, secret, delta, at))
            .await
    }

    pub(crate) async fn remove(
        &self,
        timeout: Duration,
        id: SessionId,
        secret: Option<&SecretHash>,
        at: Instants,
    ) -> Result<RemoveOutcome, StoreError> {
        match self.store.immediate() {
            Some(store) => store.remove_now(id, secret, at),
            None => {
                self.call("remove", timeout, self.store.remove(id, secret, at))
                    .await
            }
        }
    }

    pub(crate) async fn list(
        &self,
        timeout: Duration,
        owner: &Owner,
        now: Timestamp,
    ) -> Result<Vec<SessionSummary>, StoreError> {
        self.call("list", timeout, self.store.list(owner, now))
            .await
    }

    pub(crate) async fn remove_owned(
        &self,
        timeout: Duration,
        owner: &Owner,
        except: Option<SessionId>,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        self.call(
            "remove_owned",
            timeout,
            self.store.remove_owned(owner, except, now),
        )
        .await
    }

    /// Makes a call, and measures how long the store takes if it needs I/O.
    #[cfg_attr(not(feature = "metrics"), expect(unused_variables))]
    async fn call<T>(
        &self,
        operation: &'static str,
        timeout: Duration,
        call: Boxed<'_, T>,
    ) -> Result<T, StoreError> {
        #[cfg(feature = "metrics")]
        let timer = self.needs_io().then(|| StoreTimer::start(operation));
        let answer = timed(timeout, call).await;
        #[cfg(feature = "metrics")]
        if let Some(timer) = timer {
            timer.stop(&answer);
        }
        answer
    }
}

/// Cuts the call off after `timeout`. The timer is made when the first poll is pending, apart from the future, which it would
/// make larger.
async fn timed<T>(timeout: Duration, mut call: Boxed<'_, T>) -> Result<T, StoreError> {
    let mut timer = None;
    poll_fn(|context: &mut Context<'_>| {
        if let Poll::Ready(answer) = call.as_mut().poll(context) {
            return Poll::Ready(answer);
        }
        let timer = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        timer
            .as_mut()
            .poll(context)
            .map(|()| Err(StoreError::TimedOut))
    })
    .await
}
