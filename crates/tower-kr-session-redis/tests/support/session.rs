//! A session in a store, and its holder.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::{Duration, SystemTime},
};

use tower_kr_session::{
    Owner, SessionId, SessionStore, StoreError, Timestamp,
    key::KeyBuf,
    store::{
        ApplyOutcome, CreateOutcome, Delta, IdleLimit, Instants, Operation, Record, SecretHash,
        SignIn,
    },
};
use tower_kr_session_redis::RedisStore;

pub(crate) const IDLE: IdleLimit = IdleLimit {
    timeout: Duration::from_secs(1_200),
    touch_interval: Duration::from_secs(60),
};
pub(crate) const ABSOLUTE: Duration = Duration::from_secs(43_200);

pub(crate) fn now() -> Timestamp {
    SystemTime::now().into()
}

pub(crate) fn secret() -> SecretHash {
    let mut bytes = [0; 32];
    for part in bytes.chunks_exact_mut(8) {
        let random = RandomState::new().build_hasher().finish();
        part.copy_from_slice(&random.to_le_bytes());
    }
    SecretHash::from_bytes(bytes)
}

pub(crate) fn owner(name: &str) -> Owner {
    Owner::new(&format!("{name} {}", SessionId::generate(now()))).expect("a valid owner")
}

pub(crate) fn key(name: &str) -> KeyBuf {
    KeyBuf::new(name).expect("a valid key")
}

pub(crate) fn set(name: &str, value: &str) -> Delta {
    let mut delta = Delta::new(u64::MAX);
    delta.change(key(name), Some(value.as_bytes().to_vec().into()));
    delta
}

pub(crate) fn increment() -> Delta {
    let mut delta = Delta::new(u64::MAX);
    delta.operation = Some((key("n"), Operation::Increment(1)));
    delta
}

pub(crate) fn touch() -> Delta {
    Delta::new(u64::MAX)
}

/// This much later than now.
pub(crate) fn later(duration: Duration) -> Timestamp {
    now().saturating_add(duration)
}

pub(crate) fn sign_in(owner: &Owner) -> Delta {
    let mut delta = Delta::new(u64::MAX);
    delta.sign_in = Some(SignIn::new(owner.clone(), now()));
    delta
}

#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) store: RedisStore,
    pub(crate) id: SessionId,
    pub(crate) secret: SecretHash,
}

impl Session {
    pub(crate) async fn create(store: &RedisStore) -> Self {
        let (session, record) = Self::prepare(store);
        let created = store.create(session.id, record, now()).await;
        assert_eq!(created.expect("create"), CreateOutcome::Created);
        session
    }

    /// A session that isn't in the store yet, and its record.
    pub(crate) fn prepare(store: &RedisStore) -> (Self, Record) {
        let session = Self {
            store: store.clone(),
            id: SessionId::generate(now()),
            secret: secret(),
        };
        let mut record = Record::new(session.secret, now(), IDLE, ABSOLUTE);
        record.values = [("color", "purple")].into_iter().collect();
        (session, record)
    }

    /// The same session through another store.
    pub(crate) fn through(&self, store: &RedisStore) -> Self {
        Self {
            store: store.clone(),
            ..*self
        }
    }

    /// The name of its key with the default prefix.
    pub(crate) fn key(&self) -> String {
        format!("kr:session:{}", self.id)
    }

    pub(crate) async fn apply(&self, delta: Delta) -> Result<ApplyOutcome, StoreError> {
        let at = Instants::at(now());
        self.store.apply(self.id, &self.secret, &delta, at).await
    }

    pub(crate) async fn apply_at(
        &self,
        delta: Delta,
        at: Timestamp,
    ) -> Result<ApplyOutcome, StoreError> {
        let at = Instants::at(at);
        self.store.apply(self.id, &self.secret, &delta, at).await
    }

    /// A session that this user has just signed in to.
    pub(crate) async fn signed_in(store: &RedisStore, user: &Owner) -> Self {
        let session = Self::create(store).await;
        let done = session.apply(sign_in(user)).await.expect("apply");
        assert!(matches!(done, ApplyOutcome::Applied(_)), "{done:?}");
        session
    }

    pub(crate) async fn increment(&self) -> Result<i64, StoreError> {
        match self.apply(increment()).await? {
            ApplyOutcome::Applied(receipt) => Ok(receipt.incremented.expect("a sum")),
            refused => panic!("refused: {refused:?}"),
        }
    }

    pub(crate) async fn try_load(&self) -> Result<Option<Record>, StoreError> {
        self.store.load(self.id, now()).await
    }

    pub(crate) async fn load(&self) -> Option<Record> {
        self.try_load().await.expect("load")
    }

    /// The counter that `increment` counts with, or this if it can't be had now.
    pub(crate) async fn count_or(&self, other: i64) -> i64 {
        match self.try_load().await {
            Ok(Some(record)) => counter(&record),
            _ => other,
        }
    }

    /// The counter that `increment` counts with.
    pub(crate) async fn count(&self) -> i64 {
        counter(&self.load().await.expect("the session is there"))
    }
}

fn counter(record: &Record) -> i64 {
    let digits = record.values.get("n").unwrap_or(b"0");
    let digits = str::from_utf8(digits).expect("digits");
    digits.parse().expect("a number")
}
