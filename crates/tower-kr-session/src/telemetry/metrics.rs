//! Counters of events and a histogram of store times, for the recorder that the application
//! installed.

use std::time::Instant;

use ::metrics::{Unit, counter, describe_counter, describe_histogram, histogram};

use crate::store::StoreError;

/// A counter with at most one label, whose values are known beforehand.
pub(crate) struct Counter {
    name: &'static str,
    help: &'static str,
    label: &'static str,
    values: &'static [&'static str],
}

pub(crate) const CREATED: Counter =
    Counter::new("kr_session_created_total", "Sessions that started.").by_sign_in();
pub(crate) const ROTATED: Counter =
    Counter::new("kr_session_rotated_total", "Sessions that got a new token.").by_sign_in();
pub(crate) const DESTROYED: Counter = Counter::new(
    "kr_session_destroyed_total",
    "Sessions that a request ended.",
);
pub(crate) const REVOKED: Counter = Counter::new(
    "kr_session_revoked_total",
    "Sessions that were ended from outside.",
);
pub(crate) const EXPIRED: Counter =
    Counter::new("kr_session_expired_total", "Tokens without a live session.");
pub(crate) const REFUSED: Counter = Counter::new(
    "kr_session_refused_total",
    "Tokens of a live session with a wrong secret.",
);
pub(crate) const AMBIGUOUS: Counter = Counter::new(
    "kr_session_ambiguous_total",
    "Requests with several session cookies of which none could be chosen.",
);
pub(crate) const COMMIT_FAILURES: Counter = Counter::new(
    "kr_session_commit_failures_total",
    "Responses that the layer took back or could not commit.",
)
.by(
    "reason",
    &[
        "store",
        "ended",
        "superseded",
        "revoked",
        "too_many_sessions",
        "no_consent",
        #[cfg(feature = "device-bound")]
        "proof_missing",
        "ambiguous_cookie",
        "too_large",
        "other",
    ],
);
pub(crate) const CALL_FAILURES: Counter = Counter::new(
    "kr_session_call_failures_total",
    "Calls of handlers that failed by a fault of the application.",
)
.by(
    "reason",
    &[
        "decode",
        "encode",
        "not_an_integer",
        "overflow",
        "invalid_limit",
        "response_sent",
    ],
);
pub(crate) const UNSAVED: Counter = Counter::new(
    "kr_session_unsaved_total",
    "Handles that outlived their request and were dropped with changes that nobody saved.",
);
pub(crate) const TOUCH_FAILURES: Counter = Counter::new(
    "kr_session_touch_failures_total",
    "Sessions whose idle deadline could not be moved after a read.",
);
pub(crate) const PING_FAILURES: Counter = Counter::new(
    "kr_session_ping_failures_total",
    "Checks that found that the store can't serve sessions.",
);
pub(crate) const EVICTED: Counter = Counter::new(
    "kr_session_evicted_total",
    "Live sessions that a store in memory dropped to make room.",
)
.by("share", &["anonymous", "owned"]);

#[cfg(feature = "device-bound")]
pub(crate) const DEVICE_BOUND: Counter = Counter::new(
    "kr_session_device_bound_total",
    "Sessions that a browser bound to its device.",
);
#[cfg(feature = "device-bound")]
pub(crate) const DEVICE_REFRESHED: Counter = Counter::new(
    "kr_session_device_refreshed_total",
    "Proofs of a session's device.",
);
#[cfg(feature = "device-bound")]
pub(crate) const DEVICE_REFUSED: Counter = Counter::new(
    "kr_session_device_refused_total",
    "Proofs that were refused, and requests of bound sessions without one.",
)
.by("reason", &crate::device::Refusal::LABELS);
#[cfg(feature = "device-bound")]
pub(crate) const DEVICE_SKIPPED: Counter = Counter::new(
    "kr_session_device_skipped_total",
    "Requests of bound sessions whose browser could not prove itself.",
)
.by(
    "reason",
    &["unreachable", "server_error", "quota_exceeded", "other"],
);

const ALL: &[Counter] = &[
    CREATED,
    ROTATED,
    DESTROYED,
    REVOKED,
    EXPIRED,
    REFUSED,
    AMBIGUOUS,
    COMMIT_FAILURES,
    CALL_FAILURES,
    UNSAVED,
    TOUCH_FAILURES,
    PING_FAILURES,
    EVICTED,
    #[cfg(feature = "device-bound")]
    DEVICE_BOUND,
    #[cfg(feature = "device-bound")]
    DEVICE_REFRESHED,
    #[cfg(feature = "device-bound")]
    DEVICE_REFUSED,
    #[cfg(feature = "device-bound")]
    DEVICE_SKIPPED,
];

const STORE_SECONDS: &str = "kr_session_store_seconds";

/// Describes the counters and the histogram of this crate to the recorder of the `metrics` facade,
/// and starts every counter at zero. A first event is then a step that an alert can see, not a new
/// series. Call it once, after the recorder is installed.
///
/// The table of [events](crate#events) lists the names.
///
/// ```
/// // With metrics-exporter-prometheus: PrometheusBuilder::new().install()?;
/// tower_kr_session::describe_metrics();
/// ```
pub fn describe_metrics() {
    for counter in ALL {
        describe_counter!(counter.name, Unit::Count, counter.help);
        if counter.values.is_empty() {
            counter.register(&[]).increment(0);
        }
        for value in counter.values {
            counter.register(&[(counter.label, *value)]).increment(0);
        }
    }
    describe_histogram!(
        STORE_SECONDS,
        Unit::Seconds,
        "How long calls to the store took; those to a MemoryStore are not measured."
    );
}

impl Counter {
    const fn new(name: &'static str, help: &'static str) -> Self {
        Self {
            name,
            help,
            label: "",
            values: &[],
        }
    }

    const fn by(self, label: &'static str, values: &'static [&'static str]) -> Self {
        Self {
            label,
            values,
            ..self
        }
    }

    const fn by_sign_in(self) -> Self {
        self.by("signed_in", &["true", "false"])
    }

    pub(crate) fn add(&self, count: u64) {
        self.register(&[]).increment(count);
    }

    /// Adds one under this value of the label.
    pub(crate) fn add_one(&self, value: &'static str) {
        debug_assert!(self.values.contains(&value), "{value}");
        self.register(&[(self.label, value)]).increment(1);
    }

    fn register(&self, labels: &[(&'static str, &'static str)]) -> ::metrics::Counter {
        counter!(self.name, labels)
    }
}

/// Measures a call to the store until it is dropped.
pub(crate) struct StoreTimer {
    operation: &'static str,
    outcome: &'static str,
    start: Instant,
}

impl StoreTimer {
    pub(crate) fn start(operation: &'static str) -> Self {
        Self {
            operation,
            // Stays so if the client leaves first.
            outcome: "dropped",
            start: Instant::now(),
        }
    }

    pub(crate) fn stop<T>(mut self, answer: &Result<T, StoreError>) {
        self.outcome = match answer {
            Ok(_) => "answered",
            Err(StoreError::TimedOut) => "timed_out",
            Err(_) => "failed",
        };
    }
}

impl Drop for StoreTimer {
    fn drop(&mut self) {
        histogram!(STORE_SECONDS, "operation" => self.operation, "outcome" => self.outcome)
            .record(self.start.elapsed());
    }
}
