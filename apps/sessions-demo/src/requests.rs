//! Logs requests: one line each, at WARN those that the server failed, but for probes.

use std::time::Instant;

use axum::{extract::Request, middleware::Next, response::Response};
use tower_kr_session::SessionId;
use tracing::{Instrument, field::display};

/// Marks the response to a request whose token opened this session, or that started it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OfSession(pub(crate) SessionId);

/// Marks the response to a request that is no step of a visitor: a part of the page, or a probe.
#[derive(Debug, Clone, Copy)]
struct Aside;

/// Marks all responses, so that [`log`] logs their requests at DEBUG.
pub(crate) async fn aside(mut response: Response) -> Response {
    response.extensions_mut().insert(Aside);
    response
}

/// Logs the method and path of a request, its status, how many microseconds it took to the head of
/// its response, and the id of its session. Headers and queries hold what no log may show.
pub(crate) async fn log(request: Request, next: Next) -> Response {
    let start = Instant::now();
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let span = tracing::info_span!("request", %method, path);
    let response = next.run(request).instrument(span).await;
    let micros = start.elapsed().as_micros() as u64;
    let status = response.status().as_u16();
    let extensions = response.extensions();
    let session = extensions.get().map(|OfSession(id)| display(id));
    if extensions.get::<Aside>().is_some() {
        // If a probe fails, the layer tells why.
        tracing::debug!(%method, path, status, micros, "answered");
    } else if response.status().is_server_error() {
        tracing::warn!(%method, path, status, micros, session, "a request failed");
    } else {
        tracing::info!(%method, path, status, micros, session, "answered");
    }
    response
}
