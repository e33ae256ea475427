//! Audit events for operators: a log line and, with the feature `metrics`, a counter for each kind.
//!
//! An event shows only the public id of a session: no token, no hash, no owner, no value. Nothing
//! that a stranger can repeat without bound is logged at `info` or above: such an event is at
//! `debug`, or limited to one line a second, which says how many were held back. The counters count
//! all of them.

#[cfg(feature = "device-bound")]
use crate::device::{Refusal, Skipped};
use crate::{
    error::SessionError,
    model::{Instants, Record, SessionId, Timestamp},
    store::StoreError,
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
    misused: Throttle,
    unsaved: Throttle,
    unready: Throttle,
    #[cfg(feature = "device-bound")]
    device: DeviceThrottles,
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
            misused: Throttle::new(),
            unsaved: Throttle::new(),
            unready: Throttle::new(),
            #[cfg(feature = "device-bound")]
            device: DeviceThrottles::new(),
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

    /// Reports a handler's call that failed by a fault of the application, if that is the cause.
    /// The log says which key was meant, even if the handler ignores the error.
    #[cold]
    pub(crate) fn call_failed(&self, error: &SessionError, now: impl FnOnce() -> Timestamp) {
        let (reason, key) = match error {
            SessionError::Decode { key, .. } => ("decode", Some(key)),
            SessionError::Encode { key, .. } => ("encode", Some(key)),
            SessionError::NotAnInteger { key } => ("not_an_integer", Some(key)),
            SessionError::Overflow { key } => ("overflow", Some(key)),
            SessionError::InvalidLimit { .. } => ("invalid_limit", None),
            SessionError::ResponseSent(_) => ("response_sent", None),
            _ => return,
        };
        count!(CALL_FAILURES.add_one(reason));
        if let Some(suppressed) = self.misused.permit(now()) {
            let key = key.map(|key| key.as_str());
            tracing::error!(target: AUDIT, event = "session.call_failed", reason, key, %error, suppressed, "a handler's call of its session failed");
        }
    }

    /// Reports that a handle that outlived its request is gone with changes that nobody saved.
    #[cold]
    pub(crate) fn unsaved(&self, id: Option<SessionId>, now: Timestamp) {
        count!(UNSAVED.add(1));
        if let Some(suppressed) = self.unsaved.permit(now) {
            let session = id.map(tracing::field::display);
            tracing::warn!(target: AUDIT, event = "session.unsaved", session, suppressed, "a detached session was dropped with changes that nobody saved");
        }
    }

    /// Reports that the idle deadline of a session that was only read could not be moved.
    pub(crate) fn touch_failed(&self, id: SessionId, error: &SessionError, now: Timestamp) {
        count!(TOUCH_FAILURES.add(1));
        if let Some(suppressed) = self.failed.permit(now) {
            tracing::warn!(target: AUDIT, event = "session.touch_failed", session = %id, %error, suppressed, "could not touch a session");
        }
    }

    /// Reports that a probe found that the store can't serve sessions.
    pub(crate) fn ping_failed(&self, error: &StoreError, now: Timestamp) {
        count!(PING_FAILURES.add(1));
        if let Some(suppressed) = self.unready.permit(now) {
            tracing::warn!(target: AUDIT, event = "session.ping_failed", %error, suppressed, "the store can't serve sessions");
        }
    }
}

/// Events of sessions that are bound to a device.
#[cfg(feature = "device-bound")]
struct DeviceThrottles {
    suspicious: Throttle,
    refused: Throttle,
    skipped: Throttle,
}

#[cfg(feature = "device-bound")]
impl DeviceThrottles {
    const fn new() -> Self {
        Self {
            suspicious: Throttle::new(),
            refused: Throttle::new(),
            skipped: Throttle::new(),
        }
    }
}

#[cfg(feature = "device-bound")]
impl Events {
    /// Reports that a browser registered the key of its device.
    pub(crate) fn device_bound(&self, id: SessionId) {
        count!(DEVICE_BOUND.add(1));
        tracing::info!(target: AUDIT, event = "session.device_bound", session = %id, "a session is bound to a device");
    }

    /// Reports that a browser proved itself again.
    pub(crate) fn device_refreshed(&self, id: SessionId) {
        count!(DEVICE_REFRESHED.add(1));
        tracing::debug!(target: AUDIT, event = "session.device_refreshed", session = %id, "the device of a session proved itself");
    }

    /// Reports a proof that was refused, or a request without one.
    pub(crate) fn device_refused(&self, id: Option<SessionId>, refusal: Refusal, now: Timestamp) {
        let (reason, session) = (refusal.label(), id.map(tracing::field::display));
        count!(DEVICE_REFUSED.add_one(reason));
        if refusal.is_suspicious() {
            if let Some(suppressed) = self.device.suspicious.permit(now) {
                tracing::warn!(target: AUDIT, event = "session.device_refused", reason, session, suppressed, "a proof of a session's device was refused: its token may be stolen");
            }
        } else if let Some(suppressed) = self.device.refused.permit(now) {
            tracing::debug!(target: AUDIT, event = "session.device_refused", reason, session, suppressed, "a proof of a session's device was refused");
        }
    }

    /// Reports that a browser says why it could not prove itself.
    pub(crate) fn device_skipped(&self, id: SessionId, reason: Skipped, now: Timestamp) {
        let reason = reason.name();
        count!(DEVICE_SKIPPED.add_one(reason));
        if let Some(suppressed) = self.device.skipped.permit(now) {
            tracing::debug!(target: AUDIT, event = "session.device_skipped", reason, session = %id, suppressed, "a request came without a fresh proof of the session's device");
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
        #[cfg(feature = "device-bound")]
        SessionError::ProofMissing => "proof_missing",
        SessionError::AmbiguousCookie => "ambiguous_cookie",
        SessionError::TooLarge { .. } => "too_large",
        _ => "other",
    }
}

#[cfg(feature = "metrics")]
const fn name(flag: bool) -> &'static str {
    if flag { "true" } else { "false" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::key::KeyBuf;

    #[test]
    fn each_kind_of_failure_has_its_label() {
        let key = KeyBuf::new("a").unwrap();
        let (limit, attempts) = (1, 64);
        let kinds = [
            (SessionError::Store(StoreError::TimedOut), "store"),
            (SessionError::Interrupted, "store"),
            (SessionError::Ended, "ended"),
            (SessionError::Superseded, "superseded"),
            (SessionError::Revoked, "revoked"),
            (SessionError::TooManySessions { limit }, "too_many_sessions"),
            (SessionError::NoConsent, "no_consent"),
            (SessionError::AmbiguousCookie, "ambiguous_cookie"),
            (SessionError::TooLarge { size: 2, limit: 1 }, "too_large"),
            (SessionError::Contended { key, attempts }, "other"),
        ];
        for (error, label) in kinds {
            assert_eq!(reason(&error), label, "{error}");
        }
    }
}
