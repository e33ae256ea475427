//! Limits log lines that a client or an outage could repeat without end.

use std::{
    sync::atomic::{AtomicI64, AtomicU64, Ordering},
    time::Duration,
};

use crate::model::Timestamp;

const INTERVAL: Duration = Duration::from_secs(1);

/// Permits one line a second, and counts those that it holds back.
pub(crate) struct Throttle {
    next: AtomicI64,
    suppressed: AtomicU64,
}

impl Throttle {
    pub(crate) const fn new() -> Self {
        Self {
            next: AtomicI64::new(i64::MIN),
            suppressed: AtomicU64::new(0),
        }
    }

    /// Returns how many lines were held back since the last one, or `None` if this one is held back
    /// too.
    pub(crate) fn permit(&self, now: Timestamp) -> Option<u64> {
        let next = self.next.load(Ordering::Relaxed);
        let following = now.saturating_add(INTERVAL).as_unix_millis();
        // A clock that was set back must not silence the log until it catches up.
        let due = now.as_unix_millis() >= next || following < next;
        if due
            && self
                .next
                .compare_exchange(next, following, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        {
            return Some(self.suppressed.swap(0, Ordering::Relaxed));
        }
        self.suppressed.fetch_add(1, Ordering::Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_second_and_the_rest_is_counted() {
        let limit = Throttle::new();
        let at = |millis| limit.permit(Timestamp::from_unix_millis(millis));
        assert_eq!(at(5_000), Some(0));
        assert_eq!(at(5_001), None);
        assert_eq!(at(5_999), None);
        assert_eq!(at(6_000), Some(2));
        assert_eq!(at(1_000), Some(0), "the clock was set back");
    }
}
