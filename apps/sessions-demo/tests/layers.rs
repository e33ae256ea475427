//! The session layer among other layers, as the guides `layer-order`, `two-areas` and
//! `external-logins` say.
#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

use std::{future, sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    body::Body,
    extract::Request,
    middleware::{Next, from_fn, map_response},
    response::Response,
    routing::get,
};
use http::{HeaderMap, StatusCode, header};
use tower::ServiceExt;
use tower_http::{catch_panic::CatchPanicLayer, timeout::TimeoutLayer};
use tower_kr_session::{
    ManualClock, MemoryStore, Owner, Session, SessionError, SessionLayer, SessionLimit, Timestamp,
    cookie::CookieBuilder,
};

async fn insert(session: Session) -> Result<(), SessionError> {
    session.insert("a", &1)
}

async fn insert_and_panic(session: Session) {
    session.insert("a", &1).unwrap();
    panic!("a test of panics");
}

async fn end_and_panic(session: Session) {
    session.destroy().unwrap();
    panic!("a test of panics");
}

async fn insert_and_hang(session: Session) {
    session.insert("a", &1).unwrap();
    future::pending().await
}

async fn sign_in(session: Session) -> Result<(), SessionError> {
    session.sign_in("max")
}

async fn sign_out(session: Session) -> Result<(), SessionError> {
    session.sign_out()
}

async fn whoami(session: Session) -> Result<String, SessionError> {
    let owner = session.owner().await?;
    Ok(owner.map_or("nobody".to_owned(), |owner| owner.to_string()))
}

fn routes() -> Router {
    Router::new()
        .route("/insert", get(insert))
        .route("/insert-and-panic", get(insert_and_panic))
        .route("/end-and-panic", get(end_and_panic))
        .route("/insert-and-hang", get(insert_and_hang))
        .route("/sign-in", get(sign_in))
        .route("/sign-out", get(sign_out))
        .route("/whoami", get(whoami))
}

async fn call(app: &Router, path: &str, cookie: &str) -> (StatusCode, HeaderMap, String) {
    let request = Request::get(path).header(header::COOKIE, cookie);
    let request = request.body(Body::empty()).unwrap();
    let (head, body) = app.clone().oneshot(request).await.unwrap().into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let body = String::from_utf8(body.into()).unwrap();
    (head.status, head.headers, body)
}

/// Calls the path, and returns the pair of the cookie that the response sets.
async fn set_by(app: &Router, path: &str, cookie: &str) -> String {
    let (status, headers, _) = call(app, path, cookie).await;
    assert_eq!(status, StatusCode::OK);
    let cookie = headers[header::SET_COOKIE].to_str().unwrap();
    cookie.split_once(';').unwrap().0.to_owned()
}

#[tokio::test]
async fn a_panic_stores_nothing_and_only_a_layer_inside_carries_an_end_out() {
    for (inside, left) in [(false, 1), (true, 0)] {
        let store = MemoryStore::new();
        let sessions = SessionLayer::new(store.clone());
        let app = match inside {
            true => routes().layer(CatchPanicLayer::new()).layer(sessions),
            false => routes().layer(sessions).layer(CatchPanicLayer::new()),
        };
        let (status, headers, _) = call(&app, "/insert-and-panic", "").await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!headers.contains_key(header::SET_COOKIE));
        assert_eq!(store.record_count(), 0);

        let cookie = set_by(&app, "/insert", "").await;
        let (status, ..) = call(&app, "/end-and-panic", &cookie).await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(store.record_count(), left, "inside: {inside}");
    }
}

#[tokio::test]
async fn a_timeout_inside_stores_what_the_handler_set_unless_it_answers_5xx() {
    let moment = Duration::from_millis(20);
    let cases = [
        (false, StatusCode::REQUEST_TIMEOUT, 0),
        (false, StatusCode::SERVICE_UNAVAILABLE, 0),
        (true, StatusCode::REQUEST_TIMEOUT, 1),
        (true, StatusCode::SERVICE_UNAVAILABLE, 0),
    ];
    for (inside, answer, stored) in cases {
        let store = MemoryStore::new();
        let sessions = SessionLayer::new(store.clone());
        let timeout = TimeoutLayer::with_status_code(answer, moment);
        let app = match inside {
            true => routes().layer(timeout).layer(sessions),
            false => routes().layer(sessions).layer(timeout),
        };
        let (status, headers, _) = call(&app, "/insert-and-hang", "").await;
        assert_eq!(status, answer);
        assert_eq!(headers.contains_key(header::SET_COOKIE), stored == 1);
        assert_eq!(store.record_count(), stored, "inside: {inside}, {answer}");
    }
}

fn admin(store: &MemoryStore) -> SessionLayer {
    SessionLayer::new(store.clone()).cookie(CookieBuilder::new("__Host-Admin"))
}

/// A site and its administration, side by side.
fn areas(site: SessionLayer, admin: SessionLayer) -> Router {
    let admin = Router::new().nest("/admin", routes().layer(admin));
    routes().layer(site).merge(admin)
}

