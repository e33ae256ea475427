//! The contract suite: the rules that every store keeps, as tests for any harness.
//!
//! Needs the feature `contract`. Each [`Rule`] gets two connections to the same data, so that races
//! go through both; a store within one process passes itself twice. A rule creates its own ids and
//! owners, so all rules can run on one database, at the same time, and again. It panics if the
//! store breaks it.
//!
//! ```
//! use std::sync::Arc;
//! use tower_kr_session::{MemoryStore, store::contract};
//!
//! # tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
//! let store = Arc::new(MemoryStore::new());
//! for rule in contract::rules() {
//!     rule.check(Arc::clone(&store), Arc::clone(&store)).await;
//! }
//! # });
//! # Ok::<(), std::io::Error>(())
//! ```

#[cfg(feature = "device-bound")]
mod device;
mod limits;
mod model;
mod owners;
mod pages;
mod races;
mod records;
mod seen;
mod values;

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;

use crate::{
    model::{
        ApplyOutcome, Delta, IdleLimit, Instants, NewToken, Operation, Owner, Receipt, Record,
        SecretHash, SessionId, SignIn, Timestamp, key::KeyBuf,
    },
    store::{CreateOutcome, SessionStore},
};

type Check<S> = fn(Connections<S>) -> Pin<Box<dyn Future<Output = ()> + Send>>;

/// A rule of the contract.
pub struct Rule<S> {
    name: &'static str,
    check: Check<S>,
}

impl<S: SessionStore> Rule<S> {
    /// Returns the name of the rule, such as `create_never_overwrites`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Checks the rule through two connections to the same data.
    ///
    /// # Panics
    /// If the store breaks the rule, or can't answer.
    pub async fn check(&self, first: Arc<S>, second: Arc<S>) {
        (self.check)(Connections { first, second }).await;
    }
}

impl<S> fmt::Debug for Rule<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Rule").field(&self.name).finish()
    }
}

