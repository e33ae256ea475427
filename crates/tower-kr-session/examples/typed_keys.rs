//! Defines a key that knows the type of its value, so the compiler checks what is read and written.
//!
//! `cargo run -p tower-kr-session --example typed_keys`, then
//! `curl -c jar -b jar -X POST http://localhost:3000/add/tea`.

use axum::{
    Json, Router,
    extract::Path,
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use tower_kr_session::{MemoryStore, Session, SessionError, SessionKey, SessionLayer};

/// Names the key and its type in one place.
const CART: SessionKey<Cart> = SessionKey::new("cart");

#[derive(Debug, Default, Serialize, Deserialize)]
struct Cart {
    items: Vec<String>,
}

async fn show(session: Session) -> Result<Json<Cart>, SessionError> {
    Ok(Json(session.get(CART).await?.unwrap_or_default()))
}

/// Adds an item with `update`: `get` and `insert` would lose one when two requests overlap.
async fn add(session: Session, Path(item): Path<String>) -> Result<Json<Cart>, SessionError> {
    let cart = session
        .update(CART, |cart| {
            let mut cart = cart.unwrap_or_default();
            cart.items.push(item.clone());
            Some(cart)
        })
        .await?;
    Ok(Json(cart.unwrap_or_default()))
}

async fn empty(session: Session) -> Result<(), SessionError> {
    session.remove(CART)
}

fn app() -> Router {
    Router::new()
        .route("/", get(show))
        .route("/add/{item}", post(add))
        .route("/empty", post(empty))
        .layer(SessionLayer::new(MemoryStore::new()))
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::bind("localhost:3000").await?;
    axum::serve(listener, app()).await
}

#[cfg(test)]
#[path = "shared/client.rs"]
mod client;

#[tokio::test]
async fn a_cart_keeps_what_is_put_into_it() {
    let mut client = client::Client::new(&app());
    client.post("/add/tea").await;
    client.post("/add/honey").await;
    assert_eq!(client.get("/").await.body, r#"{"items":["tea","honey"]}"#);
    client.post("/empty").await;
    assert_eq!(client.get("/").await.body, r#"{"items":[]}"#);
}
