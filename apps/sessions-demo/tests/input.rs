//! Any bytes in what a client controls, without a server in between that would refuse some of them:
//! no panic, no 5xx, and nothing comes back that could be taken for the application's own words.
#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

mod support;

use std::sync::LazyLock;

use axum::{Router, body::Body};
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::BodyExt;
use kr_cookie::CookieBuilder;
use proptest::{collection::vec, prelude::*};
use sessions_demo::About;
use tokio::runtime::Runtime;
use tower::ServiceExt;
use tower_kr_session::{MokaStore, SessionLayer};

use support::{Client, NAME};

/// No token and no text of the page has it by chance.
const MARK: &str = "<zqmarkqz'\">";

const ROUTES: [(Method, &str); 24] = [
    (Method::GET, "/"),
    (Method::GET, "/hello"),
    (Method::GET, "/session/counter"),
    (Method::GET, "/session/whoami"),
    (Method::GET, "/session/login"),
    (Method::GET, "/session/logout"),
    (Method::GET, "/session/set"),
    (Method::GET, "/session/get"),
    (Method::GET, "/healthz"),
    (Method::GET, "/readyz"),
    (Method::GET, "/metrics"),
    (Method::GET, "/nowhere"),
    (Method::GET, "/page/style.css"),
    (Method::GET, "/page/main.js"),
    (Method::POST, "/page/replay"),
    (Method::POST, "/page/race/ready"),
    (Method::POST, "/page/race/increment"),
    (Method::POST, "/page/counter"),
    (Method::POST, "/page/login"),
    (Method::POST, "/page/logout"),
    (Method::POST, "/page/set"),
    (Method::POST, "/page/revoke"),
    (Method::POST, "/page/revoke-others"),
    (Method::POST, "/session/counter"),
];

/// One application for all cases, so that each meets what the ones before it left.
struct App {
    runtime: Runtime,
    router: Router,
    /// The token of a user who is signed in until some input signs them out.
    max: String,
    /// The token of a user who stays signed in: no input has it.
    eve: String,
}

static APP: LazyLock<App> = LazyLock::new(|| {
    let sessions = SessionLayer::new(MokaStore::new()).cookie(CookieBuilder::new(NAME));
    let about = About {
        store: "moka",
        https: true,
        cookie: CookieBuilder::new(NAME).build().unwrap(),
    };
    let router = sessions_demo::app(sessions, about).unwrap();
    let runtime = Runtime::new().unwrap();
    let [max, eve] = ["max", "eve"].map(|user| {
        let mut client = Client::new(&router);
        runtime.block_on(client.get(&format!("/session/login?user={user}")));
        client.token().unwrap().to_owned()
    });
    App {
        runtime,
        router,
        max,
        eve,
    }
});

/// What the application answers: status, headers and body.
fn send(request: Request<Body>) -> (StatusCode, http::HeaderMap, Vec<u8>) {
    APP.runtime.block_on(async {
        let response = APP.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        (parts.status, parts.headers, body)
    })
}

/// Any bytes, with the mark among them as often as not.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        3 => vec(any::<u8>(), 0..20),
        2 => Just(MARK.as_bytes().to_vec()),
        2 => prop::sample::select(vec![
            "=", ";", "; ", "&", ",", "%00", "%ff", "%0d%0a", "\"", "Kr.Session=", "Kr.Notice=", "set%20", "key=", "value=", "user=",
            "id=", "get=", "for=", "proto=https", "host=",
        ]).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => Just(APP.max.as_bytes().to_vec()),
    ];
    vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

fn headers() -> impl Strategy<Value = Vec<(HeaderName, Vec<u8>)>> {
    let name = prop::sample::select(vec![
        header::COOKIE,
        header::COOKIE,
        header::FORWARDED,
        HeaderName::from_static("x-forwarded-for"),
        HeaderName::from_static("x-forwarded-host"),
        HeaderName::from_static("x-forwarded-proto"),
        header::HOST,
        header::ORIGIN,
        header::REFERER,
        header::CONTENT_TYPE,
        HeaderName::from_static("sec-fetch-site"),
    ]);
    vec((name, bytes()), 0..6)
}

proptest! {
    // The environment may ask for more.
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(4_096)))]

    #[test]
    fn no_input_makes_the_application_fail_or_say_what_it_was_told_to(
        (method, path) in prop::sample::select(ROUTES.to_vec()),
        query in prop_oneof![bytes().prop_map(Some), Just(None)],
        headers in headers(),
        form in bytes(),
    ) {
        // What can't stand in a URI never gets to the application.
        let query = query.filter(|query| !query.is_empty());
        let target = query.map_or(path.as_bytes().to_vec(), |query| [path.as_bytes(), b"?", &query].concat());
        let uri = Uri::try_from(target).unwrap_or_else(|_| Uri::from_static(path));
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                request = request.header(name, value);
            }
        }
        let (status, headers, body) = send(request.body(Body::from(form)).unwrap());

        prop_assert!(status.as_u16() < 500, "{}", status);
        for value in headers.values() {
            let value = value.to_str().unwrap();
            prop_assert!(!value.contains("zqmarkqz"), "{}", value);
        }
        let body = String::from_utf8(body).unwrap();
        match headers.get(header::CONTENT_TYPE).map(|kind| kind.to_str().unwrap()) {
            Some("application/json") => {
                prop_assert!(serde_json::from_str::<serde_json::Value>(&body).is_ok(), "{}", body);
            }
            _ => prop_assert!(!body.contains("<zqmarkqz"), "{}", body),
        }
    }

    /// Cookies that others planted hide nobody's session; only a second live token could, and
    /// nobody has one.
    #[test]
    fn junk_among_the_cookies_hides_no_session(
        before in vec("[ -~&&[^;]]{0,30}", 0..4),
        after in vec("[ -~&&[^;]]{0,30}", 0..4),
    ) {
        let own = format!("{NAME}={}", APP.eve);
        let cookies = [before, vec![own], after].concat().join("; ");
        let request = Request::get("/session/whoami").header(header::COOKIE, cookies);
        let (status, ..) = send(request.body(Body::empty()).unwrap());
        prop_assert_eq!(status, StatusCode::OK);
    }
}
