//! What an application gets that sets nothing.

use std::convert::Infallible;

use http::{Request, header};
use tower::{Layer, ServiceExt, service_fn};
use tower_kr_session::{MemoryStore, Session, SessionLayer};

use crate::support::ok;

/// Without a word about cookies a layer sends the safest one that works for every application.
#[tokio::test]
async fn the_default_cookie_is_for_this_host_over_tls_and_for_no_script() {
    let layer = SessionLayer::new(MemoryStore::new());
    let service = layer.layer(service_fn(async |request: Request<()>| {
        let session = request.extensions().get::<Session>().unwrap();
        session.insert("a", &1).unwrap();
        Ok::<_, Infallible>(ok(""))
    }));
    let response = service.oneshot(Request::new(())).await.unwrap();
    let cookie = response.headers()[header::SET_COOKIE].to_str().unwrap();
    let (pair, attributes) = cookie.split_once(';').unwrap();
    let (name, token) = pair.split_once('=').unwrap();
    assert_eq!((name, token.len()), ("__Host-Kr.Session", 64));
    assert_eq!(attributes, " Secure; Path=/; HttpOnly; SameSite=Lax");
}
