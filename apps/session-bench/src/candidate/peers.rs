//! The other session layers, each set up as in its documentation, with our default idle timeout.

use axum::Router;
use axum_session::{SessionConfig, SessionNullPool, SessionStore};
use time::Duration;

use crate::routes::{Handle, routes};

const IDLE_TIMEOUT: Duration = Duration::minutes(20);

const COUNTER: &str = "counter";

pub(super) fn tower_sessions() -> Router {
    use tower_sessions::{Expiry, MemoryStore, Session, SessionManagerLayer};
    let layer = SessionManagerLayer::new(MemoryStore::default())
        .with_expiry(Expiry::OnInactivity(IDLE_TIMEOUT));
    routes::<Session>().layer(layer)
}

/// tower-sessions on our store in memory.
pub(super) fn kr_bridge() -> Router {
    use tower_kr_session_compat::tower_sessions_0_15::{Expiry, Session, SessionManagerLayer};
    let store = super::kr::memory_store(super::kr::CAPACITY_BYTES);
    let layer = SessionManagerLayer::new(store).with_expiry(Expiry::OnInactivity(IDLE_TIMEOUT));
    routes::<Session>().layer(layer)
}

/// The moka store is published for 0.14 only.
pub(super) fn tower_sessions_moka() -> Router {
    use tower_sessions_0_14::{Expiry, Session, SessionManagerLayer};
    use tower_sessions_moka_store::MokaStore;
    let layer = SessionManagerLayer::new(MokaStore::new(None))
        .with_expiry(Expiry::OnInactivity(IDLE_TIMEOUT));
    routes::<Session>().layer(layer)
}

/// Builds the router. Needs a runtime, since the layer starts a task.
pub(super) fn axum_session() -> Router {
    let config = SessionConfig::new().with_lifetime(IDLE_TIMEOUT);
    let store = SessionStore::<SessionNullPool>::new(None, config);
    let store = crate::drive::ready(store).expect("a store in memory");
    routes::<axum_session::Session<SessionNullPool>>().layer(axum_session::SessionLayer::new(store))
}

/// Implements the routes for both releases, which have the same calls but not the same types.
macro_rules! tower_sessions_handle {
    ($session:ty) => {
        impl Handle for $session {
            async fn counter(&self) -> Option<i64> {
                self.get(COUNTER).await.expect("a store that answers")
            }

            async fn set_counter(&self, counter: i64) {
                self.insert(COUNTER, counter)
                    .await
                    .expect("a store that answers");
            }

            async fn text(&self, key: &'static str) -> Option<String> {
                self.get(key).await.expect("a store that answers")
            }

            async fn set_text(&self, key: &'static str, text: &str) {
                self.insert(key, text).await.expect("a store that answers");
            }
        }
    };
}

tower_sessions_handle!(tower_sessions::Session);
tower_sessions_handle!(tower_sessions_0_14::Session);

impl Handle for axum_session::Session<SessionNullPool> {
    async fn counter(&self) -> Option<i64> {
        self.get(COUNTER)
    }

    async fn set_counter(&self, counter: i64) {
        self.set(COUNTER, counter);
    }

    async fn text(&self, key: &'static str) -> Option<String> {
        self.get(key)
    }

    async fn set_text(&self, key: &'static str, text: &str) {
        self.set(key, text);
    }
}
