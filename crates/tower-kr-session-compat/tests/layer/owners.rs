//! Users who sign in through the values are owners of their sessions.

crate::for_each_version! {
    use std::{
        sync::{Arc, atomic::{AtomicUsize, Ordering}},
        time::{Duration, SystemTime},
    };

    use axum::{Router, extract::Path, routing::get};
    use http::StatusCode;
    use serde_json::{Value, json};
    use tower_kr_session::{ManualClock, Owner, SessionLimit, Sessions};
    use tower_kr_session_compat::axum_login_user;
    use tower_sessions::{MemoryStore, Session, SessionManagerLayer};

    use crate::support::Browser;

    const KEY: &str = "axum-login.data";

    fn data(user: &str) -> Value {
        json!({"user_id": user, "auth_hash": [1, 2, 3]})
    }

    struct App {
        browser: Browser,
        sessions: Sessions,
        clock: Arc<ManualClock>,
    }

    impl App {
        fn new() -> Self {
            let login = async |session: Session, Path(user): Path<String>| {
                session.cycle_id().await.unwrap();
                session.insert(KEY, data(&user)).await.unwrap();
            };
            let again = async |session: Session, Path(user): Path<String>| {
                session.insert(KEY, data(&user)).await.unwrap();
            };
            let forget = async |session: Session| {
                session.remove_value(KEY).await.unwrap();
            };
            let cart = async |session: Session| {
                static NUMBER: AtomicUsize = AtomicUsize::new(0);
                let number = NUMBER.fetch_add(1, Ordering::Relaxed);
                session.insert("cart", number).await.unwrap();
            };
            let native = async |session: tower_kr_session::Session, Path(user): Path<String>| {
                session.sign_in(user)
            };
            let who = async |native: tower_kr_session::Session, session: Session| {
                let owner = native.owner().await.unwrap();
                let cart = session.get_value("cart").await.unwrap().is_some();
                format!("{} {cart}", owner.as_ref().map_or("-", |owner| owner.as_str()))
            };
            let clock = Arc::new(ManualClock::new(SystemTime::now().into()));
            let layer = SessionManagerLayer::new(MemoryStore::default())
                .with_owner(axum_login_user)
                .configure(|layer| {
                    let limit = SessionLimit::EndOldest(2);
                    layer.max_sessions_per_owner(limit).clock(Arc::clone(&clock))
                });
            let sessions = layer.sessions().unwrap();
            let app = Router::new()
                .route("/login/{user}", get(login))
                .route("/again/{user}", get(again))
                .route("/logout", get(async |session: Session| session.flush().await.unwrap()))
                .route("/forget", get(forget))
                .route("/cart", get(cart))
                .route("/native/{user}", get(native))
                .route("/who", get(who))
                .layer(layer);
            Self { browser: Browser::new(&app), sessions, clock }
        }

        async fn who(&mut self) -> String {
            self.browser.get("/who").await.body
        }

        async fn count(&self, user: &str) -> usize {
            self.sessions.list(&Owner::new(user).unwrap()).await.unwrap().len()
        }
    }

    #[tokio::test]
    async fn a_login_signs_in_and_keeps_the_values() {
        let mut app = App::new();
        app.browser.get("/cart").await;
        let before = app.browser.jar.get("id").map(ToOwned::to_owned);
        app.browser.get("/login/max").await;
        assert_ne!(app.browser.jar.get("id"), before.as_deref());
        assert_eq!(app.who().await, "max true");
        assert_eq!(app.count("max").await, 1);
        // Further changes leave the token alone.
        let token = app.browser.jar.get("id").map(ToOwned::to_owned);
        assert_eq!(app.browser.get("/cart").await.set_cookie(), None);
        assert_eq!(app.browser.jar.get("id"), token.as_deref());
    }

    #[tokio::test]
    async fn revoked_users_are_signed_out_everywhere_and_limits_hold() {
        let mut app = App::new();
        let mut phones = Vec::new();
        for _ in 0..3 {
            let mut phone = Browser::new(&app.browser.app);
            phone.get("/login/max").await;
            app.clock.advance(Duration::from_secs(1));
            phones.push(phone);
        }
        assert_eq!(app.count("max").await, 2);
        assert_eq!(phones[0].get("/who").await.body, "- false");
        assert_eq!(phones[2].get("/who").await.body, "max false");
        app.browser.get("/login/eva").await;
        let ended = app.sessions.revoke_all(&Owner::new("max").unwrap()).await.unwrap();
        assert_eq!(ended, 2);
        assert_eq!(phones[2].get("/who").await.body, "- false");
        assert_eq!(app.who().await, "eva false");
    }

    #[tokio::test]
    async fn a_session_without_its_user_is_another_session() {
        let mut app = App::new();
        for path in ["/logout", "/forget"] {
            app.browser.get("/login/max").await;
            app.browser.get("/cart").await;
            let mut old = app.browser.clone();
            assert_eq!(app.browser.get(path).await.status, StatusCode::OK);
            assert_eq!(app.count("max").await, 0, "{path}");
            assert_eq!(old.get("/who").await.body, "- false");
            assert_eq!(app.who().await, format!("- {}", path == "/forget"));
        }
    }

    #[tokio::test]
    async fn another_user_gets_a_session_of_their_own() {
        let mut app = App::new();
        app.browser.get("/login/max").await;
        let mut old = app.browser.clone();
        app.browser.get("/again/eva").await;
        assert_eq!((app.count("max").await, app.count("eva").await), (0, 1));
        assert_eq!(app.who().await, "eva false");
        assert_eq!(old.get("/who").await.body, "- false");
    }

    #[tokio::test]
    async fn a_native_sign_in_stays() {
        let mut app = App::new();
        app.browser.get("/cart").await;
        app.browser.get("/native/max").await;
        app.browser.get("/cart").await;
        assert_eq!(app.who().await, "max true");
    }
}