/// Returns all rules.
#[must_use]
pub fn rules<S: SessionStore>() -> Vec<Rule<S>> {
    [
        records::rules(),
        values::rules(),
        limits::rules(),
        owners::rules(),
        pages::rules(),
        races::rules(),
        seen::rules(),
        model::rules(),
        #[cfg(feature = "device-bound")]
        device::rules(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Lists async functions as rules that have their names.
macro_rules! rule_list {
    ($($check:ident),* $(,)?) => {
        pub(super) fn rules<S: $crate::store::SessionStore>() -> Vec<super::Rule<S>> {
            vec![$(super::Rule {
                name: stringify!($check),
                check: |connections| Box::pin($check(connections)),
            }),*]
        }
    };
}
use rule_list;

/// Two connections to the same data.
struct Connections<S> {
    first: Arc<S>,
    second: Arc<S>,
}

const IDLE: IdleLimit = IdleLimit {
    timeout: Duration::from_secs(20),
    touch_interval: Duration::from_secs(1),
};
const ABSOLUTE: Duration = Duration::from_secs(600);
const NO_LIMIT: u64 = 64 * 1024 * 1024;

fn now() -> Timestamp {
    SystemTime::now().into()
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Returns an owner that no other run of any rule has.
fn owner(name: &str) -> Owner {
    let unique = SessionId::generate(now());
    Owner::new(&format!("{name}-{unique}")).expect("a valid owner")
}

fn key(name: &str) -> KeyBuf {
    KeyBuf::new(name).expect("a valid key")
}

fn secret() -> SecretHash {
    *NewToken::generate(now(), "contract").token.secret_hash()
}

fn delta() -> Delta {
    Delta::new(NO_LIMIT)
}

fn set(name: &str, value: impl AsRef<[u8]>) -> Delta {
    let mut delta = delta();
    delta.change(key(name), Some(Bytes::copy_from_slice(value.as_ref())));
    delta
}

fn increment(name: &str, by: i64) -> Delta {
    let mut delta = delta();
    delta.operation = Some((key(name), Operation::Increment(by)));
    delta
}

fn compare_and_set(name: &str, expected: Option<&[u8]>, new: Option<&[u8]>) -> Delta {
    let mut delta = delta();
    let operation = Operation::CompareAndSet {
        expected: expected.map(Bytes::copy_from_slice),
        new: new.map(Bytes::copy_from_slice),
    };
    delta.operation = Some((key(name), operation));
    delta
}

fn rotate(secret: SecretHash) -> Delta {
    let mut delta = delta();
    delta.rotate = Some(secret);
    delta
}

fn sign_in(owner: &Owner, authenticated_at: Timestamp) -> Delta {
    let mut delta = delta();
    delta.sign_in = Some(SignIn::new(owner.clone(), authenticated_at));
    delta
}

fn receipt(applied: ApplyOutcome) -> Receipt {
    match applied {
        ApplyOutcome::Applied(receipt) => receipt,
        refused => panic!("expected the delta to be applied, got {refused:?}"),
    }
}

/// A session in a store, and the secret that a client holds.
struct Subject<S> {
    store: Arc<S>,
    id: SessionId,
    secret: SecretHash,
    start: Timestamp,
}

impl<S> Clone for Subject<S> {
    fn clone(&self) -> Self {
        Self {
            store: Arc::clone(&self.store),
            ..*self
        }
    }
}

impl<S: SessionStore> Connections<S> {
    /// Creates a session with these values.
    async fn session(&self, values: &[(&str, &str)]) -> Subject<S> {
        self.session_with(|record| record.values = values.iter().copied().collect())
            .await
    }

    async fn session_with(&self, prepare: impl FnOnce(&mut Record)) -> Subject<S> {
        let start = now();
        let subject = Subject {
            store: Arc::clone(&self.first),
            id: SessionId::generate(start),
            secret: secret(),
            start,
        };
        let mut record = Record::new(subject.secret, start, IDLE, ABSOLUTE);
        prepare(&mut record);
        let created = self.first.create(subject.id, record, start).await;
        assert_eq!(created.expect("create"), CreateOutcome::Created);
        subject
    }
}

impl<S: SessionStore> Subject<S> {
    /// Returns the same session through another connection.
    fn through(&self, store: &Arc<S>) -> Self {
        Self {
            store: Arc::clone(store),
            ..*self
        }
    }

    /// Returns the same session with another secret.
    fn holding(&self, secret: SecretHash) -> Self {
        Self {
            secret,
            ..self.clone()
        }
    }

    fn at(&self, since_start: Duration) -> Timestamp {
        self.start.saturating_add(since_start)
    }

    async fn load(&self) -> Option<Record> {
        self.load_at(Duration::ZERO).await
    }

    async fn load_at(&self, since_start: Duration) -> Option<Record> {
        let record = self.store.load(self.id, self.at(since_start)).await;
        let mut record = record.expect("load")?;
        // How a store counts is its own affair.
        record.revision = 0;
        Some(record)
    }

    /// Returns the record as a request sees it that then writes.
    async fn seen(&self) -> Option<Arc<Record>> {
        let record = self.store.load(self.id, self.start).await;
        record.expect("load").map(Arc::new)
    }

    /// Returns the record, which must exist.
    async fn record(&self) -> Record {
        self.load().await.expect("the session must be there")
    }

    async fn value(&self, name: &str) -> Option<Vec<u8>> {
        self.record().await.values.get(name).map(<[u8]>::to_vec)
    }

    async fn apply(&self, delta: Delta) -> ApplyOutcome {
        self.apply_at(delta, Instants::at(self.start)).await
    }

    async fn apply_at(&self, delta: Delta, at: Instants) -> ApplyOutcome {
        let applied = self.store.apply(self.id, &self.secret, &delta, at).await;
        applied.expect("apply")
    }
}
