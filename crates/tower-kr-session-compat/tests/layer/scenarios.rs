//! The public scenarios of tower-sessions: its README and examples, and what its own tests ask of
//! every store. Only the `use` of the crate is another one.

crate::for_each_version! {
    use axum::{Router, extract::FromRequestParts, response::IntoResponse, routing::get};
    use http::{StatusCode, request::Parts};
    use serde::{Deserialize, Serialize};
    use time::{Duration, OffsetDateTime};
    // The changed line: it was `tower_sessions::` of the crate itself.
    use tower_sessions::{Expiry, MemoryStore, Session, SessionManagerLayer, cookie::{Key, SameSite}};

    use crate::support::Browser;

    const COUNTER: &str = "counter";

    #[derive(Default, Deserialize, Serialize)]
    struct Counter(usize);

    async fn count(session: Session) -> impl IntoResponse {
        let counter: Counter = session.get(COUNTER).await.unwrap().unwrap_or_default();
        session.insert(COUNTER, counter.0 + 1).await.unwrap();
        format!("Current count: {}", counter.0)
    }

    async fn counts(layer: SessionManagerLayer) {
        let app = Router::new().route("/", get(count)).layer(layer);
        let mut browser = Browser::new(&app);
        for expected in 0..3 {
            let reply = browser.get("/").await;
            assert_eq!(reply.body, format!("Current count: {expected}"));
        }
        assert_eq!(Browser::new(&app).get("/").await.body, "Current count: 0");
    }

    #[tokio::test]
    async fn the_counter_counts() {
        let layer = SessionManagerLayer::new(MemoryStore::default())
            .with_secure(false)
            .with_expiry(Expiry::OnInactivity(Duration::seconds(10)));
        counts(layer).await;
    }

    #[tokio::test]
    async fn the_counter_counts_with_signed_and_private_cookies() {
        let layer = SessionManagerLayer::new(MemoryStore::default()).with_secure(false);
        counts(layer.clone().with_signed(Key::generate())).await;
        counts(layer.with_private(Key::generate())).await;
    }

    /// The count as an extractor of its own.
    struct Visits(usize);

    impl<S: Send + Sync> FromRequestParts<S> for Visits {
        type Rejection = (StatusCode, &'static str);

        async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
            let session = Session::from_request_parts(parts, state).await?;
            let visits: usize = session.get("visits").await.unwrap().unwrap_or_default();
            session.insert("visits", visits + 1).await.unwrap();
            Ok(Self(visits))
        }
    }

    #[tokio::test]
    async fn an_extractor_counts() {
        let app = Router::new()
            .route("/", get(async |visits: Visits| visits.0.to_string()))
            .layer(SessionManagerLayer::new(MemoryStore::default()));
        let mut browser = Browser::new(&app);
        assert_eq!(browser.get("/").await.body, "0");
        assert_eq!(browser.get("/").await.body, "1");
    }

    #[derive(Clone, Deserialize, Serialize)]
    struct GuestData {
        pageviews: usize,
        first_seen: OffsetDateTime,
        last_seen: OffsetDateTime,
    }

    /// A typed view of the session, which is written twice in a request.
    struct Guest {
        session: Session,
        data: GuestData,
    }

    impl Guest {
        const KEY: &'static str = "guest.data";

        async fn store(&self) {
            self.session.insert(Self::KEY, self.data.clone()).await.unwrap();
        }
    }

    impl<S: Send + Sync> FromRequestParts<S> for Guest {
        type Rejection = (StatusCode, &'static str);

        async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
            let session = Session::from_request_parts(parts, state).await?;
            let now = OffsetDateTime::now_utc();
            let data: Option<GuestData> = session.get(Self::KEY).await.unwrap();
            let mut data = data.unwrap_or(GuestData { pageviews: 0, first_seen: now, last_seen: now });
            data.last_seen = now;
            let guest = Self { session, data };
            guest.store().await;
            Ok(guest)
        }
    }

    async fn view(mut guest: Guest) -> String {
        guest.data.pageviews += 1;
        guest.store().await;
        let GuestData { pageviews, first_seen, last_seen } = guest.data;
        format!("{pageviews} {first_seen} {}", first_seen <= last_seen)
    }

    #[tokio::test]
    async fn a_strongly_typed_guest_is_known_again() {
        let app = Router::new()
            .route("/", get(view))
            .layer(SessionManagerLayer::new(MemoryStore::default()).with_secure(false));
        let mut browser = Browser::new(&app);
        let first = browser.get("/").await.body;
        let second = browser.get("/").await.body;
        let seen = first.strip_prefix("1 ").unwrap();
        assert_eq!(second, format!("2 {seen}"));
    }

    fn routes(layer: SessionManagerLayer) -> Router {
        Router::new()
            .route("/", get(async |_: Session| "Hello"))
            .route("/insert", get(async |session: Session| session.insert("foo", 42).await.unwrap()))
            .route("/get", get(async |session: Session| {
                session.get::<usize>("foo").await.unwrap().unwrap().to_string()
            }))
            .route("/get_value", get(async |session: Session| {
                format!("{:?}", session.get_value("foo").await.unwrap())
            }))
            .route("/remove_value", get(async |session: Session| {
                session.remove_value("foo").await.unwrap();
            }))
            .route("/cycle_id", get(async |session: Session| session.cycle_id().await.unwrap()))
            .route("/flush", get(async |session: Session| session.flush().await.unwrap()))
            .route("/set_expiry", get(async |session: Session| {
                let tomorrow = OffsetDateTime::now_utc() + Duration::days(1);
                session.set_expiry(Some(Expiry::AtDateTime(tomorrow)));
            }))
            .route("/remove_expiry", get(async |session: Session| {
                session.set_expiry(Some(Expiry::OnSessionEnd));
            }))
            .layer(layer)
    }

    fn layer() -> SessionManagerLayer {
        SessionManagerLayer::new(MemoryStore::default())
    }

    fn an_hour() -> SessionManagerLayer {
        layer().with_expiry(Expiry::OnInactivity(Duration::hours(1)))
    }

    #[tokio::test]
    async fn a_session_that_nobody_uses_is_none() {
        let reply = Browser::new(&routes(an_hour())).get("/").await;
        assert_eq!(reply.set_cookie(), None);
    }

    #[tokio::test]
    async fn an_invented_cookie_is_never_adopted() {
        for invented in ["AAAAAAAAAAAAAAAAAAAAAA", "malformed"] {
            let mut browser = Browser::new(&routes(an_hour()));
            browser.jar.insert("id", invented);
            let reply = browser.get("/insert").await;
            assert_eq!(reply.status, StatusCode::OK);
            assert_ne!(browser.jar.get("id"), Some(invented));
            assert_eq!(browser.get("/get").await.body, "42");
        }
    }

    #[tokio::test]
    async fn the_cookie_has_the_attributes_that_were_set() {
        let reply = Browser::new(&routes(an_hour())).get("/insert").await;
        let (pair, attributes) = reply.set_cookie().unwrap().split_once("; ").unwrap();
        assert!(pair.starts_with("id="));
        assert_eq!(attributes, "Max-Age=3600; Secure; Path=/; HttpOnly; SameSite=Strict");
        let reply = Browser::new(&routes(layer())).get("/insert").await;
        let (_, attributes) = reply.set_cookie().unwrap().split_once("; ").unwrap();
        assert_eq!(attributes, "Secure; Path=/; HttpOnly; SameSite=Strict");
        let other = layer()
            .with_name("my.sid")
            .with_same_site(SameSite::Lax)
            .with_http_only(false)
            .with_secure(false)
            .with_path("/app")
            .with_domain("example.org");
        let reply = Browser::new(&routes(other)).get("/insert").await;
        let (pair, attributes) = reply.set_cookie().unwrap().split_once("; ").unwrap();
        assert!(pair.starts_with("my.sid="));
        assert_eq!(attributes, "Domain=example.org; Path=/app; SameSite=Lax");
    }

    #[tokio::test]
    async fn values_come_and_go() {
        let mut browser = Browser::new(&routes(an_hour()));
        assert_eq!(browser.get("/get_value").await.body, "None");
        browser.get("/insert").await;
        assert_eq!(browser.get("/get").await.body, "42");
        browser.get("/remove_value").await;
        assert_eq!(browser.get("/get_value").await.body, "None");
    }

    #[tokio::test]
    async fn a_cycled_id_keeps_the_values_and_ends_the_old_cookie() {
        let mut browser = Browser::new(&routes(an_hour()));
        browser.get("/insert").await;
        let mut old = browser.clone();
        browser.get("/cycle_id").await;
        assert_ne!(browser.jar.get("id"), old.jar.get("id"));
        assert_eq!(browser.get("/get").await.body, "42");
        assert_eq!(old.get("/get_value").await.body, "None");
    }

    #[tokio::test]
    async fn a_flush_removes_the_cookie_and_the_record() {
        let mut browser = Browser::new(&routes(an_hour().with_domain("localhost")));
        browser.get("/insert").await;
        let mut old = browser.clone();
        let reply = browser.get("/flush").await;
        let cookie = reply.set_cookie().unwrap();
        assert!(cookie.starts_with("id=; Max-Age=0;"), "{cookie}");
        assert!(cookie.contains("; Domain=localhost; Path=/;"), "{cookie}");
        assert_eq!(old.get("/get_value").await.body, "None");
    }

    #[tokio::test]
    async fn the_cookies_age_follows_the_expiry() {
        let mut browser = Browser::new(&routes(an_hour()));
        assert_eq!(browser.get("/insert").await.max_age(), Some(3_600));
        let age = browser.get("/set_expiry").await.max_age().unwrap();
        assert!((86_395..=86_400).contains(&age), "{age}");
        assert_eq!(browser.get("/remove_expiry").await.max_age(), None);
        let mut browser = Browser::new(&routes(layer()));
        assert_eq!(browser.get("/insert").await.max_age(), None);
        assert!(browser.get("/set_expiry").await.max_age().is_some());
        assert_eq!(browser.get("/get").await.body, "42");
    }
}
