//! On a Redis server: the counter of tower-sessions on our store, and sessions that move out of the
//! store that tower-sessions 0.14 has for Redis.

// Helpers of tests may panic as tests do; the lint's own exception covers test functions only.
#![allow(clippy::unwrap_used)]

#[path = "support/mod.rs"]
mod support;

use std::process::ExitCode;

use axum::{Router, routing::get};
use support::Browser;
use test_support::{Check, Program, RedisServer, run};
use tower_kr_session::Owner;
use tower_kr_session_compat::tower_sessions_0_14::{Session, SessionManagerLayer};
use tower_kr_session_redis::RedisStore;
use tower_sessions_redis_store::fred::prelude::{ClientLike, Config, KeysInterface, Pool};

fn main() -> ExitCode {
    run([
        Check::future("the_counter_of_0_14_counts", counter_0_14::counts).needs(Program::Redis),
        Check::future("the_counter_of_0_15_counts", counter_0_15::counts).needs(Program::Redis),
        Check::future("real_records_move", real_records_move).needs(Program::Redis),
    ])
}

/// The scenario of tower-sessions: only the `use` and the store are others.
macro_rules! counter {
    ($name:ident, $module:ident) => {
        mod $name {
            use axum::{Router, response::IntoResponse, routing::get};
            use serde::{Deserialize, Serialize};
            use test_support::RedisServer;
            use time::Duration;
            // The two changed lines: they were `tower_sessions` and `tower_sessions_redis_store`.
            use tower_kr_session_compat::$module::{Expiry, Session, SessionManagerLayer};
            use tower_kr_session_redis::RedisStore;

            use crate::support::Browser;

            const COUNTER: &str = "counter";

            #[derive(Default, Deserialize, Serialize)]
            struct Counter(usize);

            async fn count(session: Session) -> impl IntoResponse {
                let counter: Counter = session.get(COUNTER).await.unwrap().unwrap_or_default();
                session.insert(COUNTER, counter.0 + 1).await.unwrap();
                format!("Current count: {}", counter.0)
            }

            async fn app(server: &RedisServer) -> Router {
                let store = RedisStore::connect(&server.url()).await.unwrap();
                let layer = SessionManagerLayer::new(store)
                    .with_secure(false)
                    .with_expiry(Expiry::OnInactivity(Duration::seconds(10)));
                Router::new().route("/", get(count)).layer(layer)
            }

            pub(crate) async fn counts() {
                let server = RedisServer::start(&[]);
                let mut browser = Browser::new(&app(&server).await);
                let mut other = browser.clone();
                for expected in 0..3 {
                    let reply = browser.get("/").await;
                    assert_eq!(reply.body, format!("Current count: {expected}"));
                    assert_eq!(reply.max_age(), Some(10));
                }
                // Another process goes on with what is in Redis.
                browser.app = app(&server).await;
                assert_eq!(browser.get("/").await.body, "Current count: 3");
                assert_eq!(other.get("/").await.body, "Current count: 0");
            }
        }
    };
}

counter!(counter_0_14, tower_sessions_0_14);
counter!(counter_0_15, tower_sessions_0_15);

fn routes() -> Router {
    let count = async |session: Session| {
        let count: usize = session.get("counter").await.unwrap().unwrap_or_default();
        session.insert("counter", count + 1).await.unwrap();
        session.insert("user", "max").await.unwrap();
        count.to_string()
    };
    Router::new().route("/", get(count))
}

async fn layer(server: &RedisServer) -> SessionManagerLayer {
    let store = RedisStore::connect(&server.url()).await.unwrap();
    SessionManagerLayer::new(store)
        .with_owner(|data| data.get("user")?.as_str().map(ToOwned::to_owned))
}

async fn real_records_move() {
    let server = RedisServer::start(&[]);
    let config = Config::from_url(&server.url()).unwrap();
    let pool = Pool::new(config, None, None, None, 1).unwrap();
    pool.init().await.unwrap();
    let old = tower_sessions_redis_store::RedisStore::new(pool.clone());

    let before = routes().layer(::tower_sessions_0_14::SessionManagerLayer::new(old.clone()));
    let mut browser = Browser::new(&before);
    assert_eq!(browser.get("/").await.body, "0");
    let id = browser.jar.get("id").unwrap().to_owned();
    assert!(pool.exists::<bool, _>(&id).await.unwrap());

    let layer = layer(&server).await.with_old_store(old);
    let sessions = layer.sessions().unwrap();
    browser.app = routes().layer(layer);
    for expected in 1..4 {
        assert_eq!(browser.get("/").await.body, expected.to_string());
    }
    assert!(!pool.exists::<bool, _>(&id).await.unwrap());
    let max = Owner::new("max").unwrap();
    assert_eq!(sessions.list(&max).await.unwrap().len(), 1);
}
