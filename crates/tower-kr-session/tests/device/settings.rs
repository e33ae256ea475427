//! What an application may ask for.

use std::{convert::Infallible, time::Duration};

use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use tower::{Layer, ServiceExt, service_fn};
use tower_kr_session::{
    ConfigError, DeviceBinding, Https, MemoryStore, SessionLayer,
    cookie::{CookieBuilder, SecurePolicy},
};

use crate::{
    browser::Browser,
    site::{NAME, REGISTER, Site, binding, binding_at},
};

fn layer(binding: DeviceBinding) -> SessionLayer {
    SessionLayer::new(MemoryStore::new()).device_binding(binding)
}

#[test]
fn a_path_is_public_plain_and_below_that_of_the_cookie() {
    for bad in ["", "session", "/session/", "/a b", "/a\"b", "/a?b"] {
        let error = layer(DeviceBinding::new(bad)).check().unwrap_err();
        assert!(
            matches!(error, ConfigError::DevicePath { .. }),
            "{bad}: {error}"
        );
    }
    let shop = CookieBuilder::new("shop").path("/shop");
    let inside = layer(DeviceBinding::new("/shop/device")).cookie(shop.clone());
    inside.check().unwrap();
    let outside = layer(DeviceBinding::new("/device")).cookie(shop);
    let error = outside.check().unwrap_err();
    assert!(error.to_string().contains("`/device`"), "{error}");
}

#[test]
fn a_proof_counts_for_seconds_to_a_day() {
    for seconds in [2, 600, 86_400] {
        let lifetime = Duration::from_secs(seconds);
        layer(binding().proof_lifetime(lifetime)).check().unwrap();
    }
    for lifetime in [
        Duration::ZERO,
        Duration::from_secs(1),
        Duration::from_secs(86_401),
    ] {
        let error = layer(binding().proof_lifetime(lifetime))
            .check()
            .unwrap_err();
        assert!(matches!(error, ConfigError::DeviceLifetime { .. }));
    }
    let stale = binding().accept_stale_when_skipped(Duration::from_secs(86_401));
    let error = layer(stale).check().unwrap_err();
    assert!(error.to_string().contains("at most a day"), "{error}");
}

#[test]
fn it_needs_a_cookie_that_is_secure() {
    let header = layer(binding()).header("x-session-token").check();
    assert_eq!(header.unwrap_err(), ConfigError::DeviceHeader);
    let cookie = CookieBuilder::new("dev").secure_policy(SecurePolicy::None);
    let http = layer(binding()).cookie(cookie).check();
    assert_eq!(http.unwrap_err(), ConfigError::DeviceCookie);
}

#[test]
fn two_layers_answer_at_two_paths() {
    let at = |path, cookie| layer(DeviceBinding::new(path)).cookie(CookieBuilder::new(cookie));
    let first = at("/two/device", "__Host-First");
    first.check().unwrap();
    at("/two/device", "__Host-First").check().unwrap();
    let error = at("/two/device", "__Host-Second").check().unwrap_err();
    assert!(error.to_string().contains("`__Host-First`"), "{error}");
    at("/two/admin", "__Host-Second").check().unwrap();
}

#[tokio::test]
async fn over_plain_http_nothing_is_offered() {
    let cookie = CookieBuilder::new("Kr.Session").secure_policy(SecurePolicy::SameAsRequest);
    let site = Site::in_memory().with(|layer| {
        layer
            .device_binding(binding_at("/plain/device"))
            .cookie(cookie)
    });
    for https in [false, true] {
        let mut request = Request::builder().uri("/").body(()).unwrap();
        if https {
            request.extensions_mut().insert(Https);
        }
        let handler = |session: tower_kr_session::Session| async move {
            session.sign_in("max")?;
            Ok(String::new())
        };
        let reply = site.handle(request, handler).await;
        let offer = reply.header("secure-session-registration");
        assert_eq!(offer.is_some(), https);
    }
}

#[derive(Clone)]
struct Original(Uri);

fn find(extensions: &http::Extensions) -> Option<&Uri> {
    extensions.get::<Original>().map(|original| &original.0)
}

#[tokio::test]
async fn the_public_path_counts_where_a_router_strips_it() {
    let nested = binding().original_uri(find);
    let site = Site::in_memory().with(|layer| layer.device_binding(nested));
    for (seen, original, answered) in [
        ("/device/register", Some(REGISTER), true),
        (REGISTER, None, true),
        (REGISTER, Some("/other"), false),
    ] {
        let mut request = Request::builder()
            .method("POST")
            .uri(seen)
            .body(())
            .unwrap();
        if let Some(original) = original {
            let original = Original(Uri::from_static(original));
            request.extensions_mut().insert(original);
        }
        let reply = site
            .handle(request, |_| async { Ok("the application".into()) })
            .await;
        assert_eq!(reply.body.is_empty(), answered, "{seen}");
    }
}

#[tokio::test]
async fn a_body_of_another_type_is_an_error_of_the_server() {
    let layer = layer(DeviceBinding::new("/other/device"));
    let service = layer.layer(service_fn(|_: Request<()>| async {
        Ok::<_, Infallible>(Response::new(Full::<bytes::Bytes>::default()))
    }));
    let request = Request::builder()
        .method("POST")
        .uri("/other/device/register");
    let response = service.oneshot(request.body(()).unwrap()).await.unwrap();
    assert_eq!(response.status(), 500);
    assert!(
        response
            .into_body()
            .collect()
            .await
            .unwrap()
            .to_bytes()
            .is_empty()
    );
}

/// The bound cookie has the prefix and the attributes of the session's.
#[tokio::test]
async fn the_bound_cookie_is_named_after_the_sessions() {
    let site = Site::in_memory();
    let browser = Browser::bound(&site, "max").await;
    let names: Vec<&str> = browser.cookies.keys().map(String::as_str).collect();
    assert_eq!(names, [NAME, "__Host-Kr.Session.Bound"]);
}
