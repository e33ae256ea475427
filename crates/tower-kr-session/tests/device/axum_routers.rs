//! The layer around and inside of routers of axum, whose bodies it makes without being told how.

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::OriginalUri,
    routing::{any, get, post},
};
use http::{Request, StatusCode, Uri};
use tower::ServiceExt;
use tower_kr_session::{DeviceBinding, MemoryStore, Session, SessionError, SessionLayer};

use crate::{
    browser::{Key, quoted},
    site::{BOUND, NAME, Reply, look},
};

/// Sends a `POST` with these headers.
async fn send(app: &Router, path: &str, headers: &[(&str, &str)]) -> Reply {
    let mut request = Request::post(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::empty()).unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    Reply {
        status: parts.status,
        headers: parts.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    }
}

async fn refresh(app: Router, path: &str) -> StatusCode {
    send(&app, path, &[]).await.status
}

fn app(path: &str) -> Router {
    let layer = SessionLayer::new(MemoryStore::new()).device_binding(DeviceBinding::new(path));
    Router::new()
        .route("/", get(async || "home"))
        .fallback(async || StatusCode::IM_A_TEAPOT)
        .layer(layer)
}

#[tokio::test]
async fn no_route_is_needed_where_the_layer_is_around_the_fallback() {
    let path = "/axum/device/refresh";
    assert_eq!(
        refresh(app("/axum/device"), path).await,
        StatusCode::NOT_FOUND
    );
    let other = "/axum/device/other";
    assert_eq!(
        refresh(app("/axum/device"), other).await,
        StatusCode::IM_A_TEAPOT
    );
    let merged = app("/axum/device").merge(Router::new().route("/more", get(async || "more")));
    assert_eq!(refresh(merged, path).await, StatusCode::NOT_FOUND);
}

fn original_uri(extensions: &http::Extensions) -> Option<&Uri> {
    extensions.get::<OriginalUri>().map(|uri| &uri.0)
}

fn binding() -> DeviceBinding {
    DeviceBinding::new("/app/session/device")
}

async fn sign_in(session: Session) -> Result<(), SessionError> {
    session.sign_in("max")?;
    Ok(())
}

fn pages() -> Router {
    Router::new()
        .route("/sign-in", post(sign_in))
        .route("/look", post(look))
        .route(
            "/sign-out",
            post(async |session: Session| session.sign_out()),
        )
}

fn layer(binding: DeviceBinding) -> SessionLayer {
    SessionLayer::new(MemoryStore::new()).device_binding(binding)
}

/// Signs in below `/app`, registers and proves itself twice, as browsers do, and signs out.
async fn assert_binds(app: &Router) {
    let key = Key::generate();
    let signed_in = send(app, "/app/sign-in", &[]).await;
    assert_eq!(signed_in.status, StatusCode::OK);
    let offer = signed_in.header("secure-session-registration").unwrap();
    let register = quoted(offer, "path=");
    assert_eq!(register, "/app/session/device/register");
    let token = format!("{NAME}={}", signed_in.cookie(NAME).unwrap());
    let proof = key.registration(quoted(offer, "challenge="));
    let headers = [("cookie", &token[..]), ("secure-session-response", &proof)];
    let mut reply = send(app, register, &headers).await;

    for _ in 0..2 {
        assert_eq!(reply.status, StatusCode::OK);
        let json: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
        let refresh = json["refresh_url"].as_str().unwrap();
        assert_eq!(refresh, "/app/session/device/refresh");
        let both = format!("{token}; {BOUND}={}", reply.cookie(BOUND).unwrap());
        let looked = send(app, "/app/look", &[("cookie", &both)]).await;
        assert_eq!(looked.body, "Active max bound none");
        let looked = send(app, "/app/look", &[("cookie", &token)]).await;
        assert_eq!(looked.body, "ProofMissing nobody unbound none");

        let proof = key.refresh(quoted(
            reply.header("secure-session-challenge").unwrap(),
            "",
        ));
        let headers = [
            ("cookie", &token[..]),
            ("secure-session-response", &proof),
            (
                "sec-secure-session-id",
                json["session_identifier"].as_str().unwrap(),
            ),
        ];
        reply = send(app, refresh, &headers).await;
    }
    let signed_out = send(app, "/app/sign-out", &[("cookie", &token)]).await;
    assert_eq!(
        (signed_out.cookie(NAME), signed_out.cookie(BOUND)),
        (Some(""), Some(""))
    );
}

const REFRESH: &str = "/app/session/device/refresh";

async fn teapot() -> StatusCode {
    StatusCode::IM_A_TEAPOT
}

/// What is inside sees `/session/device/register`.
#[tokio::test]
async fn a_layer_inside_of_a_nested_router_answers_at_the_public_path() {
    let inside = || layer(binding().original_uri(original_uri));
    let with_routes = pages()
        .route("/session/device/register", any(teapot))
        .route("/session/device/refresh", any(teapot))
        .layer(inside());
    let with_fallback = pages().fallback(teapot).layer(inside());
    for inner in [with_routes, with_fallback] {
        let app = Router::new().nest("/app", inner);
        assert_binds(&app).await;
        // The path that only the layer sees is not the one that counts.
        for other in ["/session/device/refresh", "/app/app/session/device/refresh"] {
            let reply = send(&app, other, &[]).await;
            assert_eq!(reply.header("cache-control"), None, "{other}");
        }
    }
    let twice = pages().route("/device/refresh", post(teapot)).layer(layer(
        DeviceBinding::new("/app/in/device").original_uri(original_uri),
    ));
    let app = Router::new().nest("/app", Router::new().nest("/in", twice));
    let refused = send(&app, "/app/in/device/refresh", &[]).await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND);
    assert_eq!(refused.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn a_layer_around_a_nested_router_needs_to_know_nothing() {
    let app = Router::new().nest("/app", pages()).layer(layer(binding()));
    assert_binds(&app).await;
}

/// What the guide warns of: the layer is not asked, or knows the stripped path alone.
#[tokio::test]
async fn a_nested_layer_needs_the_original_uri_and_a_route() {
    let no_route = pages().layer(layer(binding().original_uri(original_uri)));
    let app = Router::new().nest("/app", no_route);
    let reply = send(&app, REFRESH, &[]).await;
    assert_eq!(reply.status, StatusCode::NOT_FOUND);
    assert_eq!(reply.header("cache-control"), None, "it is axum's answer");

    let stripped = pages().fallback(teapot).layer(layer(binding()));
    let app = Router::new().nest("/app", stripped);
    let reply = send(&app, REFRESH, &[]).await;
    assert_eq!(reply.status, StatusCode::IM_A_TEAPOT);
}
