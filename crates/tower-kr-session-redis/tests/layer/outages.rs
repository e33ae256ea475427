//! What a client sees while Redis fails.

use std::time::{Duration, Instant};

use http::{StatusCode, header};

use super::app::{App, IO_TIMEOUT, Reply};
use crate::support::{Server, eventually};

/// 503 with Retry-After, nothing of the handler, and no word about the cookie: the client keeps it.
fn is_503_and_keeps_the_cookie(reply: &Reply) {
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{reply:?}");
    assert!(reply.headers.contains_key(header::RETRY_AFTER));
    assert!(!reply.headers.contains_key(header::SET_COOKIE));
    assert_eq!(reply.body, "");
}

pub(crate) async fn a_frozen_server_is_503_and_keeps_cookies() {
    let server = Server::start(&[]);
    let app = App::start(&server.url()).await;
    let token = app.counter(None).await.token();
    server.freeze();
    let start = Instant::now();
    is_503_and_keeps_the_cookie(&app.counter(Some(&token)).await);
    assert!(start.elapsed() < IO_TIMEOUT, "{:?}", start.elapsed());

    tokio::time::sleep(Duration::from_millis(30)).await;
    let start = Instant::now();
    is_503_and_keeps_the_cookie(&app.counter(Some(&token)).await);
    is_503_and_keeps_the_cookie(&app.read(&token).await);
    is_503_and_keeps_the_cookie(&app.sign_out(&token).await);
    is_503_and_keeps_the_cookie(&app.counter(None).await);
    is_503_and_keeps_the_cookie(&app.sign_in(None, "max").await);
    for token in [None, Some(token.as_str())] {
        let reply = app.untouched(token).await;
        assert_eq!((reply.status, &*reply.body), (StatusCode::OK, "hello"));
    }
    assert!(
        start.elapsed() < 5 * Duration::from_millis(50),
        "{:?}",
        start.elapsed()
    );

    server.thaw();
    eventually("the sessions are back", || async {
        app.read(&token).await.status == StatusCode::OK
    })
    .await;
    // The first increment was on its way when the server froze, and got no answer: it may have been
    // done when it woke up.
    let count: i64 = app
        .counter(Some(&token))
        .await
        .body
        .parse()
        .expect("a number");
    assert!((2..=3).contains(&count), "{count}");
}

pub(crate) async fn a_full_session_store_takes_success_back() {
    let server = Server::start(&[]);
    let app = App::start(&server.url()).await;
    let token = app.counter(None).await.token();
    let _: String = server.ask(&["CONFIG", "SET", "maxmemory", "1"]);
    is_503_and_keeps_the_cookie(&app.insert(Some(&token), "a".to_owned()).await);
    is_503_and_keeps_the_cookie(&app.insert(None, "a".to_owned()).await);
    assert_eq!(app.read(&token).await.body, "Some(1)");
    assert_eq!(app.sign_out(&token).await.status, StatusCode::OK);
}
