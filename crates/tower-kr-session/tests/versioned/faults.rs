//! A connection that breaks: one of its calls fails, hangs or arrives late.

use std::{
    future::pending,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tower_kr_session::{
    StoreError,
    store::{StoreKey, StoreValue, Version, VersionedStore},
};

use crate::map_store::MapStore;

/// What becomes of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It fails, and nothing was done.
    FailBefore,
    /// It is done, and fails.
    FailAfter,
    /// It never arrives, and never answers.
    HangBefore,
    /// It is done, and never answers.
    HangAfter,
    /// It never answers, and is done when everything else has ended.
    Late,
}

pub(crate) const FATES: [Fate; 5] = [
    Fate::FailBefore,
    Fate::FailAfter,
    Fate::HangBefore,
    Fate::HangAfter,
    Fate::Late,
];

enum Call {
    Get(StoreKey),
    Put(StoreKey, Option<Version>, StoreValue, Duration),
    Delete(StoreKey, Version),
}

enum Answer {
    Value(Option<(Version, Bytes)>),
    Done(bool),
}

/// One process's way to the store. Each call waits for its turn in a schedule: it is done in the
/// poll after the one that began it.
pub(crate) struct Connection {
    store: Arc<MapStore>,
    calls: AtomicUsize,
    fate: Option<(usize, Fate)>,
    late: Mutex<Option<Call>>,
    hangs: AtomicBool,
}

impl Connection {
    /// A connection whose n-th call may have a fate.
    pub(crate) fn new(store: &Arc<MapStore>, fate: Option<(usize, Fate)>) -> Arc<Self> {
        Arc::new(Self {
            store: Arc::clone(store),
            calls: AtomicUsize::new(0),
            fate,
            late: Mutex::default(),
            hangs: AtomicBool::new(false),
        })
    }

    /// How many calls were made.
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// Whether a call will never answer.
    pub(crate) fn hangs(&self) -> bool {
        self.hangs.load(Ordering::SeqCst)
    }

    /// Lets the late call arrive.
    pub(crate) async fn deliver(&self) {
        let late = self.late.lock().unwrap().take();
        if let Some(call) = late {
            self.perform(call).await.unwrap();
        }
    }

    async fn call(&self, call: Call) -> Result<Answer, StoreError> {
        tokio::task::yield_now().await;
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        let broken = || StoreError::unavailable("the connection broke");
        match self.fate.filter(|(nth, _)| *nth == number) {
            None => self.perform(call).await,
            Some((_, Fate::FailBefore)) => Err(broken()),
            Some((_, Fate::FailAfter)) => {
                self.perform(call).await?;
                Err(broken())
            }
            Some((_, Fate::HangBefore)) => self.hang().await,
            Some((_, Fate::HangAfter)) => {
                self.perform(call).await?;
                self.hang().await
            }
            Some((_, Fate::Late)) => {
                *self.late.lock().unwrap() = Some(call);
                self.hang().await
            }
        }
    }

    async fn hang<T>(&self) -> T {
        self.hangs.store(true, Ordering::SeqCst);
        pending().await
    }

    async fn perform(&self, call: Call) -> Result<Answer, StoreError> {
        match call {
            Call::Get(key) => self.store.get(&key).await.map(Answer::Value),
            Call::Put(key, expected, value, keep_for) => {
                let put = self.store.put_if(&key, expected, value, keep_for);
                put.await.map(Answer::Done)
            }
            Call::Delete(key, expected) => {
                let deleted = self.store.delete_if(&key, expected).await;
                deleted.map(Answer::Done)
            }
        }
    }
}

impl VersionedStore for Connection {
    async fn get(&self, key: &StoreKey) -> Result<Option<(Version, Bytes)>, StoreError> {
        match self.call(Call::Get(*key)).await? {
            Answer::Value(value) => Ok(value),
            Answer::Done(_) => unreachable!("a get answers a value"),
        }
    }

    async fn put_if(
        &self,
        key: &StoreKey,
        expected: Option<Version>,
        value: StoreValue,
        keep_for: Duration,
    ) -> Result<bool, StoreError> {
        done(self.call(Call::Put(*key, expected, value, keep_for)).await)
    }

    async fn delete_if(&self, key: &StoreKey, expected: Version) -> Result<bool, StoreError> {
        done(self.call(Call::Delete(*key, expected)).await)
    }

    fn may_evict(&self) -> bool {
        self.store.may_evict()
    }
}

fn done(answer: Result<Answer, StoreError>) -> Result<bool, StoreError> {
    match answer? {
        Answer::Done(done) => Ok(done),
        Answer::Value(_) => unreachable!("a write answers whether it was done"),
    }
}
