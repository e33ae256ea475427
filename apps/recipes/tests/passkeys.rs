//! Signing in with a passkey, whose authenticator is a program.

// Helpers of tests may panic as tests do; the lint's own exception covers test functions only.
#![allow(clippy::unwrap_used)]

#[path = "../../../crates/tower-kr-session-compat/tests/support/mod.rs"]
mod support;

use std::{sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::Path, routing::get};
use http::{Request, StatusCode, header};
use recipes::passkeys::{Site, routes};
use serde_json::{Value, json};
use support::{Browser, Reply};
use tower_kr_session::{Clock, ManualClock, MemoryStore, Session, SessionLayer, SystemClock};
use webauthn_authenticator_rs::{WebauthnAuthenticator, softpasskey::SoftPasskey};
use webauthn_rs::prelude::Url;

struct Shop {
    clock: Arc<ManualClock>,
    app: Router,
}

fn origin() -> Url {
    Url::parse("https://shop.example").unwrap()
}

fn shop() -> Shop {
    let clock = Arc::new(ManualClock::new(SystemClock.now()));
    let site = Site::new("shop.example", &origin(), clock.clone()).unwrap();
    let who = async |session: Session| {
        let owner = session.owner().await.unwrap();
        owner.map_or_else(String::new, |owner| owner.to_string())
    };
    let password = async |session: Session, Path(user): Path<String>| {
        session.sign_in(user).unwrap();
    };
    let app = routes(site)
        .route("/who", get(who))
        .route("/password/{user}", get(password))
        .layer(SessionLayer::new(MemoryStore::new()).clock(clock.clone()));
    Shop { clock, app }
}

impl Shop {
    fn browser(&self) -> Browser {
        Browser::new(&self.app)
    }

    /// A new user of this name, and their authenticator with a passkey.
    async fn with_passkey(&self, user: &str) -> SoftPasskey {
        let (mut browser, mut key) = (self.browser(), SoftPasskey::new(true));
        browser.get(&format!("/password/{user}")).await;
        let registration = register(&mut browser, &mut key).await;
        let reply = post(&mut browser, "/passkeys/finish", &registration).await;
        assert_eq!(reply.status, StatusCode::CREATED);
        key
    }
}

async fn post(browser: &mut Browser, path: &str, body: &Value) -> Reply {
    let request = Request::post(path)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body.to_string()));
    browser.send(request.unwrap()).await
}

async fn begin(browser: &mut Browser, path: &str, body: &Value) -> Value {
    let reply = post(browser, path, body).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
    serde_json::from_str(&reply.body).unwrap()
}

/// Begins a registration, and returns what the page would send to finish it.
async fn register(browser: &mut Browser, key: &mut SoftPasskey) -> Value {
    let begun = begin(browser, "/passkeys/begin", &Value::Null).await;
    let options = serde_json::from_value(begun["options"].clone()).unwrap();
    let credential = key.do_registration(origin(), options).unwrap();
    json!({"ceremony": begun["ceremony"], "credential": credential})
}

/// Begins a sign-in, and returns what the page would send to finish it.
async fn sign_in(browser: &mut Browser, key: &mut SoftPasskey, user: &str) -> Value {
    let begun = begin(browser, "/login/begin", &json!({"user": user})).await;
    let options = serde_json::from_value(begun["options"].clone()).unwrap();
    let credential = key.do_authentication(origin(), options).unwrap();
    json!({"ceremony": begun["ceremony"], "credential": credential})
}

#[tokio::test]
async fn a_passkey_signs_in_and_its_answer_works_once() {
    let shop = shop();
    let mut key = shop.with_passkey("max").await;
    let mut browser = shop.browser();
    let finish = sign_in(&mut browser, &mut key, "max").await;
    let before = browser.clone();
    let reply = post(&mut browser, "/login/finish", &finish).await;
    assert_eq!(reply.status, StatusCode::NO_CONTENT);
    assert_eq!(browser.get("/who").await.body, "max");
    assert_eq!(before.clone().get("/who").await.body, "");
    let reply = post(&mut browser, "/login/finish", &finish).await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn two_tabs_have_two_ceremonies() {
    let shop = shop();
    let mut key = shop.with_passkey("max").await;
    let mut browser = shop.browser();
    let first = sign_in(&mut browser, &mut key, "max").await;
    let second = sign_in(&mut browser, &mut key, "max").await;
    // An answer to one is none to the other, and ends it.
    let mixed = json!({"ceremony": first["ceremony"], "credential": second["credential"]});
    for (finish, expected) in [(mixed, 400), (first, 400), (second, 204)] {
        let reply = post(&mut browser, "/login/finish", &finish).await;
        assert_eq!(reply.status, expected);
    }
    assert_eq!(browser.get("/who").await.body, "max");
}

#[tokio::test]
async fn an_answer_from_another_browser_is_refused() {
    let shop = shop();
    let mut key = shop.with_passkey("max").await;
    let mut browser = shop.browser();
    let finish = sign_in(&mut browser, &mut key, "max").await;
    let mut thief = shop.browser();
    begin(&mut thief, "/login/begin", &json!({"user": "max"})).await;
    let reply = post(&mut thief, "/login/finish", &finish).await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    assert_eq!(thief.get("/who").await.body, "");
}

#[tokio::test]
async fn a_passkey_of_another_user_is_refused() {
    let shop = shop();
    shop.with_passkey("max").await;
    let mut key = shop.with_passkey("eva").await;
    let mut browser = shop.browser();
    let begun = begin(&mut browser, "/login/begin", &json!({"user": "max"})).await;
    let mut evas = sign_in(&mut browser, &mut key, "eva").await;
    evas["ceremony"] = begun["ceremony"].clone();
    let reply = post(&mut browser, "/login/finish", &evas).await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    assert_eq!(browser.get("/who").await.body, "");
}

#[tokio::test]
async fn a_ceremony_ends_after_ten_minutes() {
    let shop = shop();
    let mut key = shop.with_passkey("max").await;
    for (age, expected) in [(600, 204), (601, 400)] {
        let mut browser = shop.browser();
        let finish = sign_in(&mut browser, &mut key, "max").await;
        shop.clock.advance(Duration::from_secs(age));
        let reply = post(&mut browser, "/login/finish", &finish).await;
        assert_eq!(reply.status, expected);
    }
}

#[tokio::test]
async fn a_new_passkey_takes_a_fresh_sign_in() {
    let shop = shop();
    let mut browser = shop.browser();
    let reply = post(&mut browser, "/passkeys/begin", &Value::Null).await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
    browser.get("/password/max").await;
    shop.clock.advance(Duration::from_secs(6 * 60));
    let reply = post(&mut browser, "/passkeys/begin", &Value::Null).await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_registration_works_once_and_for_the_user_who_began_it() {
    let shop = shop();
    let (mut browser, mut key) = (shop.browser(), SoftPasskey::new(true));
    browser.get("/password/max").await;
    let finish = register(&mut browser, &mut key).await;
    browser.get("/password/eva").await;
    let reply = post(&mut browser, "/passkeys/finish", &finish).await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);

    browser.get("/password/max").await;
    let finish = register(&mut browser, &mut key).await;
    for expected in [201, 400] {
        let reply = post(&mut browser, "/passkeys/finish", &finish).await;
        assert_eq!(reply.status, expected);
    }
}
