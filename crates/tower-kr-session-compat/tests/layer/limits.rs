//! How long sessions live.

crate::for_each_version! {
    use std::{sync::Arc, time::{Duration, SystemTime}};

    use axum::{Router, extract::Path, routing::get};
    use time::OffsetDateTime;
    use tower_kr_session::{ManualClock, cookie::LIFETIME_LIMIT};
    use tower_sessions::{Expiry, MemoryStore, Session, SessionManagerLayer};

    use crate::support::Browser;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    struct App {
        browser: Browser,
        clock: Arc<ManualClock>,
    }

    fn in_days(days: i64) -> Expiry {
        Expiry::AtDateTime(OffsetDateTime::now_utc() + time::Duration::days(days))
    }

    fn idle(days: i64) -> Expiry {
        Expiry::OnInactivity(time::Duration::days(days))
    }

    impl App {
        async fn new(expiry: Option<Expiry>, always_save: bool) -> Self {
            let clock = Arc::new(ManualClock::new(SystemTime::now().into()));
            let mut layer = SessionManagerLayer::new(MemoryStore::default())
                .with_always_save(always_save)
                .configure(|layer| layer.clock(Arc::clone(&clock)));
            if let Some(expiry) = expiry {
                layer = layer.with_expiry(expiry);
            }
            let remember = async |session: Session, Path(days): Path<i64>| {
                session.set_expiry(Some(idle(days)));
            };
            let until = async |session: Session, Path(days): Path<i64>| {
                session.set_expiry(Some(in_days(days)));
            };
            let write = async |session: Session, Path(value): Path<i64>| {
                session.insert("a", value).await.unwrap();
            };
            let limits = async |session: tower_kr_session::Session| {
                let (idle, longest) = (session.idle_timeout().await, session.absolute_timeout().await);
                let (idle, longest) = (idle.unwrap().unwrap(), longest.unwrap().unwrap());
                format!("{} {}", idle.as_secs(), longest.as_secs())
            };
            let app = Router::new()
                .route("/untouched", get(""))
                .route("/write/{value}", get(write))
                .route("/read", get(async |session: Session| {
                    format!("{:?}", session.get::<i64>("a").await.unwrap())
                }))
                .route("/remember/{days}", get(remember))
                .route("/until/{days}", get(until))
                .route("/limits", get(limits))
                .layer(layer);
            let mut browser = Browser::new(&app);
            browser.get("/write/1").await;
            Self { browser, clock }
        }

        async fn is_alive(&mut self) -> bool {
            self.browser.get("/read").await.body.starts_with("Some(")
        }

        async fn limits(&mut self) -> (Duration, Duration) {
            let limits = self.browser.get("/limits").await.body;
            let (idle, longest) = limits.split_once(' ').unwrap();
            let seconds = |text: &str| Duration::from_secs(text.parse().unwrap());
            (seconds(idle), seconds(longest))
        }
    }

    #[tokio::test]
    async fn without_an_expiry_a_session_ends_two_weeks_after_its_last_use() {
        let mut app = App::new(None, false).await;
        assert_eq!(app.limits().await, (14 * DAY, LIFETIME_LIMIT));
        app.clock.advance(13 * DAY);
        assert!(app.is_alive().await);
        app.clock.advance(13 * DAY);
        assert!(app.is_alive().await);
        app.clock.advance(15 * DAY);
        assert!(!app.is_alive().await);
    }

    #[tokio::test]
    async fn thirty_days_of_inactivity_are_thirty_days_and_each_change_renews_the_cookie() {
        let mut app = App::new(Some(idle(30)), false).await;
        assert_eq!(app.limits().await, (30 * DAY, LIFETIME_LIMIT));
        let token = app.browser.jar.get("id").map(ToOwned::to_owned);
        app.clock.advance(29 * DAY);
        let reply = app.browser.get("/write/2").await;
        assert_eq!(reply.max_age(), Some(30 * 24 * 60 * 60));
        assert_eq!(app.browser.jar.get("id"), token.as_deref());
        assert_eq!(reply.headers["cache-control"], "no-store");
        assert_eq!(app.browser.get("/read").await.set_cookie(), None);
        app.clock.advance(29 * DAY);
        assert!(app.is_alive().await);
        app.clock.advance(32 * DAY);
        assert!(!app.is_alive().await);
    }

    #[tokio::test]
    async fn a_fixed_end_is_one_for_sessions_that_start_later_too() {
        let mut app = App::new(Some(in_days(10)), false).await;
        let (_, longest) = app.limits().await;
        assert!(longest <= 10 * DAY && longest > 9 * DAY, "{longest:?}");
        app.clock.advance(6 * DAY);
        assert!(app.is_alive().await);
        app.clock.advance(5 * DAY);
        assert!(!app.is_alive().await);
    }

    #[tokio::test]
    async fn an_expiry_of_a_handler_stays_and_changes_the_token_once() {
        let mut app = App::new(None, false).await;
        let anonymous = app.browser.jar.get("id").map(ToOwned::to_owned);
        let reply = app.browser.get("/remember/30").await;
        assert_eq!(reply.max_age(), Some(30 * 24 * 60 * 60));
        let token = app.browser.jar.get("id").map(ToOwned::to_owned);
        assert_ne!(token, anonymous);
        // The same once more, and a request that knows nothing of it.
        for path in ["/remember/30", "/write/2"] {
            let reply = app.browser.get(path).await;
            assert_eq!(app.browser.jar.get("id"), token.as_deref(), "{path}");
            assert_eq!(reply.max_age(), Some(30 * 24 * 60 * 60), "{path}");
        }
        assert_eq!(app.limits().await, (30 * DAY, LIFETIME_LIMIT));
        app.clock.advance(29 * DAY);
        assert!(app.is_alive().await);
        // Zero is over.
        let reply = app.browser.get("/remember/0").await;
        assert!(reply.set_cookie().unwrap().starts_with("id=;"));
        assert!(!app.is_alive().await);
    }

    #[tokio::test]
    async fn a_fixed_end_of_a_handler_holds_whatever_the_use() {
        let mut app = App::new(None, false).await;
        app.browser.get("/until/2").await;
        let token = app.browser.jar.get("id").map(ToOwned::to_owned);
        app.browser.get("/until/2").await;
        assert_eq!(app.browser.jar.get("id"), token.as_deref());
        app.clock.advance(DAY);
        assert!(app.is_alive().await);
        app.clock.advance(DAY + DAY / 24);
        assert!(!app.is_alive().await);
        let mut app = App::new(None, false).await;
        app.browser.get("/until/-1").await;
        assert!(!app.is_alive().await);
    }

    #[tokio::test]
    async fn always_save_extends_sessions_that_nobody_used() {
        for always in [false, true] {
            let mut app = App::new(None, always).await;
            for _ in 0..3 {
                app.clock.advance(6 * DAY);
                app.browser.get("/untouched").await;
            }
            assert_eq!(app.is_alive().await, always);
        }
    }

    #[tokio::test]
    async fn a_layer_that_cannot_work_says_so() {
        let layer = SessionManagerLayer::new(MemoryStore::default());
        layer.check().unwrap();
        layer.clone().with_name("a b").check().unwrap_err();
        layer.with_expiry(idle(0)).check().unwrap_err();
    }
}
