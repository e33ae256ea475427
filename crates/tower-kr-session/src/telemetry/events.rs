//! What happens to sessions, told to who runs the server: a line in the log and, with the feature `metrics`, a counter for each kind.
//!
//! Of a session only its public id is told: no token, no hash, no owner, no value. At `info` and above stands nothing that a stranger
//! can repeat without bound: what he can is at `debug`, or held back but for one line a second, which says how many there were.
//! The counters count all.

use crate::{
    error::SessionError,
    model::{Instants, Record, SessionId, Timestamp},
    telemetry::throttle::Throttle,
};

/// The target of every event, so that a filter can name them.
const AUDIT: &str = "tower_kr_session::audit";

/// Adds to a counter, if there are any.
macro_rules! count {
    ($counter:ident.$add:ident($argument:expr)) => {
        #[cfg(feature = "metrics")]
        crate::telemetry::metrics::$counter.$add($argument);
    };
}

/// Tells what happens to the sessions of a layer.
pub(crate) struct Events {
    created: Throttle,
    expired: Throttle,
    refused: Throttle,
    ambiguous: Throttle,
    declined: Throttle,
    failed: Throttle,
}

impl Events {
    pub(crate) const fn new() -> Self {
        Self {
            created: Throttle::new(),
            expired: Throttle::new(),
            refused: Throttle::new(),
            ambiguous: Throttle::new(),
            declined: Throttle::new(),
            failed: Throttle::new(),
        }
    }

    /// A record was stored for a new session. Anybody can start one, and its id holds the time; a user's is told each time.
    pub(crate) fn created(&self, id: SessionId, signed_in: bool, now: Timestamp) {
        count!(CREATED.add_one(name(signed_in)));
        if signed_in {
            tracing::info!(target: AUDIT, event = "session.created", session = %id, signed_in, "a session started");
        } else if let Some(suppressed) = self.created.permit(now) {
            tracing::debug!(target: AUDIT, event = "session.created", session = %id, signed_in, suppressed, "a session started");
        }
    }

    /// A commit gave the session a new token.
    pub(crate) fn rotated(&self, id: SessionId, signed_in: bool) {
        count!(ROTATED.add_one(name(signed_in)));
        if signed_in {
            tracing::info!(target: AUDIT, event = "session.rotated", session = %id, signed_in, "a session has a new token");
        } else {
            tracing::debug!(target: AUDIT, event = "session.rotated", session = %id, signed_in, "a session has a new token");
        }
    }

    /// A commit ended the session of the request.
    pub(crate) fn destroyed(&self, id: SessionId) {
        count!(DESTROYED.add(1));
        tracing::debug!(target: AUDIT, event = "session.destroyed", session = %id, "a session was ended");
    }

    /// Somebody ended a session that is not his own; `by` says with which call.
    pub(crate) fn revoked(&self, id: SessionId, by: &'static str) {
        count!(REVOKED.add(1));
        tracing::info!(target: AUDIT, event = "session.revoked", session = %id, by, "a session was revoked");
    }

    /// All sessions of a user were ended, but `kept`. Told also if there were none: sign-ins on their way are turned away too.
    pub(crate) fn revoked_all(&self, sessions: u64, kept: Option<SessionId>) {
        count!(REVOKED.add(sessions));
        let by = if kept.is_some() {
            "revoke_others"
        } else {
            "revoke_all"
        };
        let kept = kept.map(tracing::field::display);
        tracing::info!(target: AUDIT, event = "session.revoked", sessions, kept, by, "a user's sessions were revoked");
    }

    /// A request brought a well-formed token that opened nothing; `record` is what the store has under its id.
    pub(crate) fn opened_nothing(&self, id: SessionId, record: Option<&Record>, at: Instants) {
        match record {
            Some(record) if !record.is_expired(at) => self.refused(id, at.now),
            _ => self.expired(id, at.now),
        }
    }

    /// The session of a token is gone, or never was.
    pub(crate) fn expired(&self, id: SessionId, now: Timestamp) {
        count!(EXPIRED.add(1));
        if let Some(suppressed) = self.expired.permit(now) {
            tracing::debug!(target: AUDIT, event = "session.expired", session = %id, suppressed, "a token without a live session was turned away");
        }
    }

    /// The id of a live session came with a secret that is neither its own nor the one before.
    fn refused(&self, id: SessionId, now: Timestamp) {
        count!(REFUSED.add(1));
        if let Some(suppressed) = self.refused.permit(now) {
            tracing::warn!(target: AUDIT, event = "session.refused", session = %id, suppressed, "a token with a wrong secret was refused: it may be stolen");
        }
    }

    /// A request came with several cookies, and it can't be told which one is meant.
    pub(crate) fn ambiguous(&self, what: &'static str, now: Timestamp) {
        count!(AMBIGUOUS.add(1));
        if let Some(suppressed) = self.ambiguous.permit(now) {
            tracing::warn!(target: AUDIT, event = "session.ambiguous", suppressed, "a request carries {what}; it is treated as having no session");
        }
    }

    /// The layer took a response back, or could not commit behind a handler's own 5xx.
    pub(crate) fn commit_failed(&self, error: &SessionError, now: Timestamp) {
        let reason = reason(error);
        count!(COMMIT_FAILURES.add_one(reason));
        if error.is_temporary() {
            if let Some(suppressed) = self.failed.permit(now) {
                tracing::error!(target: AUDIT, event = "session.commit_failed", reason, %error, suppressed, "could not commit a session");
            }
        } else if let Some(suppressed) = self.declined.permit(now) {
            tracing::debug!(target: AUDIT, event = "session.commit_failed", reason, %error, suppressed, "did not commit a session");
        }
    }

    /// The deadline of a session that was only read could not be moved.
    pub(crate) fn touch_failed(&self, id: SessionId, error: &SessionError, now: Timestamp) {
        count!(TOUCH_FAILURES.add(1));
        if let Some(suppressed) = self.failed.permit(now) {
            tracing::warn!(target: AUDIT, event = "session.touch_failed", session = %id, %error, suppressed, "could not touch a session");
        }
    }
}

/// A full share of the memory store dropped a session that was alive.
#[cfg(feature = "memory")]
pub(crate) fn evicted(id: SessionId, share: &'static str, log: &Throttle, now: Timestamp) {
    count!(EVICTED.add_one(share));
    if let Some(suppressed) = log.permit(now) {
        tracing::warn!(target: AUDIT, event = "session.evicted", session = %id, share, suppressed, "a session was dropped to make room");
    }
}

/// The kind of a failure, as a label: few, and known beforehand.
fn reason(error: &SessionError) -> &'static str {
    match error {
        SessionError::Store(_) | SessionError::Interrupted => "store",
        SessionError::Ended => "ended",
        SessionError::Superseded => "superseded",
        SessionError::Revoked => "revoked",
        SessionError::TooManySessions { .. } => "too_many_sessions",
        SessionError::NoConsent => "no_consent",
        SessionError::AmbiguousCookie => "ambiguous_cookie",
        SessionError::TooLarge { .. } => "too_large",
        _ => "other",
    }
}

#[cfg(feature = "metrics")]
const fn name(flag: bool) -> &'static str {
    if flag { "true" } else { "false" }
}
