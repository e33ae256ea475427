//! What the tests of both databases share.

pub(crate) mod browser;
pub(crate) mod calls;
pub(crate) mod common;

use std::time::{Duration, SystemTime};

use tower_kr_session::{
    SessionId, SessionStore, StoreError, Timestamp,
    key::KeyBuf,
    store::{
        ApplyOutcome, CreateOutcome, Delta, IdleLimit, Instants, Operation, Record, SecretHash,
    },
};

pub(crate) use test_support::eventually as until;

pub(crate) const IDLE: IdleLimit = IdleLimit {
    timeout: Duration::from_secs(1200),
    touch_interval: Duration::from_secs(60),
};
pub(crate) const ABSOLUTE: Duration = Duration::from_secs(12 * 3600);

/// Nothing here takes this long unless it is broken.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) fn now() -> Timestamp {
    SystemTime::now().into()
}

/// The guide's SQL, for teams that run their migrations themselves, is the one that is tested here.
pub(crate) fn assert_in_guide(sql: &str) {
    let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guides/sql.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    assert!(guide.contains(sql), "the guide lacks:\n{sql}");
}

pub(crate) fn key(name: &str) -> KeyBuf {
    KeyBuf::new(name).unwrap()
}

pub(crate) fn delta() -> Delta {
    Delta::new(64 * 1024 * 1024)
}

pub(crate) fn set(name: &str, value: &[u8]) -> Delta {
    let mut delta = delta();
    delta.change(key(name), Some(value.to_vec().into()));
    delta
}

pub(crate) fn increment() -> Delta {
    let mut delta = delta();
    delta.operation = Some((key("n"), Operation::Increment(1)));
    delta
}

/// 32 bytes that nobody else has.
pub(crate) fn secret() -> SecretHash {
    let mut bytes = [0; 32];
    for half in bytes.chunks_mut(16) {
        half.copy_from_slice(SessionId::generate(now()).as_bytes());
    }
    SecretHash::from_bytes(bytes)
}

/// Who holds a session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Holder {
    pub(crate) id: SessionId,
    pub(crate) secret: SecretHash,
}

impl Holder {
    pub(crate) async fn new(store: &impl SessionStore) -> Self {
        Self::with(store, |_| {}).await
    }

    pub(crate) async fn with(store: &impl SessionStore, prepare: impl FnOnce(&mut Record)) -> Self {
        let id = SessionId::generate(now());
        Self::at(store, id, prepare).await
    }

    /// A session of this id.
    pub(crate) async fn at(
        store: &impl SessionStore,
        id: SessionId,
        prepare: impl FnOnce(&mut Record),
    ) -> Self {
        let holder = Self {
            id,
            secret: secret(),
        };
        let mut record = Record::new(holder.secret, now(), IDLE, ABSOLUTE);
        prepare(&mut record);
        let created = store.create(holder.id, record, now()).await.unwrap();
        assert_eq!(created, CreateOutcome::Created);
        holder
    }

    /// Who has this session's public id and makes up a secret.
    pub(crate) fn stranger(&self) -> Self {
        Self {
            secret: secret(),
            ..*self
        }
    }

    pub(crate) async fn apply(
        &self,
        store: &impl SessionStore,
        delta: Delta,
    ) -> Result<ApplyOutcome, StoreError> {
        let at = Instants::at(now());
        store.apply(self.id, &self.secret, &delta, at).await
    }

    /// The new count, if it was counted.
    pub(crate) async fn increment(&self, store: &impl SessionStore) -> Result<i64, StoreError> {
        match self.apply(store, increment()).await? {
            ApplyOutcome::Applied(receipt) => Ok(receipt.incremented.unwrap()),
            other => panic!("expected a count, got {other:?}"),
        }
    }

    pub(crate) async fn record(&self, store: &impl SessionStore) -> Record {
        store.load(self.id, now()).await.unwrap().unwrap()
    }

    pub(crate) async fn count(&self, store: &impl SessionStore) -> i64 {
        let record = self.record(store).await;
        let digits = record.values.get("n").unwrap_or(b"0");
        str::from_utf8(digits).unwrap().parse().unwrap()
    }
}
