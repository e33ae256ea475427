//! What `{:?}` shows: each type by its name, and no token and no value.

// Helpers of tests may panic as tests do; the lint's own exception covers test functions only.
#![allow(clippy::unwrap_used)]

#[path = "versioned/map_store.rs"]
mod map_store;
#[path = "session/support.rs"]
mod support;

use std::{convert::Infallible, fmt::Debug, future::Ready};

use bytes::Bytes;
use http::{Request, Response};
use tower::{Service, ServiceBuilder};
use tower_kr_session::{
    Label, ManualClock, MemoryStore, MokaStore, SessionId, SessionKey, Timestamp,
    key::KeyBuf,
    store::{IdleLimit, Record, SecretHash, StoreKey, StoreValue, ValueClass, Version, Versioned},
};

use self::{
    map_store::MapStore,
    support::{ABSOLUTE, App, IDLE, ok, owner},
};

const NOW: Timestamp = Timestamp::from_unix_millis(1_800_000_000_000);

fn assert_shown(value: &dyn Debug, expected: &str) {
    assert_eq!(format!("{value:?}"), expected);
}

#[test]
fn ids_keys_and_names_are_shown() {
    let id = SessionId::from_bytes([1; 16]);
    assert_shown(&id, &format!("SessionId({id})"));
    assert_shown(&StoreKey::session(id), &format!("StoreKey(s-{id})"));
    assert_shown(&SessionKey::<i64>::new("a"), r#"SessionKey("a")"#);
    assert_shown(&KeyBuf::new("a").unwrap(), r#""a""#);
    assert_shown(&owner("max"), r#"Owner("max")"#);
    assert_shown(&Label::new("phone").unwrap(), r#"Label("phone")"#);
    assert_shown(&Version::from_bytes("1"), "Version([49])");
    assert_shown(&ManualClock::new(NOW), &format!("ManualClock({NOW:?})"));
}

#[test]
fn of_secrets_and_values_no_byte_is_shown() {
    assert_shown(&SecretHash::from_bytes([7; 32]), "SecretHash(..)");
    let value = StoreValue::new("hunter2", ValueClass::Owned);
    assert_shown(&value, "StoreValue(7 bytes, Owned)");
    let secret = SecretHash::from_bytes([7; 32]);
    let mut record = Record::new(secret, NOW, IdleLimit::new(IDLE), ABSOLUTE);
    record.values = [("password", Bytes::from_static(b"hunter2"))]
        .into_iter()
        .collect();
    assert_shown(&record.values, r#"{"password": "7 bytes"}"#);
    let shown = format!("{record:?}");
    assert!(shown.contains("secret: SecretHash(..)"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
}

/// The service inside.
#[derive(Clone, Debug)]
struct Inner;

impl Service<Request<()>> for Inner {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        std::future::ready(Ok(ok("")))
    }
}

#[tokio::test]
async fn layers_stores_and_handles_are_shown_by_their_names() {
    let app = App::in_memory();
    let layer = format!("{:?}", app.layer);
    assert!(layer.starts_with("SessionLayer { cookie: "), "{layer}");
    assert!(layer.contains("io_timeout: 10s"), "{layer}");
    let mut service = ServiceBuilder::new()
        .layer(app.layer.clone())
        .service(Inner);
    assert_shown(&service, "SessionService { inner: Inner, .. }");
    let future = service.call(Request::new(()));
    assert_shown(&future, "ResponseFuture { .. }");
    assert_shown(&app.sessions(), "Sessions { .. }");
    assert_shown(&app.sessions().import(b"old"), "Import { .. }");
    let token = app.start(&[("a", 1)]).await;
    let reply = app
        .with(Some(&token), |session| async move {
            let unread = format!("{session:?}");
            session.get::<i64>("a").await?;
            Ok(ok(format!("{unread} {session:?}")))
        })
        .await;
    let id = app.id(&token).await.unwrap();
    let [unread, read] = ["None".to_owned(), format!("Some(SessionId({id}))")];
    let expected = format!("Session {{ id: {unread}, .. }} Session {{ id: {read}, .. }}");
    assert_eq!(reply.body, expected);
    assert_shown(&MemoryStore::new(), "MemoryStore { records: 0, .. }");
    assert_shown(&MokaStore::new(), "MokaStore { records: 0, .. }");
    let versioned = format!("{:?}", Versioned::new(MapStore::default()));
    assert!(
        versioned.starts_with("Versioned(MapStore { "),
        "{versioned}"
    );
}
