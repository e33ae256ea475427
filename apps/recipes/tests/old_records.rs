//! Sessions that move out of the SQLite store that tower-sessions 0.14 has.

// Helpers of tests may panic as tests do; the lint's own exception covers test functions only.
#![allow(clippy::unwrap_used)]

#[path = "../../../crates/tower-kr-session-compat/tests/support/mod.rs"]
mod support;

use axum::{Router, routing::get};
use support::Browser;
use test_support::Scratch;
use tower_kr_session::{Owner, Sessions};
use tower_kr_session_compat::tower_sessions_0_14::{Expiry, Session, SessionManagerLayer};
use tower_kr_session_sqlx::SqliteStore;
use tower_sessions_sqlx_store::sqlx::{self, SqlitePool};

fn routes() -> Router {
    let count = async |session: Session| {
        let count: usize = session.get("counter").await.unwrap().unwrap_or_default();
        session.insert("counter", count + 1).await.unwrap();
        session.insert("user", "max").await.unwrap();
        count.to_string()
    };
    let read =
        async |session: Session| format!("{:?}", session.get::<usize>("counter").await.unwrap());
    Router::new()
        .route("/", get(count))
        .route("/read", get(read))
}

struct Move {
    // Both stores are in files of it.
    _scratch: Scratch,
    pool: SqlitePool,
    old: tower_sessions_sqlx_store::SqliteStore,
    layer: SessionManagerLayer,
    sessions: Sessions,
}

impl Move {
    async fn new() -> Self {
        let scratch = Scratch::new();
        let file = |name| format!("sqlite://{}?mode=rwc", scratch.path().join(name).display());
        let pool = SqlitePool::connect(&file("old.db")).await.unwrap();
        let old = tower_sessions_sqlx_store::SqliteStore::new(pool.clone());
        old.migrate().await.unwrap();
        let new = SqliteStore::connect(&file("new.db")).await.unwrap();
        new.migrate().await.unwrap();
        let layer = SessionManagerLayer::new(new)
            .with_owner(|data| data.get("user")?.as_str().map(ToOwned::to_owned))
            .with_old_store(old.clone());
        let sessions = layer.sessions().unwrap();
        Self {
            _scratch: scratch,
            pool,
            old,
            layer,
            sessions,
        }
    }

    /// A browser with a session of the old application.
    async fn browser(&self, expiry: Expiry) -> Browser {
        let layer = tower_sessions::SessionManagerLayer::new(self.old.clone()).with_expiry(expiry);
        let mut browser = Browser::new(&routes().layer(layer));
        assert_eq!(browser.get("/").await.body, "0");
        assert_eq!(self.old_records().await, 1);
        browser
    }

    async fn old_records(&self) -> i64 {
        let count = sqlx::query_scalar("select count(*) from tower_sessions");
        count.fetch_one(&self.pool).await.unwrap()
    }
}

fn days(days: i64) -> Expiry {
    Expiry::OnInactivity(time::Duration::days(days))
}

#[tokio::test]
async fn real_records_move() {
    let moving = Move::new().await;
    let mut browser = moving.browser(days(30)).await;
    browser.app = routes().layer(moving.layer.clone());
    for expected in 1..4 {
        assert_eq!(browser.get("/").await.body, expected.to_string());
    }
    assert_eq!(moving.old_records().await, 0);
    let max = Owner::new("max").unwrap();
    assert_eq!(moving.sessions.list(&max).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_session_that_moved_ends_when_the_old_one_would_have() {
    let moving = Move::new().await;
    let mut browser = moving.browser(days(30)).await;
    browser.app = routes().layer(moving.layer.clone());
    let age = browser.get("/read").await.max_age().unwrap();
    let month = 30 * 24 * 60 * 60;
    assert!((month - 60..=month).contains(&age), "{age}");
}

#[tokio::test]
async fn an_expired_record_does_not_move() {
    let moving = Move::new().await;
    let mut browser = moving.browser(days(1)).await;
    let expire = sqlx::query("update tower_sessions set expiry_date = datetime('now', '-1 hour')");
    expire.execute(&moving.pool).await.unwrap();
    browser.app = routes().layer(moving.layer.clone());
    assert_eq!(browser.get("/read").await.body, "None");
}

#[tokio::test]
async fn a_record_that_nobody_can_read_is_a_failure_and_stays() {
    let moving = Move::new().await;
    let mut browser = moving.browser(days(1)).await;
    let spoil = sqlx::query("update tower_sessions set data = x'c1'");
    spoil.execute(&moving.pool).await.unwrap();
    browser.app = routes().layer(moving.layer.clone());
    assert_eq!(browser.get("/read").await.status, 503);
    assert_eq!(moving.old_records().await, 1);
}
