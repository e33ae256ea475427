//! In axum, nested, and in plain tower.

use axum::{Router, body::Body, routing::get};
use http::{Request, StatusCode, header};
use http_body_util::BodyExt;
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tower_kr_session::{
    AssuranceLevel, ConfigError, MemoryStore, Session, SessionError, SessionKey, SessionLayer,
    SessionLimit,
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

    use kr_cookie::{CookieBuilder, SecurePolicy};

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
}