#[tokio::test]
async fn areas_side_by_side_are_two_sessions_and_sign_out_ends_one() {
    let store = MemoryStore::new();
    let admin = admin(&store);
    let sessions = admin.sessions().unwrap();
    let app = areas(SessionLayer::new(store), admin);
    let site = set_by(&app, "/sign-in", "").await;
    let admin = set_by(&app, "/admin/sign-in", &site).await;
    assert!(admin.starts_with("__Host-Admin="), "{admin}");
    let both = format!("{site}; {admin}");
    assert_eq!(call(&app, "/admin/whoami", &site).await.2, "nobody");
    call(&app, "/admin/sign-out", &both).await;
    assert_eq!(call(&app, "/admin/whoami", &both).await.2, "nobody");
    assert_eq!(call(&app, "/whoami", &both).await.2, "max");

    // Lists and revocations are the store's: they know both areas.
    set_by(&app, "/admin/sign-in", &site).await;
    let max = Owner::new("max").unwrap();
    assert_eq!(sessions.list(&max).await.unwrap().len(), 2);
    assert_eq!(sessions.revoke_all(&max).await.unwrap(), 2);
    assert_eq!(call(&app, "/whoami", &site).await.2, "nobody");
}

#[tokio::test]
async fn a_limit_of_one_area_counts_the_users_sessions_of_both() {
    let store = MemoryStore::new();
    let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(0)));
    let admin = admin(&store).max_sessions_per_owner(SessionLimit::EndOldest(1));
    let site = SessionLayer::new(store.clone()).clock(Arc::clone(&clock));
    let app = areas(site, admin.clock(Arc::clone(&clock)));
    let site = set_by(&app, "/sign-in", "").await;
    clock.advance(Duration::from_secs(1));
    let admin = set_by(&app, "/admin/sign-in", &site).await;
    assert_eq!(call(&app, "/whoami", &site).await.2, "nobody");
    assert_eq!(call(&app, "/admin/whoami", &admin).await.2, "max");
}

#[derive(Clone)]
struct Outer(Session);

async fn keep_outer(session: Session, mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(Outer(session));
    next.run(request).await
}

#[tokio::test]
async fn a_handler_inside_both_layers_can_have_both_sessions() {
    async fn move_in(
        Extension(Outer(site)): Extension<Outer>,
        admin: Session,
    ) -> Result<String, SessionError> {
        let visits = site.increment("visits", 1).await?;
        admin.insert("from", &visits)?;
        Ok(visits.to_string())
    }
    let store = MemoryStore::new();
    let app = Router::new()
        .route("/move-in", get(move_in))
        .layer(admin(&store))
        .layer(from_fn(keep_outer))
        .layer(SessionLayer::new(store.clone()));
    let (status, headers, body) = call(&app, "/move-in", "").await;
    assert_eq!((status, body.as_str()), (StatusCode::OK, "1"));
    assert_eq!(headers.get_all(header::SET_COOKIE).iter().count(), 2);
    assert_eq!(store.record_count(), 2);
}

async fn explain(mut response: Response) -> Response {
    if let Some(error) = response.extensions().get::<SessionError>() {
        let message = error.public_message();
        *response.body_mut() = Body::from(message);
    }
    response
}

#[tokio::test]
async fn a_layer_outside_can_write_a_body_for_a_refusal() {
    let sessions = SessionLayer::new(MemoryStore::new());
    let app = routes().layer(sessions).layer(map_response(explain));
    let (one, other) = (
        set_by(&app, "/insert", "").await,
        set_by(&app, "/insert", "").await,
    );
    let (status, _, body) = call(&app, "/insert", &format!("{one}; {other}")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(body, SessionError::AmbiguousCookie.public_message());
}

/// The guide `external-logins`: the provider's POST has the login's cookie and not the site's.
#[tokio::test]
async fn a_login_of_its_own_layer_keeps_the_site_session_through_a_cross_site_post() {
    async fn answer(login: Session) -> Result<StatusCode, SessionError> {
        let Some(user) = login.take::<String>("attempt").await? else {
            return Ok(StatusCode::BAD_REQUEST);
        };
        login.insert("verified", &user)?;
        Ok(StatusCode::OK)
    }
    async fn finish(
        Extension(Outer(site)): Extension<Outer>,
        login: Session,
    ) -> Result<StatusCode, SessionError> {
        let Some(user) = login.take::<String>("verified").await? else {
            return Ok(StatusCode::BAD_REQUEST);
        };
        login.destroy()?;
        site.sign_in(user)?;
        Ok(StatusCode::OK)
    }
    async fn begin(login: Session) -> Result<(), SessionError> {
        login.insert("attempt", "max")
    }
    let store = MemoryStore::new();
    let login = SessionLayer::new(store.clone()).cookie(CookieBuilder::new("__Host-Login"));
    let login = Router::new()
        .route("/login", get(begin))
        .route("/login/answer", get(answer))
        .route("/login/finish", get(finish))
        .layer(login);
    let app = routes()
        .merge(login)
        .layer(from_fn(keep_outer))
        .layer(SessionLayer::new(store.clone()));
    let site = set_by(&app, "/insert", "").await;
    let login = set_by(&app, "/login", &site).await;
    assert_eq!(call(&app, "/login/answer", &login).await.0, StatusCode::OK);
    let again = call(&app, "/login/answer", &login).await;
    assert_eq!(again.0, StatusCode::BAD_REQUEST, "an attempt is used once");

    let both = format!("{site}; {login}");
    let (status, headers, _) = call(&app, "/login/finish", &both).await;
    assert_eq!(status, StatusCode::OK);
    let set = headers.get_all(header::SET_COOKIE).iter();
    let set: Vec<_> = set.map(|cookie| cookie.to_str().unwrap()).collect();
    let site = set
        .iter()
        .find(|cookie| cookie.starts_with("__Host-Kr.Session="));
    let site = site.unwrap().split_once(';').unwrap().0;
    assert_eq!(call(&app, "/whoami", site).await.2, "max");
    assert_eq!(
        store.record_count(),
        1,
        "the login's session has ended, the site's went on"
    );
}
