//! A header carries the token in place of a cookie.

use std::convert::Infallible;

use http::{HeaderMap, Request, StatusCode, header};
use tower::{Layer, ServiceExt, service_fn};
use tower_kr_session::{ConfigError, Session, SessionError, SessionLayer, SiteData};

use crate::support::{App, ok, on_each_store};

on_each_store!(
    the_token_is_in_the_response_once_and_opens_the_session_in_the_header,
    a_rotated_and_a_removed_token_is_told_in_the_header,
    a_cookie_is_no_token_and_a_token_no_cookie,
    different_tokens_in_several_headers_are_ambiguous,
);

const HEADER: &str = "x-session-token";

fn in_header(mut app: App) -> App {
    app.layer = app.layer.header(HEADER);
    app
}

/// Sends a request with these headers to a handler; the status and the headers of the response.
async fn send<F>(
    app: &App,
    headers: &[(&str, &str)],
    handler: impl Fn(Session) -> F + Clone + Send + 'static,
) -> (StatusCode, HeaderMap)
where
    F: Future<Output = Result<(), SessionError>> + Send + 'static,
{
    let mut request = Request::builder();
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let service = app.layer.layer(service_fn(move |request: Request<()>| {
        let session = request.extensions().get::<Session>().unwrap().clone();
        let answer = handler(session);
        async move {
            let mut response = ok("");
            if let Err(error) = answer.await {
                *response.status_mut() = error.status();
            }
            Ok::<_, Infallible>(response)
        }
    }));
    let response = service.oneshot(request.body(()).unwrap()).await.unwrap();
    (response.status(), response.headers().clone())
}

async fn insert(session: Session) -> Result<(), SessionError> {
    session.insert("a", &1)
}

/// Fails if the value isn't there.
async fn read(session: Session) -> Result<(), SessionError> {
    match session.get::<i64>("a").await? {
        Some(1) => Ok(()),
        _ => Err(SessionError::Ended),
    }
}

async fn start(app: &App) -> String {
    let (status, headers) = send(app, &[], insert).await;
    assert_eq!(status, StatusCode::OK);
    assert!(!headers.contains_key(header::SET_COOKIE));
    assert_eq!(headers[header::VARY], HEADER);
    assert_eq!(headers[header::CACHE_CONTROL], "no-store");
    let token = headers[HEADER].to_str().unwrap();
    assert_eq!(token.len(), 64);
    token.to_owned()
}

async fn the_token_is_in_the_response_once_and_opens_the_session_in_the_header(app: App) {
    let app = in_header(app);
    let token = start(&app).await;
    let (status, headers) = send(&app, &[(HEADER, &token)], read).await;
    assert_eq!(status, StatusCode::OK);
    assert!(!headers.contains_key(HEADER));
    assert_eq!(headers[header::VARY], HEADER);
}

async fn a_rotated_and_a_removed_token_is_told_in_the_header(app: App) {
    let mut app = in_header(app);
    app.layer = app.layer.clear_site_data([SiteData::Cache]);
    let token = start(&app).await;
    let rotate = async |session: Session| session.rotate();
    let (_, headers) = send(&app, &[(HEADER, &token)], rotate).await;
    let rotated = headers[HEADER].to_str().unwrap().to_owned();
    assert_ne!(rotated, token);
    let (status, _) = send(&app, &[(HEADER, &token)], read).await;
    assert_eq!(status, StatusCode::CONFLICT);
    let end = async |session: Session| session.destroy();
    let (_, headers) = send(&app, &[(HEADER, &rotated)], end).await;
    assert_eq!(headers[HEADER], "");
    assert_eq!(headers["clear-site-data"], "\"cache\"");
    let (status, _) = send(&app, &[(HEADER, &rotated)], read).await;
    assert_eq!(status, StatusCode::CONFLICT);
}

async fn a_cookie_is_no_token_and_a_token_no_cookie(app: App) {
    let cookies = app.layer.clone();
    let app = in_header(app);
    let token = start(&app).await;
    for name in ["Kr.Session", HEADER] {
        let cookie = format!("{name}={token}");
        let (status, _) = send(&app, &[("cookie", &cookie)], read).await;
        assert_eq!(status, StatusCode::CONFLICT);
    }
    // Neither may a token of an API be used as a cookie of the same store.
    let cookie = format!("Kr.Session={token}");
    let over_cookies = App {
        layer: cookies,
        ..app
    };
    let (status, _) = send(&over_cookies, &[("cookie", &cookie)], read).await;
    assert_eq!(status, StatusCode::CONFLICT);
}

async fn different_tokens_in_several_headers_are_ambiguous(app: App) {
    let app = in_header(app);
    let (first, second) = (start(&app).await, start(&app).await);
    let both = [(HEADER, first.as_str()), (HEADER, &second)];
    let (status, _) = send(&app, &both, insert).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let twice = [(HEADER, first.as_str()), (HEADER, &first)];
    assert_eq!(send(&app, &twice, read).await.0, StatusCode::OK);
}

#[test]
fn a_name_that_can_carry_no_token_is_refused() {
    let layer = SessionLayer::new(tower_kr_session::MemoryStore::new());
    for name in ["", "x session", "Cookie", "set-cookie"] {
        let refused = layer.clone().header(name).check().unwrap_err();
        let expected = ConfigError::Header { name: name.into() };
        assert_eq!(refused, expected);
    }
    layer.header("X-Session-Token").check().unwrap();
}
