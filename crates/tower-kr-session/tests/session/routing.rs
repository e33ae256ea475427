//! In axum, nested, and in plain tower.

use std::{
    future::{Ready, ready},
    task::{Context, Poll},
};

use axum::{Router, body::Body, routing::get};
use http::{Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use kr_cookie::CookieBuilder;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_kr_session::{
    AssuranceLevel, ConfigError, MemoryStore, Session, SessionError, SessionKey, SessionLayer,
    SessionLimit, SessionStore,
};

const COUNTER: SessionKey<i64> = SessionKey::new("counter");

async fn count(session: Session) -> Result<String, SessionError> {
    Ok(session.increment(COUNTER, 1).await?.to_string())
}

async fn call(
    router: &Router,
    path: &str,
    token: Option<&str>,
) -> (StatusCode, Option<String>, String) {
    let mut request = Request::get(path);
    if let Some(token) = token {
        request = request.header(header::COOKIE, format!("__Host-Kr.Session={token}"));
    }
    let response = router
        .clone()
        .oneshot(request.body(Body::empty()).unwrap())
        .await
        .unwrap();
    let cookies: Vec<_> = response
        .headers()
        .get_all(header::SET_COOKIE)
        .iter()
        .cloned()
        .collect();
    assert!(cookies.len() <= 1, "{cookies:?}");
    let token = cookies.first().map(|cookie| {
        let cookie = cookie
            .to_str()
            .unwrap()
            .strip_prefix("__Host-Kr.Session=")
            .unwrap();
        cookie.split(';').next().unwrap().to_owned()
    });
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, token, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn axum_routes_and_nested_routers_share_one_session() {
    let store = MemoryStore::new();
    let inner = Router::new()
        .route("/count", get(count))
        .layer(SessionLayer::new(store.clone()));
    let router = Router::new()
        .route("/count", get(count))
        .nest("/nested", inner)
        .layer(SessionLayer::new(store));
    let (status, token, body) = call(&router, "/count", None).await;
    assert_eq!((status, body.as_str()), (StatusCode::OK, "1"));
    let (_, again, body) = call(&router, "/nested/count", token.as_deref()).await;
    assert_eq!((again, body.as_str()), (None, "2"));
    let (_, fresh, body) = call(&router, "/nested/count", None).await;
    assert!(fresh.is_some(), "set once, by the outer layer");
    assert_eq!(body, "1");
}

/// The cookie pairs that a response sets.
async fn cookies(router: &Router, path: &str, cookie: &str) -> (String, Vec<String>) {
    let request = Request::get(path).header(header::COOKIE, cookie);
    let request = request.body(Body::empty()).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let set = response.headers().get_all(header::SET_COOKIE).iter();
    let set = set.map(|value| {
        value
            .to_str()
            .unwrap()
            .split(';')
            .next()
            .unwrap()
            .to_owned()
    });
    let set = set.collect();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (String::from_utf8(body.to_vec()).unwrap(), set)
}

#[tokio::test]
async fn a_layer_with_a_cookie_of_its_own_inside_another_one_is_a_session_of_its_own() {
    async fn both(request: axum::extract::Request, next: axum::middleware::Next) -> Response<Body> {
        let outer = request.extensions().get::<Session>().unwrap().clone();
        outer.increment("outer", 1).await.unwrap();
        next.run(request).await
    }
    let store = MemoryStore::new();
    let admin = SessionLayer::new(store.clone())
        .cookie(CookieBuilder::new("__Host-Admin"))
        .assurance_level(AssuranceLevel::Aal3);
    let inner = Router::new().route("/count", get(count)).layer(admin);
    let router = Router::new()
        .route("/count", get(count))
        .nest("/admin", inner)
        .layer(axum::middleware::from_fn(both))
        .layer(SessionLayer::new(store.clone()));
    let (body, shop) = cookies(&router, "/count", "").await;
    assert_eq!(body, "1");
    assert_eq!(shop.len(), 1);
    let (body, admin) = cookies(&router, "/admin/count", &shop[0]).await;
    assert_eq!(body, "1", "not the shop's counter");
    assert_eq!(admin.len(), 1);
    assert!(admin[0].starts_with("__Host-Admin="), "{admin:?}");
    assert_eq!(store.record_count(), 2);
    let (body, none) = cookies(
        &router,
        "/admin/count",
        &format!("{}; {}", shop[0], admin[0]),
    )
    .await;
    assert_eq!((body.as_str(), none.len()), ("2", 0));
    // A first request starts both.
    let (_, set) = cookies(&router, "/admin/count", "").await;
    assert_eq!(set.len(), 2, "{set:?}");
}

#[tokio::test]
async fn a_layer_takes_no_token_of_another_one_on_the_same_store() {
    let store = MemoryStore::new();
    let router = |name: &str| {
        let layer = SessionLayer::new(store.clone()).cookie(CookieBuilder::new(name));
        Router::new().route("/count", get(count)).layer(layer)
    };
    let (shop, admin) = (router("shop"), router("admin"));
    let (_, set) = cookies(&shop, "/count", "").await;
    let (_, token) = set[0].split_once('=').unwrap();
    let stolen = format!("admin={token}");
    let (body, set) = cookies(&admin, "/count", &stolen).await;
    assert_eq!(body, "1", "a new session");
    assert_ne!(set, [stolen]);
    let (body, _) = cookies(&shop, "/count", &format!("shop={token}")).await;
    assert_eq!(body, "2");
}

#[tokio::test]
async fn a_missing_layer_is_a_server_error_that_tells_the_client_nothing() {
    let router = Router::new().route("/count", get(count));
    let (status, token, body) = call(&router, "/count", None).await;
    assert_eq!(
        (status, token, body.as_str()),
        (StatusCode::INTERNAL_SERVER_ERROR, None, "")
    );
    let mut parts = Request::new(()).into_parts().0;
    let rejection =
        <Session as axum::extract::FromRequestParts<()>>::from_request_parts(&mut parts, &());
    let message = rejection.await.unwrap_err().to_string();
    assert!(
        message.contains(".layer(SessionLayer::new(store))"),
        "{message}"
    );
}

/// Extractors of an application, with rejections of its own.
#[tokio::test]
async fn a_missing_layer_becomes_the_rejection_of_an_extractor_around_the_session() {
    use axum::extract::{FromRequestParts, Request};

    struct User(Session);
    struct Visitor;

    impl<S: Sync> FromRequestParts<S> for User {
        type Rejection = SessionError;

        async fn from_request_parts(
            parts: &mut http::request::Parts,
            state: &S,
        ) -> Result<Self, SessionError> {
            Ok(Self(Session::from_request_parts(parts, state).await?))
        }
    }

    impl<S: Sync> FromRequestParts<S> for Visitor {
        type Rejection = (StatusCode, &'static str);

        async fn from_request_parts(
            parts: &mut http::request::Parts,
            state: &S,
        ) -> Result<Self, Self::Rejection> {
            Session::from_request_parts(parts, state).await?;
            Ok(Self)
        }
    }

    let router = Router::new()
        .route("/user", get(async |user: User| count(user.0).await))
        .route("/visitor", get(async |_: Visitor| "visitor"));
    for path in ["/user", "/visitor"] {
        let (status, token, body) = call(&router, path, None).await;
        assert_eq!(
            (status, token, body.as_str()),
            (
                StatusCode::INTERNAL_SERVER_ERROR,
                None,
                "Internal server error"
            )
        );
    }
    let layered = router.layer(SessionLayer::new(MemoryStore::new()));
    assert_eq!(call(&layered, "/user", None).await.2, "1");
    assert_eq!(call(&layered, "/visitor", None).await.2, "visitor");
    let parts = &mut Request::new(Body::empty()).into_parts().0;
    let error = User::from_request_parts(parts, &()).await.err().unwrap();
    assert!(matches!(error, SessionError::MissingLayer), "{error}");
    assert!(error.to_string().contains("SessionLayer"), "{error}");
}

#[tokio::test]
async fn an_error_type_of_the_application_keeps_503_with_retry_after() {
    use axum::response::{IntoResponse, Response};
    use tower_kr_session::StoreError;

    /// As docs/guides/errors.md shows it.
    struct AppError(Box<dyn std::error::Error + Send + Sync>);

    impl<E: Into<Box<dyn std::error::Error + Send + Sync>>> From<E> for AppError {
        fn from(error: E) -> Self {
            Self(error.into())
        }
    }

    impl IntoResponse for AppError {
        fn into_response(self) -> Response {
            match self.0.downcast::<SessionError>() {
                Ok(error) => error.into_response(),
                Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            }
        }
    }

    fn store_is_down() -> Result<(), AppError> {
        Err(SessionError::from(StoreError::TimedOut))?;
        Ok(())
    }
    let response = store_is_down().into_response();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()[header::RETRY_AFTER], "5");
    let other = AppError::from("x").into_response();
    assert_eq!(other.status(), StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test]
async fn a_handler_may_do_without_a_layer() {
    async fn is_there(session: Option<Session>) -> String {
        session.is_some().to_string()
    }
    let plain = Router::new().route("/", get(is_there));
    assert_eq!(call(&plain, "/", None).await.2, "false");
    let layered = plain.layer(SessionLayer::new(MemoryStore::new()));
    assert_eq!(call(&layered, "/", None).await.2, "true");
}

#[tokio::test]
async fn a_plain_tower_service_works_too() {
    let service = ServiceBuilder::new()
        .layer(SessionLayer::new(MemoryStore::new()))
        .service(service_fn(async |request: Request<String>| {
            let session = request.extensions().get::<Session>().unwrap();
            let count = session.increment(COUNTER, 1).await.unwrap();
            Ok::<_, std::io::Error>(http::Response::new(count.to_string()))
        }));
    let response = service
        .clone()
        .oneshot(Request::new(String::new()))
        .await
        .unwrap();
    let cookie = response.headers()[header::SET_COOKIE].to_str().unwrap();
    let pair = cookie.split(';').next().unwrap().to_owned();
    let request = Request::get("/")
        .header(header::COOKIE, pair)
        .body(String::new())
        .unwrap();
    let response = service.oneshot(request).await.unwrap();
    assert_eq!(response.body(), "2");
    assert!(!response.headers().contains_key(header::SET_COOKIE));
}

#[tokio::test]
async fn session_errors_are_axum_responses() {
    async fn fail(session: Session) -> Result<String, SessionError> {
        session.insert("", &1)?;
        Ok("unreachable".into())
    }
    let router = Router::new()
        .route("/fail", get(fail))
        .layer(SessionLayer::new(MemoryStore::new()));
    let (status, _, body) = call(&router, "/fail", None).await;
    assert_eq!(
        (status, body.as_str()),
        (StatusCode::BAD_REQUEST, "a session key must not be empty")
    );
}

#[test]
fn misconfiguration_fails_at_start_and_names_the_setting() {
    use std::{panic::AssertUnwindSafe, time::Duration};

    use kr_cookie::SecurePolicy;

    let layer = || SessionLayer::new(MemoryStore::new());
    let hour = Duration::from_secs(3_600);
    let cases = [
        (layer().idle_timeout(Duration::ZERO), "idle_timeout"),
        (
            layer().absolute_timeout(hour * 24 * 401),
            "absolute_timeout",
        ),
        (layer().io_timeout(Duration::ZERO), "io_timeout"),
        (
            layer().anonymous_idle_timeout(Duration::ZERO),
            "anonymous_idle_timeout",
        ),
        (
            layer().idle_timeout(hour).anonymous_idle_timeout(hour * 2),
            "anonymous_idle_timeout (7200s) must not be longer than idle_timeout (3600s)",
        ),
        (
            layer().idle_timeout(hour).touch_interval(hour * 2),
            "touch_interval",
        ),
        (
            layer().idle_timeout(hour * 24 * 30),
            "idle_timeout (2592000s) must not be longer than absolute_timeout (43200s)",
        ),
        (
            layer().idle_timeout(hour).absolute_timeout(hour / 2),
            "set absolute_timeout too",
        ),
        (
            layer()
                .assurance_level(AssuranceLevel::Aal1)
                .idle_timeout(hour * 24 * 31),
            "idle_timeout",
        ),
        (
            layer().cookie(CookieBuilder::new("id").max_age(hour)),
            "persistent(true)",
        ),
        (
            layer().cookie(CookieBuilder::new("id").expires(hour * 24 * 400)),
            "Max-Age and Expires end sessions in use",
        ),
        (layer().max_session_bytes(u64::MAX), "max_session_bytes"),
        (
            layer().max_sessions_per_owner(SessionLimit::Refuse(0)),
            "max_sessions_per_owner",
        ),
        (
            layer()
                .assurance_level(AssuranceLevel::Aal2)
                .absolute_timeout(hour * 25),
            "absolute_timeout must be at most 86400s at AAL2",
        ),
        (
            layer()
                .assurance_level(AssuranceLevel::Aal3)
                .touch_interval(hour / 30),
            "idle_timeout and touch_interval together must be at most 900s at AAL3",
        ),
        (layer().cookie(CookieBuilder::new("a b")), "cookie"),
        (
            layer().cookie(CookieBuilder::new("__Host-x").secure_policy(SecurePolicy::None)),
            "Secure",
        ),
        (
            SessionLayer::new(MemoryStore::builder().anonymous_bytes(1_000).build()),
            "max_session_bytes",
        ),
    ];
    for (layer, named) in cases {
        let error: ConfigError = layer.check().unwrap_err();
        assert!(error.to_string().contains(named), "{error}");
        let panic = std::panic::catch_unwind(AssertUnwindSafe(|| drop(layer.layer(()))));
        let message = *panic.unwrap_err().downcast::<String>().unwrap();
        assert!(message.contains(named), "{message}");
    }
    assert_eq!(layer().check(), Ok(()));
    let short = layer().absolute_timeout(hour / 6);
    assert_eq!(short.check(), Ok(()), "the default is no contradiction");
    let equal = layer().idle_timeout(hour).absolute_timeout(hour);
    assert_eq!(equal.check(), Ok(()));
    let equal = layer().idle_timeout(hour).touch_interval(hour);
    assert_eq!(equal.anonymous_idle_timeout(hour).check(), Ok(()));
    let store = MemoryStore::builder().anonymous_bytes(10_000).build();
    let largest = SessionStore::largest_session(&store).unwrap();
    let full = SessionLayer::new(store).max_session_bytes(largest);
    assert_eq!(full.check(), Ok(()));
}

/// A service that is full.
struct Full;

impl Service<Request<()>> for Full {
    type Response = Response<String>;
    type Error = &'static str;
    type Future = Ready<Result<Response<String>, &'static str>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        Poll::Ready(Err("full"))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        ready(Err("called"))
    }
}

#[tokio::test]
async fn the_layer_is_ready_when_the_service_inside_is() {
    let service = SessionLayer::new(MemoryStore::new()).layer(Full);
    let refused = service.oneshot(Request::new(())).await;
    assert_eq!(refused.unwrap_err(), "full");
}
