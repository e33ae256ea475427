//! Old and new handlers under one session layer.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Router, routing::get};
use http::{StatusCode, header};
use serde_json::json;
use tower_kr_session::{
    MemoryStore, Owner, Session, SessionError, SessionId, SessionLayer, SessionStore,
    SessionSummary, StoreError, Timestamp,
    cookie::CookieBuilder,
    store::{ApplyOutcome, CreateOutcome, Delta, Instants, Record, RemoveOutcome, SecretHash},
};
use tower_kr_session_compat::{axum_login_user, tower_sessions_0_14, tower_sessions_0_15};

use crate::support::Browser;

/// Routes for native handlers, and for those of both versions of tower-sessions.
fn app() -> Router {
    let native = async |session: Session| {
        session.increment("native", 1).await?;
        session.insert_bytes("bytes", &b"\xff"[..])?;
        let keys = session.keys().await?;
        Ok::<_, SessionError>(keys.join(" "))
    };
    let old = async |session: tower_sessions_0_14::Session| {
        session.insert("0.14", 1).await.unwrap();
        session
            .get_value("native")
            .await
            .unwrap()
            .map_or_else(String::new, |value| value.to_string())
    };
    let newer = async |session: tower_sessions_0_15::Session| {
        session.insert("0.15", json!({"a": [1]})).await.unwrap();
        session
            .get_value("0.14")
            .await
            .unwrap()
            .map_or_else(String::new, |value| value.to_string())
    };
    let both = async |native: Session, session: tower_sessions_0_14::Session| {
        native.insert("native", &10).unwrap();
        // What this request has set already is there.
        let seen = session.get::<i64>("native").await.unwrap();
        session.insert("0.14", 2).await.unwrap();
        format!("{seen:?}")
    };
    Router::new()
        .route("/native", get(native))
        .route("/old", get(old))
        .route("/newer", get(newer))
        .route("/both", get(both))
        .route(
            "/flush",
            get(async |session: tower_sessions_0_15::Session| session.flush().await.unwrap()),
        )
        .route("/untouched", get(""))
        .layer(tower_sessions_0_14::Bridge::new())
        .layer(tower_sessions_0_15::Bridge::new())
        .layer(SessionLayer::new(MemoryStore::new()).cookie(CookieBuilder::new("sid")))
}

#[tokio::test]
async fn handlers_of_three_kinds_share_one_session() {
    let mut browser = Browser::new(&app());
    assert_eq!(browser.get("/old").await.body, "");
    let token = browser.jar.get("sid").map(ToOwned::to_owned);
    assert_eq!(browser.get("/native").await.body, "0.14 bytes native");
    assert_eq!(browser.get("/old").await.body, "1");
    assert_eq!(browser.get("/newer").await.body, "1");
    assert_eq!(browser.get("/both").await.body, "Some(10)");
    assert_eq!(browser.get("/newer").await.body, "2");
    assert_eq!(browser.get("/native").await.body, "0.14 0.15 bytes native");
    assert_eq!(browser.get("/old").await.body, "11");
    assert_eq!(browser.jar.get("sid"), token.as_deref());
    let mut old = browser.clone();
    let reply = browser.get("/flush").await;
    assert!(reply.set_cookie().unwrap().starts_with("sid=;"));
    assert_eq!(old.get("/native").await.body, "bytes native");
}

#[tokio::test]
async fn the_bridge_uses_a_session_only_if_a_handler_does() {
    let mut browser = Browser::new(&app());
    browser.get("/old").await;
    let reply = browser.get("/untouched").await;
    assert_eq!(reply.headers.get(header::VARY), None);
    let reply = browser.get("/old").await;
    assert_eq!(reply.headers[header::VARY], "Cookie");
    assert_eq!(reply.headers[header::CACHE_CONTROL], "private, no-cache");
}

#[tokio::test]
async fn without_a_session_layer_the_extractor_of_tower_sessions_answers() {
    let app = Router::new()
        .route("/", get(async |_: tower_sessions_0_14::Session| ""))
        .layer(tower_sessions_0_14::Bridge::new());
    let reply = Browser::new(&app).get("/").await;
    assert_eq!(reply.status, StatusCode::INTERNAL_SERVER_ERROR);
}

/// A store that counts its calls.
#[derive(Default)]
struct Counting {
    store: MemoryStore,
    calls: AtomicUsize,
}

impl Counting {
    fn count(&self) -> &MemoryStore {
        self.calls.fetch_add(1, Ordering::Relaxed);
        &self.store
    }

    fn take(&self) -> usize {
        self.calls.swap(0, Ordering::Relaxed)
    }
}

impl SessionStore for Counting {
    async fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Record>, StoreError> {
        self.count().load(id, now).await
    }

    async fn create(
        &self,
        id: SessionId,
        record: Record,
        now: Timestamp,
    ) -> Result<CreateOutcome, StoreError> {
        self.count().create(id, record, now).await
    }

    async fn apply(
        &self,
        id: SessionId,
        secret: &SecretHash,
        delta: &Delta,
        at: Instants,
    ) -> Result<ApplyOutcome, StoreError> {
        self.count().apply(id, secret, delta, at).await
    }

    async fn remove(
        &self,
        id: SessionId,
        secret: Option<&SecretHash>,
        at: Instants,
    ) -> Result<RemoveOutcome, StoreError> {
        self.count().remove(id, secret, at).await
    }

    async fn list(&self, owner: &Owner, now: Timestamp) -> Result<Vec<SessionSummary>, StoreError> {
        self.count().list(owner, now).await
    }

    async fn remove_owned(
        &self,
        owner: &Owner,
        except: Option<SessionId>,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        self.count().remove_owned(owner, except, now).await
    }
}

#[tokio::test]
async fn a_read_costs_one_call_and_a_change_one_more() {
    let store = Arc::new(Counting::default());
    let layer = tower_sessions_0_14::SessionManagerLayer::new(Arc::clone(&store))
        .with_owner(axum_login_user)
        .with_expiry(tower_sessions_0_14::Expiry::OnInactivity(
            time::Duration::days(1),
        ));
    type OldSession = tower_sessions_0_14::Session;

    let read = async |session: OldSession| {
        session.get_value("a").await.unwrap();
        session.get_value("b").await.unwrap();
    };
    let count = async |session: OldSession| {
        let count: i64 = session.get("a").await.unwrap().unwrap_or_default();
        session.insert("a", count + 1).await.unwrap();
    };
    let same = async |session: OldSession| session.insert("b", "same").await.unwrap();
    let app = Router::new()
        .route("/untouched", get(async |_: OldSession| ""))
        .route("/read", get(read))
        .route("/count", get(count))
        .route("/same", get(same))
        .route(
            "/cycle",
            get(async |session: OldSession| session.cycle_id().await.unwrap()),
        )
        .route(
            "/flush",
            get(async |session: OldSession| session.flush().await.unwrap()),
        )
        .layer(layer);
    let mut browser = Browser::new(&app);
    assert_eq!(browser.get("/read").await.status, StatusCode::OK);
    assert_eq!(store.take(), 0, "there is no cookie");
    let costs = [
        ("/count", 1, "the session starts"),
        ("/untouched", 0, "nobody used it"),
        ("/read", 1, "a load"),
        ("/count", 2, "a load and a change"),
        ("/same", 2, "a load and a change"),
        ("/same", 1, "nothing differs"),
        ("/cycle", 2, "a load and a rotation"),
        ("/flush", 1, "a removal"),
    ];
    for (path, calls, what) in costs {
        browser.get(path).await;
        assert_eq!(store.take(), calls, "{path}: {what}");
    }
}
