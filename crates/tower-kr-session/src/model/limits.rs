//! The limits that a record carries.

use std::time::Duration;

use super::clock::whole_millis;

/// New limits for one session ("remember me"); `None` keeps what the record has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LimitsChange {
    /// The idle timeout and the touch interval that goes with it.
    pub idle: Option<IdleLimit>,
    /// The absolute timeout. The absolute deadline moves by the difference.
    pub absolute_timeout: Option<Duration>,
    /// Whether the cookie outlives the browser's session.
    pub persistent: Option<bool>,
}

/// An idle timeout with its touch interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdleLimit {
    /// How long a session lives without a request.
    pub timeout: Duration,
    /// How stale the stored idle deadline may become before a read moves it.
    pub touch_interval: Duration,
}

impl IdleLimit {
    /// Creates the limit of an idle timeout, in whole milliseconds, with a touch interval of a
    /// twentieth.
    #[must_use]
    pub fn new(timeout: Duration) -> Self {
        let timeout = whole_millis(timeout);
        Self {
            timeout,
            touch_interval: whole_millis(timeout / 20),
        }
    }
}
