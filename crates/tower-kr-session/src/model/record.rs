//! The record of a session, and what it says of a token, of a removal and of time.

use std::time::Duration;

#[cfg(feature = "device-bound")]
use super::device::Device;
use super::{
    clock::{Instants, Timestamp},
    id::SecretHash,
    label::Label,
    limits::IdleLimit,
    owner::Owner,
    values::Values,
};

/// How long a token that was rotated away is still recognised, and refused as *superseded* rather
/// than unknown.
pub const RETIRED_FOR: Duration = Duration::from_secs(60);

/// How long a store keeps a record after its deadline at least, so that a request that began in
/// time can still commit.
pub const RECLAIM_GRACE: Duration = Duration::from_secs(5 * 60);

/// How far the clocks of nodes may lie apart before a time in the future is no time.
const CLOCK_SKEW: Duration = Duration::from_secs(10);

/// A session as a store keeps it. It carries its own limits, so every process judges it alike.
///
/// A store that can lock a record loads it, calls [`apply`](Self::apply) and writes it back. A
/// store with a language of its own (Redis) does the same there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record {
    /// The hash of the current token's secret.
    pub secret: SecretHash,
    /// The hash before the last rotation, to recognise the old token, never to let it in. Boxed,
    /// since most sessions have none.
    pub retired: Option<Box<Retired>>,
    /// The user who signed in.
    pub owner: Option<Owner>,
    /// What the user calls the session. Boxed, since most sessions have none.
    pub label: Option<Box<Label>>,
    /// When the session began.
    pub created_at: Timestamp,
    /// When the user last proved who they are.
    pub authenticated_at: Option<Timestamp>,
    /// How long the session lives without a request, and how precisely that is kept.
    pub idle: IdleLimit,
    /// How long the session lives at most, from its start or the last sign-in.
    pub absolute_timeout: Duration,
    /// Whether the cookie outlives the browser's session.
    pub persistent: bool,
    /// The session is expired from this time on, unless a request moves the deadline. It is up to
    /// one touch interval late; see [`expires_at`](Self::expires_at). It may lie past the absolute
    /// deadline, so that it always says when the session was
    /// [last used](Self::last_used_at).
    pub idle_deadline: Timestamp,
    /// The session is expired from this time on, even if it is in use. A sign-in sets a new one.
    pub absolute_deadline: Timestamp,
    /// The values.
    pub values: Values,
    /// Which state of the record this is, as the store counts them; `0` from a store that doesn't.
    /// [`encode`](Self::encode) leaves it out.
    pub revision: u64,
    #[cfg(feature = "device-bound")]
    pub(super) device: Option<Box<Device>>,
}

/// A secret that was rotated away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retired {
    /// The hash of the secret.
    pub secret: SecretHash,
    /// When it was rotated away.
    pub at: Timestamp,
}

/// How a token relates to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenState {
    /// The record is alive, and this is its current token.
    Current,
    /// The record is alive, but the token was rotated away within [`RETIRED_FOR`].
    Superseded,
    /// The record is expired, or the secret is wrong.
    Missing,
}

/// The outcome of [`remove`](crate::SessionStore::remove).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RemoveOutcome {
    /// The record is gone.
    Removed,
    /// There was no such record, the secret is wrong, or (without a secret) the record was expired.
    Missing,
    /// Nothing was done: the token was rotated away within the last minute.
    Superseded,
}

/// The decision of [`Record::removal`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Removal {
    /// Whether the store deletes the record.
    pub deletes: bool,
    /// The store's answer.
    pub outcome: RemoveOutcome,
}

impl Record {
    /// Creates the record of a new session, without values or owner.
    #[must_use]
    pub fn new(
        secret: SecretHash,
        now: Timestamp,
        idle: IdleLimit,
        absolute_timeout: Duration,
    ) -> Self {
        Self {
            secret,
            retired: None,
            owner: None,
            label: None,
            created_at: now,
            authenticated_at: None,
            idle,
            absolute_timeout,
            persistent: false,
            idle_deadline: idle_deadline(now, idle),
            absolute_deadline: now.saturating_add(absolute_timeout),
            values: Values::default(),
            revision: 0,
            #[cfg(feature = "device-bound")]
            device: None,
        }
    }

    /// Returns what the record keeps of the device that its session is bound to, for a store to
    /// keep as it is.
    #[must_use]
    pub fn device(&self) -> Option<&[u8]> {
        #[cfg(feature = "device-bound")]
        return self.device.as_ref().map(|device| &*device.0);
        #[cfg(not(feature = "device-bound"))]
        None
    }

