//! Uses the layer without axum, around any tower service whose response body has a default. The
//! session is in the request's extensions.
//!
//! `cargo run -p tower-kr-session --example plain_tower` sends three requests through the service
//! and shows the answers.

use std::{convert::Infallible, error::Error};

use http::{Request, Response, StatusCode, header};
use tower::{Layer, ServiceExt, service_fn};
use tower_kr_session::{MemoryStore, Session, SessionError, SessionLayer};

async fn counter(request: Request<()>) -> Result<Response<String>, Infallible> {
    Ok(match count(request.extensions().get()).await {
        Ok(visits) => Response::new(format!("visit {visits}")),
        Err(error) => {
            let mut response = Response::new(error.public_message());
            *response.status_mut() = error.status();
            response
        }
    })
}

async fn count(session: Option<&Session>) -> Result<i64, SessionError> {
    match session {
        Some(session) => session.increment("visits", 1).await,
        None => Ok(0),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let service = SessionLayer::new(MemoryStore::new()).layer(service_fn(counter));
    let mut cookie = String::new();
    for expected in ["visit 1", "visit 2", "visit 3"] {
        let request = Request::builder()
            .header(header::COOKIE, &cookie)
            .body(())?;
        let response = service.clone().oneshot(request).await?;
        if let Some(set) = response.headers().get(header::SET_COOKIE) {
            cookie = set.to_str()?.split(';').next().unwrap_or_default().into();
        }
        eprintln!("{} {}", response.status(), response.body());
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.body(), expected);
    }
    Ok(())
}
