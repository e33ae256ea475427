//! The races that tower-sessions loses.

crate::for_each_version! {
    use std::sync::Arc;

    use axum::{Router, extract::Path, routing::get};
    use http::StatusCode;
    use tokio::sync::{Barrier, Notify};
    use tower_sessions::{MemoryStore, Session, SessionManagerLayer};

    use crate::support::Browser;

    const TASKS: usize = 64;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn all_keys_of_64_requests_at_once_are_kept() {
        let all_loaded = Arc::new(Barrier::new(TASKS));
        let set = async move |session: Session, Path(key): Path<String>| {
            assert_eq!(session.get::<usize>(&key).await.unwrap(), None);
            // Each of them has an empty session before it, and sets one key.
            all_loaded.wait().await;
            session.insert(&key, 1).await.unwrap();
        };
        let keys = async |session: Session| {
            let mut sum = 0;
            for key in 0..TASKS {
                sum += session.get::<usize>(&key.to_string()).await.unwrap().unwrap_or_default();
            }
            sum.to_string()
        };
        let app = Router::new()
            .route("/start", get(async |session: Session| session.insert("x", 0).await.unwrap()))
            .route("/keys", get(keys))
            .route("/set/{key}", get(set))
            .layer(SessionManagerLayer::new(MemoryStore::default()));
        let mut browser = Browser::new(&app);
        browser.get("/start").await;
        let tasks = (0..TASKS).map(|key| {
            let mut tab = browser.clone();
            tokio::spawn(async move { tab.get(&format!("/set/{key}")).await.status })
        });
        for status in futures_util::future::join_all(tasks).await {
            assert_eq!(status.unwrap(), StatusCode::OK);
        }
        assert_eq!(browser.get("/keys").await.body, TASKS.to_string());
    }

    #[tokio::test]
    async fn a_logout_during_a_slow_request_holds() {
        let (loaded, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let slow = {
            let (loaded, go_on) = (Arc::clone(&loaded), Arc::clone(&go_on));
            async move |session: Session| {
                assert_eq!(session.get("user").await.unwrap(), Some("max".to_owned()));
                loaded.notify_one();
                go_on.notified().await;
                session.insert("cart", [42]).await.unwrap();
            }
        };
        let who = async |session: Session| {
            let user: Option<String> = session.get("user").await.unwrap();
            user.unwrap_or_default()
        };
        let app = Router::new()
            .route("/login", get(async |session: Session| session.insert("user", "max").await.unwrap()))
            .route("/logout", get(async |session: Session| session.flush().await.unwrap()))
            .route("/slow", get(slow))
            .route("/who", get(who))
            .layer(SessionManagerLayer::new(MemoryStore::default()));
        let mut browser = Browser::new(&app);
        browser.get("/login").await;
        assert_eq!(browser.get("/who").await.body, "max");
        let mut tab = browser.clone();
        let mut thief = browser.clone();
        let running = tokio::spawn(async move { tab.get("/slow").await });
        loaded.notified().await;
        browser.get("/logout").await;
        go_on.notify_one();
        let late = running.await.unwrap();
        assert_eq!(late.status, StatusCode::CONFLICT);
        assert_eq!(late.set_cookie(), None);
        assert_eq!(thief.get("/who").await.body, "");
    }
}
