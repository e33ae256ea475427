//! Sessions of an old store move here, and nobody has to sign in again.

crate::for_each_version! {
    use std::sync::Arc;

    use async_trait::async_trait;
    use axum::{Router, routing::get};
    use http::StatusCode;
    use serde_json::json;
    use tokio::sync::{Mutex, Notify};
    use tower_kr_session::{Owner, Sessions};
    use tower_kr_session_compat::axum_login_user;
    use tower_sessions::{
        Expiry, MemoryStore, Session, SessionManagerLayer, SessionStore,
        cookie::Key,
        session::{Id, Record},
        session_store::{Error, Result},
    };

    use crate::support::Browser;

    const KEY: &str = "axum-login.data";

    fn routes() -> Router {
        let login = async |session: Session| {
            session.insert(KEY, json!({"user_id": "max", "auth_hash": [1]})).await.unwrap();
            session.insert("cart", [42]).await.unwrap();
        };
        let remember = async |session: Session| {
            let month = time::Duration::days(30);
            session.set_expiry(Some(Expiry::OnInactivity(month)));
            session.insert(KEY, json!({"user_id": "max", "auth_hash": [1]})).await.unwrap();
        };
        let who = async |session: Session| {
            let data: Option<serde_json::Value> = session.get(KEY).await.unwrap();
            data.map_or_else(String::new, |data| data["user_id"].as_str().unwrap().to_owned())
        };
        Router::new()
            .route("/login", get(login))
            .route("/remember", get(remember))
            .route("/who", get(who))
            .route("/logout", get(async |session: Session| session.flush().await.unwrap()))
            .route("/static", get("static"))
    }

    /// The application as it was, on the store that it had.
    fn before(store: &peer::MemoryStore) -> Router {
        routes().layer(peer::SessionManagerLayer::new(store.clone()))
    }

    /// The application as it is now.
    fn now(old: impl SessionStore) -> (SessionManagerLayer, Sessions) {
        let layer = SessionManagerLayer::new(MemoryStore::default())
            .with_owner(axum_login_user)
            .with_old_store(old);
        let sessions = layer.sessions().unwrap();
        (layer, sessions)
    }

    async fn signed_in(app: &Router, path: &str) -> Browser {
        let mut browser = Browser::new(app);
        browser.get(path).await;
        assert_eq!(browser.get("/who").await.body, "max");
        browser
    }

    async fn count(sessions: &Sessions) -> usize {
        sessions.list(&Owner::new("max").unwrap()).await.unwrap().len()
    }

    #[tokio::test]
    async fn nobody_has_to_sign_in_again() {
        let old = peer::MemoryStore::default();
        let mut browser = signed_in(&before(&old), "/login").await;
        let id: Id = browser.jar.get("id").unwrap().parse().unwrap();
        let (layer, sessions) = now(old.clone());
        browser.app = routes().layer(layer);

        // Also where no handler asks for the session.
        assert_eq!(browser.get("/static").await.body, "static");
        let derived = browser.jar.get("id").unwrap().to_owned();
        assert!(sessions.is_imported_token(derived.as_bytes()));
        assert!(old.load(&id).await.unwrap().is_none());
        assert_eq!(count(&sessions).await, 1);

        // The first request with the new cookie gets a token that nobody can derive.
        assert_eq!(browser.get("/who").await.body, "max");
        let own = browser.jar.get("id").unwrap().to_owned();
        assert_ne!(own, derived);
        assert_eq!(browser.get("/who").await.set_cookie(), None);
        browser.jar.insert("id", derived);
        assert_eq!(browser.get("/who").await.body, "");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn requests_that_race_get_one_session() {
        let old = peer::MemoryStore::default();
        let mut browser = signed_in(&before(&old), "/login").await;
        let (layer, sessions) = now(old.clone());
        browser.app = routes().layer(layer);
        let tasks = (0..32).map(|_| {
            let mut tab = browser.clone();
            tokio::spawn(async move {
                let body = tab.get("/who").await.body;
                (body, tab.jar.get("id").map(ToOwned::to_owned))
            })
        });
        let mut tokens = Vec::new();
        for reply in futures_util::future::join_all(tasks).await {
            let (body, token) = reply.unwrap();
            assert_eq!(body, "max");
            tokens.push(token);
        }
        tokens.dedup();
        assert_eq!(tokens.len(), 1);
        assert_eq!(count(&sessions).await, 1);
    }

    #[tokio::test]
    async fn an_old_cookie_opens_nothing_after_the_logout() {
        let old = peer::MemoryStore::default();
        let mut browser = signed_in(&before(&old), "/login").await;
        let (layer, _) = now(old.clone());
        browser.app = routes().layer(layer);
        let mut thief = browser.clone();
        assert!(browser.get("/logout").await.set_cookie().unwrap().starts_with("id=;"));
        let reply = thief.get("/who").await;
        assert_eq!((reply.body.as_str(), reply.set_cookie()), ("", None));
        // Nor does one that never was, and a session begins as usual.
        thief.jar.insert("id", "AAAAAAAAAAAAAAAAAAAAAA");
        thief.get("/login").await;
        assert_eq!(thief.get("/who").await.body, "max");
    }

    #[tokio::test]
    async fn a_revocation_ends_sessions_that_have_not_moved_yet() {
        let old = peer::MemoryStore::default();
        let mut browser = signed_in(&before(&old), "/login").await;
        let (layer, sessions) = now(old.clone());
        browser.app = routes().layer(layer);
        sessions.revoke_all(&Owner::new("max").unwrap()).await.unwrap();
        assert_eq!(browser.get("/who").await.body, "");
        assert_eq!(count(&sessions).await, 0);
    }

    #[tokio::test]
    async fn signed_cookies_move_and_so_does_the_name() {
        let (old, key) = (peer::MemoryStore::default(), Key::generate());
        let signing = peer::SessionManagerLayer::new(old.clone()).with_signed(key.clone());
        let mut browser = signed_in(&routes().layer(signing), "/login").await;
        assert!(browser.jar.get("id").unwrap().len() > 60);
        let (layer, _) = now(old.clone());
        browser.app = routes().layer(layer.with_signed(key).with_name("__Host-sid").with_old_name("id"));
        assert_eq!(browser.get("/who").await.body, "max");
        assert_eq!(browser.jar.get("id"), None);
        assert_eq!(browser.get("/who").await.body, "max");
    }

    #[tokio::test]
    async fn cookies_of_another_form_are_read_as_the_application_says() {
        let old = peer::MemoryStore::default();
        let mut browser = signed_in(&before(&old), "/login").await;
        let id = browser.jar.get("id").unwrap().to_owned();
        browser.jar.insert("id", format!("sealed.{id}"));
        let (layer, _) = now(old.clone());
        let layer = layer.with_old_cookie(|value| value.strip_prefix("sealed.").map(ToOwned::to_owned));
        browser.app = routes().layer(layer);
        assert_eq!(browser.get("/who").await.body, "max");
    }

    #[tokio::test]
    async fn a_remembered_user_stays_remembered() {
        let old = peer::MemoryStore::default();
        let mut browser = signed_in(&before(&old), "/remember").await;
        let (layer, _) = now(old.clone());
        browser.app = routes().layer(layer);
        let age = browser.get("/who").await.max_age().unwrap();
        let month = 30 * 24 * 60 * 60;
        assert!((month - 60..=month).contains(&age), "{age}");
    }

    /// An old store that can fail, and waits after a load if it is told to.
    #[derive(Clone, Debug, Default)]
    struct Slow {
        store: peer::MemoryStore,
        fails: bool,
        /// Told to when the record is loaded, and waits for the second one.
        pause: Arc<Mutex<Option<Pause>>>,
    }

    type Pause = (Arc<Notify>, Arc<Notify>);

    #[async_trait]
    impl SessionStore for Slow {
        async fn save(&self, record: &Record) -> Result<()> {
            self.store.save(record).await
        }

        async fn load(&self, id: &Id) -> Result<Option<Record>> {
            if self.fails {
                return Err(Error::Backend("down".to_owned()));
            }
            let record = self.store.load(id).await;
            let pause = self.pause.lock().await.take();
            if let Some((loaded, go_on)) = pause {
                loaded.notify_one();
                go_on.notified().await;
            }
            record
        }

        async fn delete(&self, id: &Id) -> Result<()> {
            self.store.delete(id).await
        }
    }

    #[tokio::test]
    async fn a_logout_while_another_request_moves_the_session_holds() {
        let slow = Slow::default();
        let mut browser = signed_in(&before(&slow.store), "/login").await;
        let (layer, sessions) = now(slow.clone());
        browser.app = routes().layer(layer);
        let (loaded, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        *slow.pause.lock().await = Some((Arc::clone(&loaded), Arc::clone(&go_on)));
        let mut tab = browser.clone();
        let late = tokio::spawn(async move { tab.get("/who").await });
        loaded.notified().await;
        assert!(browser.get("/logout").await.set_cookie().unwrap().starts_with("id=;"));
        go_on.notify_one();
        let late = late.await.unwrap();
        assert_eq!((late.body.as_str(), late.set_cookie()), ("", None));
        assert_eq!(count(&sessions).await, 0);
    }

    #[tokio::test]
    async fn an_old_store_that_is_down_is_503_and_the_cookie_stays() {
        let mut slow = Slow::default();
        let mut browser = signed_in(&before(&slow.store), "/login").await;
        slow.fails = true;
        browser.app = routes().layer(now(slow.clone()).0);
        let reply = browser.get("/who").await;
        assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(reply.headers["retry-after"], "5");
        assert_eq!(reply.set_cookie(), None);
        slow.fails = false;
        browser.app = routes().layer(now(slow).0);
        assert_eq!(browser.get("/who").await.body, "max");
    }
}
