//! How many sessions a user may have at a time.

use crate::{
    model::{SessionId, Timestamp},
    store::SessionSummary,
};

/// How many sessions one owner may have at a time, and what a sign-in does that comes on top (ASVS 5.0, 7.1.2), for
/// [`SessionLayer::max_sessions_per_owner`](crate::SessionLayer::max_sessions_per_owner).
///
/// Sessions are ordered by the time of their last sign-in, and within a millisecond by their id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionLimit {
    /// So many. The sign-in succeeds and ends the oldest one: a forgotten session keeps nobody out, and neither does an attacker
    /// who signs in again and again.
    EndOldest(u32),
    /// So many. The sign-in is refused with [`SessionError::TooManySessions`](crate::SessionError::TooManySessions) until a session
    /// is ended or expires. A session that is open already may sign in again.
    Refuse(u32),
    /// Any number, and no call to the store to count them.
    Unlimited,
}

impl SessionLimit {
    /// Which of an owner's sessions have to end after `own` has signed in. Each sign-in asks this after its own write, so the last
    /// one sees them all, and since the order is the same for all of them, what one keeps no other ends.
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
                    // A sign-in of the future is one of a clock that ran ahead. It was here before this one.
                    let at = session.authenticated_at.filter(|at| *at <= now);
                    (at.or(signed_in.map(before)), session.id)
                });
                sessions.truncate(sessions.len().saturating_sub(limit as usize));
            }
            Self::Refuse(limit) => {
                sessions.sort_by_key(|session| (session.authenticated_at, session.id));
                let older = sessions.iter().position(|session| session.id == own);
                // Those that were there before stay, also if the limit was a higher one then.
                let kept = older.unwrap_or(sessions.len()).max(limit as usize);
                sessions.drain(..kept.min(sessions.len()));
            }
            Self::Unlimited => sessions.clear(),
        }
        sessions.iter().map(|session| session.id).collect()
    }

    /// Whether the limit lets anybody sign in at all.
    pub(crate) const fn is_possible(self) -> bool {
        !matches!(self, Self::EndOldest(0) | Self::Refuse(0))
    }
}

fn before(at: Timestamp) -> Timestamp {
    at.saturating_sub(std::time::Duration::from_millis(1))
}
