//! The same handlers for every candidate, so that only the session layer differs.

use std::{future::Future, hint::black_box};

use axum::{Router, extract::FromRequestParts, routing::get};

/// The length of one stored text, in bytes.
pub const VALUE_BYTES: usize = 100;

/// How many texts the sessions have, of which one is read or written.
pub const SIZES: [usize; 3] = [1, 10, 100];

/// The handlers' operations on a session, implemented for each session layer.
pub trait Handle: FromRequestParts<()> + Send + Sync + 'static {
    fn counter(&self) -> impl Future<Output = Option<i64>> + Send;
    fn set_counter(&self, counter: i64) -> impl Future<Output = ()> + Send;
    fn text(&self, key: &'static str) -> impl Future<Output = Option<String>> + Send;
    fn set_text(&self, key: &'static str, text: &str) -> impl Future<Output = ()> + Send;

    /// By default, reads and writes.
    fn increment(&self) -> impl Future<Output = ()> + Send {
        async {
            let counter = self.counter().await.unwrap_or(0);
            self.set_counter(counter + 1).await;
        }
    }
}

/// Returns all routes: `/untouched`, `/read`, `/read-write`, `/increment` and `/new`; for sizes
/// `/seed-N`, `/get-text` and `/set-text`; and `/counter`, which checks that the others do what
/// they say.
pub fn routes<H: Handle>() -> Router {
    let mut router = Router::new()
        .route("/untouched", get(async || "ok"))
        .route("/read", get(read::<H>))
        .route("/read-write", get(read_write::<H>))
        .route("/increment", get(increment::<H>))
        .route("/new", get(start::<H>))
        .route("/get-text", get(get_text::<H>))
        .route("/set-text", get(set_text::<H>))
        .route("/counter", get(show_counter::<H>));
    for size in SIZES {
        let seed = async move |session: H| {
            for key in &KEYS[..size] {
                session.set_text(key, &"x".repeat(VALUE_BYTES)).await;
            }
            "ok"
        };
        router = router.route(&format!("/seed-{size}"), get(seed));
    }
    router
}

async fn read<H: Handle>(session: H) -> &'static str {
    black_box(session.counter().await);
    "ok"
}

async fn read_write<H: Handle>(session: H) -> &'static str {
    let counter = session.counter().await.unwrap_or(0);
    session.set_counter(counter + 1).await;
    "ok"
}

async fn increment<H: Handle>(session: H) -> &'static str {
    session.increment().await;
    "ok"
}

async fn start<H: Handle>(session: H) -> &'static str {
    session.set_counter(1).await;
    "ok"
}

async fn show_counter<H: Handle>(session: H) -> String {
    session.counter().await.unwrap_or(0).to_string()
}

async fn get_text<H: Handle>(session: H) -> &'static str {
    black_box(session.text(KEYS[0]).await);
    "ok"
}

async fn set_text<H: Handle>(session: H) -> &'static str {
    session.set_text(KEYS[0], TEXT).await;
    "ok"
}

const TEXT: &str = match str::from_utf8(&[b'y'; VALUE_BYTES]) {
    Ok(text) => text,
    Err(_) => unreachable!(),
};

/// Returns a key, `key-00` to `key-99`.
static KEYS: [&str; 100] = {
    const BYTES: [[u8; 6]; 100] = {
        let mut keys = [*b"key-00"; 100];
        let mut index = 0;
        while index < 100 {
            keys[index][4] += (index / 10) as u8;
            keys[index][5] += (index % 10) as u8;
            index += 1;
        }
        keys
    };
    let mut keys = [""; 100];
    let mut index = 0;
    while index < 100 {
        keys[index] = match str::from_utf8(&BYTES[index]) {
            Ok(key) => key,
            Err(_) => unreachable!(),
        };
        index += 1;
    }
    keys
};
