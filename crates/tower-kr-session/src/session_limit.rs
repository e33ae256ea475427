//! The limit of sessions per user.

use crate::{
    model::{SessionId, Timestamp},
    store::SessionSummary,
};

/// How many sessions a user may have at a time, and what a sign-in above that does (ASVS 5.0,
/// 7.1.2), for
/// [`SessionLayer::max_sessions_per_owner`](crate::SessionLayer::max_sessions_per_owner).
///
/// Sessions are ordered by the time of their last sign-in, and within one millisecond by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionLimit {
    /// At most this many. The sign-in succeeds and ends the oldest session, so neither a forgotten
    /// session nor an attacker who signs in again and again locks the user out.
    EndOldest(u32),
    /// At most this many. The sign-in is refused with
    /// [`SessionError::TooManySessions`](crate::SessionError::TooManySessions) until a session
    /// ends. A session that already counts may sign in again.
    Refuse(u32),
    /// Any number. The store is not asked to count them.
    Unlimited,
}

impl SessionLimit {
    /// Returns which of these sessions of a user must end after `own` has signed in. Each sign-in
    /// asks this after its own write, so the last one sees them all. The order is the same for all,
    /// so no sign-in ends what another one keeps. `own` is not exempt: two sign-ins that end each
    /// other would leave none.
    ///
    /// The sessions need not be all of the user's: what is over the limit among some of them is
    /// over it among all.
    pub(crate) fn surplus(
        self,
        mut sessions: Vec<SessionSummary>,
        own: SessionId,
        now: Timestamp,
    ) -> Vec<SessionId> {
        match self {
            Self::EndOldest(limit) => {
                let signed_in = sessions
                    .iter()
                    .find(|session| session.id == own)
                    .and_then(|session| session.authenticated_at);
                sessions.sort_by_key(|session| {
                    // A sign-in in the future comes from a clock that ran ahead. It counts as older
                    // than `own`, or it would lock the user out.
                    let at = session.authenticated_at.filter(|at| *at <= now);
                    (at.or(signed_in.map(before)), session.id)
                });
                sessions.truncate(sessions.len().saturating_sub(limit as usize));
            }
            Self::Refuse(limit) => {
                sessions.sort_by_key(|session| (session.authenticated_at, session.id));
                let older = sessions.iter().position(|session| session.id == own);
                // Sessions that were there before stay, even if the limit was higher then.
                let kept = older.unwrap_or(sessions.len()).max(limit as usize);
                sessions.drain(..kept.min(sessions.len()));
            }
            Self::Unlimited => sessions.clear(),
        }
        sessions.iter().map(|session| session.id).collect()
    }

    /// Returns whether the limit lets anybody sign in at all.
    pub(crate) const fn is_possible(self) -> bool {
        !matches!(self, Self::EndOldest(0) | Self::Refuse(0))
    }
}

fn before(at: Timestamp) -> Timestamp {
    at.saturating_sub(std::time::Duration::from_millis(1))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::{IdleLimit, Record, SecretHash};

    /// Sessions with these ids, that signed in one after the other.
    fn sessions<const N: usize>(ids: [SessionId; N]) -> Vec<SessionSummary> {
        let sessions = ids.iter().zip(0..).map(|(id, millis)| {
            let at = Timestamp::from_unix_millis(millis);
            let idle = IdleLimit::new(Duration::from_secs(60));
            let secret = SecretHash::from_bytes([1; 32]);
            let mut record = Record::new(secret, at, idle, Duration::from_secs(60));
            record.authenticated_at = Some(at);
            SessionSummary::new(*id, &record, at)
        });
        sessions.collect()
    }

    #[test]
    fn a_refused_sign_in_ends_itself_and_later_ones_and_none_that_was_there_before() {
        let ids = [1, 2, 3, 4].map(|number| SessionId::from_bytes([number; 16]));
        let now = Timestamp::from_unix_millis(9);
        let surplus = |limit, own| SessionLimit::Refuse(limit).surplus(sessions(ids), own, now);
        assert_eq!(surplus(1, ids[2]), ids[2..]);
        assert_eq!(surplus(3, ids[0]), ids[3..]);
        assert_eq!(surplus(4, ids[3]), []);
    }
}
