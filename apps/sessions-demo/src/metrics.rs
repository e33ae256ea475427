//! Counts and times of requests, in the text format that Prometheus reads.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use axum::routing::get;
use axum::{Router, middleware};
use http::header;
use tower_kr_session::SessionError;

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The upper bounds of the histogram's buckets, in seconds.
const BOUNDS: [f64; 10] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 10.0,
];

/// What was counted since the process began. Its size is bounded: routes are counted by their pattern, never by the path.
#[derive(Clone, Default)]
pub(crate) struct Metrics(Arc<Mutex<Counts>>);

#[derive(Default)]
struct Counts {
    requests: BTreeMap<(String, u16), Histogram>,
    failed_commits: BTreeMap<&'static str, u64>,
}

#[derive(Default)]
struct Histogram {
    /// How many fell into each bucket alone; the last one is without a bound.
    buckets: [u64; BOUNDS.len() + 1],
    seconds: f64,
}

impl Metrics {
    /// Measures every request of `app`, and adds the route that tells.
    pub(crate) fn around(&self, app: Router) -> Router {
        let metrics = self.clone();
        let tell = get(async move || ([(header::CONTENT_TYPE, TEXT)], metrics.tell()));
        app.layer(middleware::from_fn_with_state(self.clone(), measure))
            .route("/metrics", tell)
    }

    pub(crate) fn count_failed_commit(&self, error: &SessionError) {
        self.lock(|counts| *counts.failed_commits.entry(kind(error)).or_default() += 1);
    }

    fn count_request(&self, route: String, status: u16, time: Duration) {
        self.lock(|counts| {
            let histogram = counts.requests.entry((route, status)).or_default();
            let seconds = time.as_secs_f64();
            let bucket = BOUNDS.partition_point(|bound| *bound < seconds);
            histogram.buckets[bucket] += 1;
            histogram.seconds += seconds;
        });
    }

    fn tell(&self) -> String {
        self.lock(|counts| {
            let mut text = String::new();
            // Writing to a string doesn't fail.
            let _ = counts.write(&mut text);
            text
        })
    }

    fn lock<R>(&self, work: impl FnOnce(&mut Counts) -> R) -> R {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Counts {
    fn write(&self, text: &mut String) -> std::fmt::Result {
        let name = "http_request_duration_seconds";
        writeln!(
            text,
            "# HELP {name} From the request to the head of its response."
        )?;
        writeln!(text, "# TYPE {name} histogram")?;
        for ((route, status), histogram) in &self.requests {
            let labels = format!("route=\"{route}\",status=\"{status}\"");
            let mut count = 0;
            for (bucket, bound) in histogram.buckets.iter().zip(BOUNDS) {
                count += bucket;
                writeln!(text, "{name}_bucket{{{labels},le=\"{bound}\"}} {count}")?;
            }
            count += histogram.buckets[BOUNDS.len()];
            writeln!(text, "{name}_bucket{{{labels},le=\"+Inf\"}} {count}")?;
            writeln!(text, "{name}_sum{{{labels}}} {}", histogram.seconds)?;
            writeln!(text, "{name}_count{{{labels}}} {count}")?;
        }
        let name = "session_commit_failures_total";
        writeln!(
            text,
            "# HELP {name} Responses that the session layer took back or could not commit."
        )?;
        writeln!(text, "# TYPE {name} counter")?;
        for (reason, count) in &self.failed_commits {
            writeln!(text, "{name}{{reason=\"{reason}\"}} {count}")?;
        }
        Ok(())
    }
}

async fn measure(State(metrics): State<Metrics>, request: Request, next: Next) -> Response {
    let start = Instant::now();
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or("none", MatchedPath::as_str).to_owned();
    let response = next.run(request).await;
    metrics.count_request(route, response.status().as_u16(), start.elapsed());
    response
}

fn kind(error: &SessionError) -> &'static str {
    match error {
        SessionError::Store(_) | SessionError::Interrupted => "store",
        SessionError::Ended => "ended",
        SessionError::Superseded => "superseded",
        SessionError::Revoked => "revoked",
        SessionError::TooManySessions { .. } => "too_many_sessions",
        SessionError::AmbiguousCookie => "ambiguous_cookie",
        SessionError::TooLarge { .. } => "too_large",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_told_as_sums() {
        let metrics = Metrics::default();
        for millis in [1, 2, 60_000] {
            metrics.count_request("/a".to_owned(), 200, Duration::from_millis(millis));
        }
        let text = metrics.tell();
        for line in [
            "http_request_duration_seconds_bucket{route=\"/a\",status=\"200\",le=\"0.0005\"} 0",
            "http_request_duration_seconds_bucket{route=\"/a\",status=\"200\",le=\"0.001\"} 1",
            "http_request_duration_seconds_bucket{route=\"/a\",status=\"200\",le=\"0.0025\"} 2",
            "http_request_duration_seconds_bucket{route=\"/a\",status=\"200\",le=\"10\"} 2",
            "http_request_duration_seconds_bucket{route=\"/a\",status=\"200\",le=\"+Inf\"} 3",
            "http_request_duration_seconds_sum{route=\"/a\",status=\"200\"} 60.003",
            "http_request_duration_seconds_count{route=\"/a\",status=\"200\"} 3",
        ] {
            assert!(text.lines().any(|told| told == line), "{line}\n{text}");
        }
    }
}
