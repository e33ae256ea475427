//! Serves `/metrics`: how long requests take, and what happens to sessions.

use std::time::Instant;

use axum::{
    Router,
    extract::{MatchedPath, Request},
    middleware::{self, Next},
    response::Response,
    routing::get,
};
use http::header;
use metrics::{Unit, describe_histogram, histogram};

use crate::{recorder::Recorder, requests};

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

const REQUESTS: &str = "http_request_duration_seconds";

/// Measures every request of `app`, and adds the `/metrics` route.
pub(crate) fn around(app: Router) -> Router {
    let recorder = Recorder::installed(|| {
        describe_histogram!(
            REQUESTS,
            Unit::Seconds,
            "From the request to the head of its response."
        );
        tower_kr_session::describe_metrics();
    });
    let metrics = get(async || ([(header::CONTENT_TYPE, TEXT)], recorder.render()))
        .layer(middleware::map_response(requests::aside));
    app.layer(middleware::from_fn(measure))
        .route("/metrics", metrics)
}

/// Records the time of a request by the route's pattern: a path would let clients make the list
/// grow.
async fn measure(request: Request, next: Next) -> Response {
    let start = Instant::now();
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or("none", MatchedPath::as_str).to_owned();
    let response = next.run(request).await;
    let status = response.status().as_u16().to_string();
    histogram!(REQUESTS, "route" => route, "status" => status).record(start.elapsed());
    response
}