    /// Returns how a token with this secret relates to this record.
    ///
    /// A deadline further ahead than the limits allow (a clock was wrong) makes no difference here,
    /// since the limit lies ahead too. The next write corrects it.
    #[must_use]
    pub fn token_state(&self, secret: &SecretHash, at: Instants) -> TokenState {
        if self.is_expired(at) {
            return TokenState::Missing;
        }
        if self.secret == *secret {
            return TokenState::Current;
        }
        match &self.retired {
            Some(retired)
                if retired.secret == *secret && at.now < retired.at.saturating_add(RETIRED_FOR) =>
            {
                TokenState::Superseded
            }
            _ => TokenState::Missing,
        }
    }

    /// Decides what [`remove`](crate::SessionStore::remove) does with this record.
    ///
    /// The current secret ends the session, however old it looks: the clock that `at` was read from
    /// may be ahead, and an acknowledged logout must hold once the clock is right again. A retired
    /// secret removes nothing. Without a secret the record goes in any case, and the outcome says
    /// whether a live session ended.
    #[must_use]
    pub fn removal(&self, secret: Option<&SecretHash>, at: Instants) -> Removal {
        let (deletes, outcome) = match secret {
            Some(secret) if self.secret == *secret => (true, RemoveOutcome::Removed),
            Some(secret) => match self.token_state(secret, at) {
                TokenState::Superseded => (false, RemoveOutcome::Superseded),
                TokenState::Current | TokenState::Missing => (false, RemoveOutcome::Missing),
            },
            None if self.is_expired(at) => (true, RemoveOutcome::Missing),
            None => (true, RemoveOutcome::Removed),
        };
        Removal { deletes, outcome }
    }

    /// Returns whether a deadline has passed.
    #[must_use]
    pub fn is_expired(&self, at: Instants) -> bool {
        at.first_contact >= self.idle_deadline || at.now >= self.absolute_deadline
    }

    /// Returns whether the user proved who they are within `window` before `now`.
    pub(crate) fn is_authenticated_within(&self, window: Duration, now: Timestamp) -> bool {
        let recent =
            |at: Timestamp| at <= now.saturating_add(CLOCK_SKEW) && now < at.saturating_add(window);
        self.authenticated_at.is_some_and(recent)
    }

    /// Returns the time until which the session certainly lives without a further request.
    #[must_use]
    pub fn expires_at(&self, now: Timestamp) -> Timestamp {
        expires_at(self.idle, self.idle_deadline, self.absolute_deadline, now)
            .min(now.saturating_add(self.absolute_timeout))
    }

    /// Returns whether a read at this time must move the idle deadline. It must if the deadline is
    /// staler than the touch interval, or further ahead than possible by more than that interval.
    /// (By less, requests of one moment on nodes whose clocks differ a little would each correct
    /// it.)
    #[must_use]
    pub fn touch_is_due(&self, now: Timestamp) -> bool {
        let latest = idle_deadline(now, self.idle);
        let stale = self.idle_deadline < now.saturating_add(self.idle.timeout);
        stale || self.idle_deadline > latest.saturating_add(self.idle.touch_interval)
    }

    /// Returns when the session was last used, as precisely as the touch interval.
    #[must_use]
    pub fn last_used_at(&self, now: Timestamp) -> Timestamp {
        let used = self.idle_deadline.saturating_sub(self.idle.touch_interval);
        let used = used.saturating_sub(self.idle.timeout);
        used.min(now).max(self.created_at)
    }

    /// Returns when a store may drop the record: [`RECLAIM_GRACE`] after its deadline.
    #[must_use]
    pub fn reclaim_at(&self) -> Timestamp {
        self.idle_deadline
            .min(self.absolute_deadline)
            .saturating_add(RECLAIM_GRACE)
    }
}

/// Returns the idle deadline that a request gives a session now. It is late by the touch interval,
/// so that reads needn't write each time.
pub(super) fn idle_deadline(now: Timestamp, idle: IdleLimit) -> Timestamp {
    now.saturating_add(idle.timeout)
        .saturating_add(idle.touch_interval)
}

/// Returns the early bound of a session's end: the idle deadline less the touch interval, or the
/// absolute deadline, but at most what a request would give it now.
pub(crate) fn expires_at(
    idle: IdleLimit,
    idle_deadline: Timestamp,
    absolute_deadline: Timestamp,
    now: Timestamp,
) -> Timestamp {
    let early = if idle_deadline >= absolute_deadline {
        absolute_deadline
    } else {
        idle_deadline.saturating_sub(idle.touch_interval)
    };
    early.min(now.saturating_add(idle.timeout))
}
