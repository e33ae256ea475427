//! Whether a store that starts in the background is set up.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use crate::error::{DatabaseFailure, SetupError};

/// Whether a store is set up.
#[derive(Default)]
pub(crate) struct Start {
    /// Whether calls have to wait for a start in the background.
    pending: AtomicBool,
    /// Why the last attempt failed.
    reason: Mutex<Option<String>>,
}

impl Start {
    /// Fails if the store isn't set up yet.
    pub(crate) fn check(&self) -> Result<(), DatabaseFailure> {
        if !self.pending.load(Ordering::Acquire) {
            return Ok(());
        }
        let reason = self.reason.lock().unwrap_or_else(PoisonError::into_inner);
        Err(DatabaseFailure::starting(reason.as_deref()))
    }

    /// From here on, calls fail until the store is set up.
    pub(crate) fn begin(&self) {
        self.pending.store(true, Ordering::Release);
    }

    /// The store is set up.
    pub(crate) fn end(&self) {
        self.pending.store(false, Ordering::Release);
    }

    /// Takes note of an error, and says whether the last one was another.
    pub(crate) fn is_news(&self, error: &SetupError) -> bool {
        let error = Some(error.to_string());
        let mut reason = self.reason.lock().unwrap_or_else(PoisonError::into_inner);
        let news = *reason != error;
        *reason = error;
        news
    }
}
