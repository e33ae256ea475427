//! Audit events for operators: a log line and, with the feature `metrics`, a counter for each kind.
//!
//! An event shows only the public id of a session: no token, no hash, no owner, no value. Nothing
//! that a stranger can repeat without bound is logged at `info` or above: such an event is at
//! `debug`, or limited to one line a second, which says how many were held back. The counters count
//! all of them.

use crate::{
    error::SessionError,
    model::{Instants, Record, SessionId, Timestamp},
    telemetry::throttle::Throttle,
};

/// The target of every event, for filters.
const AUDIT: &str = "tower_kr_session::audit";

/// Adds to a counter, with the feature `metrics`.
macro_rules! count {
    ($counter:ident.$add:ident($argument:expr)) => {
        #[cfg(feature = "metrics")]
        crate::telemetry::metrics::$counter.$add($argument);
    };
}

/// Emits the events of a layer's sessions.
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

    /// Reports that a record was stored for a new session. Anybody can start an anonymous one, so
    /// only sign-ins are logged each time.
    pub(crate) fn created(&self, id: SessionId, signed_in: bool, now: Timestamp) {
        count!(CREATED.add_one(name(signed_in)));
        if signed_in {
            tracing::info!(target: AUDIT, event = "session.created", session = %id, signed_in, "a session started");
        } else if let Some(suppressed) = self.created.permit(now) {
            tracing::debug!(target: AUDIT, event = "session.created", session = %id, signed_in, suppressed, "a session started");
        }
    }

    /// Reports that a commit gave the session a new token.
    pub(crate) fn rotated(&self, id: SessionId, signed_in: bool) {
        count!(ROTATED.add_one(name(signed_in)));
        if signed_in {
            tracing::info!(target: AUDIT, event = "session.rotated", session = %id, signed_in, "a session has a new token");
        } else {
            tracing::debug!(target: AUDIT, event = "session.rotated", session = %id, signed_in, "a session has a new token");
        }
    }

    /// Reports that a commit ended the session of the request.
    pub(crate) fn destroyed(&self, id: SessionId) {
        count!(DESTROYED.add(1));
        tracing::debug!(target: AUDIT, event = "session.destroyed", session = %id, "a session was ended");
    }

    /// Reports that a session was ended from outside; `by` names the call.
    pub(crate) fn revoked(&self, id: SessionId, by: &'static str) {
        count!(REVOKED.add(1));
        tracing::info!(target: AUDIT, event = "session.revoked", session = %id, by, "a session was revoked");
    }

    /// Reports that all sessions of a user but `kept` were ended, even if there were none: sign-ins
    /// on their way are refused too.
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

    /// Reports a well-formed token that opened nothing; `record` is what the store has under its
    /// id.
    pub(crate) fn opened_nothing(&self, id: SessionId, record: Option<&Record>, at: Instants) {
        match record {
            Some(record) if !record.is_expired(at) => self.refused(id, at.now),
            _ => self.expired(id, at.now),
        }
    }

    /// Reports that the session of a token is gone, or never was.
    pub(crate) fn expired(&self, id: SessionId, now: Timestamp) {
        count!(EXPIRED.add(1));
        if let Some(suppressed) = self.expired.permit(now) {
            tracing::debug!(target: AUDIT, event = "session.expired", session = %id, suppressed, "a token without a live session was turned away");
        }
    }

    /// Reports the id of a live session with a secret that is neither its current nor its retired
    /// one.
    fn refused(&self, id: SessionId, now: Timestamp) {
        count!(REFUSED.add(1));
        if let Some(suppressed) = self.refused.permit(now) {
            tracing::warn!(target: AUDIT, event = "session.refused", session = %id, suppressed, "a token with a wrong secret was refused: it may be stolen");
        }
    }

    /// Reports a request with several cookies, of which none can be chosen.
    pub(crate) fn ambiguous(&self, what: &'static str, now: Timestamp) {
        count!(AMBIGUOUS.add(1));
        if let Some(suppressed) = self.ambiguous.permit(now) {
            tracing::warn!(target: AUDIT, event = "session.ambiguous", suppressed, "a request carries {what}; it is treated as having no session");
        }
    }

    /// Reports that the layer replaced a response, or could not commit behind a handler's own 5xx.
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

    /// Reports that the idle deadline of a session that was only read could not be moved.
    pub(crate) fn touch_failed(&self, id: SessionId, error: &SessionError, now: Timestamp) {
        count!(TOUCH_FAILURES.add(1));
        if let Some(suppressed) = self.failed.permit(now) {
            tracing::warn!(target: AUDIT, event = "session.touch_failed", session = %id, %error, suppressed, "could not touch a session");
        }
    }
}

/// Reports that a full share of an in-memory store dropped a live session.
#[cfg(any(feature = "memory", feature = "moka"))]
pub(crate) fn evicted(id: SessionId, share: &'static str, log: &Throttle, now: Timestamp) {
    count!(EVICTED.add_one(share));
    if let Some(suppressed) = log.permit(now) {
        tracing::warn!(target: AUDIT, event = "session.evicted", session = %id, share, suppressed, "a session was dropped to make room");
    }
}

/// Returns the kind of a failure as a label, of a few that are known beforehand.
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
