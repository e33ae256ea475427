//! When a request first used its session.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::model::Timestamp;

/// Idle is judged by it: a request that takes long doesn't lose the session that it began in.
pub(super) struct FirstContact(AtomicI64);

/// No clock shows it: 292 million years before the epoch.
const NEVER: i64 = i64::MIN;

impl FirstContact {
    pub(super) const fn none() -> Self {
        Self(AtomicI64::new(NEVER))
    }

    pub(super) fn get(&self) -> Option<Timestamp> {
        let millis = self.0.load(Ordering::Relaxed);
        (millis != NEVER).then_some(Timestamp::from_unix_millis(millis))
    }

    /// The first contact, which is `now` if there was none.
    pub(super) fn get_or_set(&self, now: Timestamp) -> Timestamp {
        // Of two that are the first at the same time either may be it: no need for an atomic exchange, which takes 5 ns.
        self.get().unwrap_or_else(|| {
            let millis = now.as_unix_millis().max(NEVER + 1);
            self.0.store(millis, Ordering::Relaxed);
            now
        })
    }
}
