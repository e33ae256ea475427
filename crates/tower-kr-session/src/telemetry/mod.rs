//! Audit events, counters, and the limit on log lines that somebody could repeat without end.

pub(crate) mod events;
#[cfg(feature = "metrics")]
pub(crate) mod metrics;
pub(crate) mod throttle;
