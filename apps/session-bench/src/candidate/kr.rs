//! tower-kr-session.

use axum::Router;
use tower_kr_session::{MemoryStore, MokaStore, Session, SessionKey, SessionLayer, SessionStore};

use crate::routes::{Handle, routes};

/// Room for half a million sessions and more: nothing is evicted in any scenario.
pub(crate) const CAPACITY_BYTES: u64 = 2 * 1024 * 1024 * 1024;

const COUNTER: SessionKey<i64> = SessionKey::new("counter");

pub(super) fn memory() -> Router {
    router(memory_store(CAPACITY_BYTES))
}

pub(super) fn moka() -> Router {
    router(moka_store(CAPACITY_BYTES))
}

pub(crate) fn memory_store(bytes: u64) -> MemoryStore {
    MemoryStore::builder().anonymous_bytes(bytes).build()
}

pub(crate) fn moka_store(bytes: u64) -> MokaStore {
    MokaStore::builder().anonymous_bytes(bytes).build()
}

pub(crate) fn router(store: impl SessionStore) -> Router {
    routes::<Session>().layer(SessionLayer::new(store))
}

impl Handle for Session {
    async fn counter(&self) -> Option<i64> {
        self.get(COUNTER).await.expect("a store that answers")
    }

    async fn set_counter(&self, counter: i64) {
        self.insert(COUNTER, &counter).expect("a valid change");
    }

    async fn text(&self, key: &'static str) -> Option<String> {
        self.get(key).await.expect("a store that answers")
    }

    async fn set_text(&self, key: &'static str, text: &str) {
        self.insert(key, text).expect("a valid change");
    }

    async fn increment(&self) {
        Session::increment(self, COUNTER, 1)
            .await
            .expect("a store that answers");
    }
}
