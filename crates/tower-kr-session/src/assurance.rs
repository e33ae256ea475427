//! The timeouts of the NIST authentication assurance levels.

use std::{fmt, time::Duration};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// An authentication assurance level of NIST SP 800-63B-4, for
/// [`SessionLayer::assurance_level`](crate::SessionLayer::assurance_level).
///
/// It bounds how long a session may go on before users prove their identity again. How they prove
/// it (at levels 2 and 3 with two factors) is up to the application.
///
/// | level | overall, at most | without activity, at most | section |
/// |---|---|---|---|
/// | [`Aal1`](Self::Aal1) | 30 days (should) | no rule | 2.1.3 |
/// | [`Aal2`](Self::Aal2) | 24 hours (should) | 1 hour (should) | 2.2.3 |
/// | [`Aal3`](Self::Aal3) | 12 hours (shall) | 15 minutes (should) | 2.3.3 |
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AssuranceLevel {
    /// Some confidence: one factor.
    Aal1,
    /// High confidence: two factors. The minimum for personal data at US federal agencies.
    Aal2,
    /// Very high confidence: two factors, one of them a hardware key.
    Aal3,
}

impl AssuranceLevel {
    /// Returns the absolute timeout of the level: the longest that a session may live, even in use.
    #[must_use]
    pub const fn absolute_timeout(self) -> Duration {
        match self {
            Self::Aal1 => DAY.saturating_mul(30),
            Self::Aal2 => DAY,
            Self::Aal3 => HOUR.saturating_mul(12),
        }
    }

    /// Returns the longest that a session may live without activity, touch interval included;
    /// `None` at level 1, which has no such rule.
    #[must_use]
    pub const fn longest_inactivity(self) -> Option<Duration> {
        match self {
            Self::Aal1 => None,
            Self::Aal2 => Some(HOUR),
            Self::Aal3 => Some(MINUTE.saturating_mul(15)),
        }
    }

    /// Returns the idle timeout that the level sets: 57 minutes at level 2 and 14 at level 3, so
    /// that it stays within the [longest inactivity](Self::longest_inactivity) together with a
    /// touch interval of a twentieth; a day at level 1, whose users come back daily.
    #[must_use]
    pub const fn idle_timeout(self) -> Duration {
        match self {
            Self::Aal1 => DAY,
            Self::Aal2 => MINUTE.saturating_mul(57),
            Self::Aal3 => MINUTE.saturating_mul(14),
        }
    }

    /// Returns the longest idle timeout that a handler may give one session.
    pub(crate) const fn longest_idle_timeout(self) -> Duration {
        match self {
            Self::Aal1 => self.absolute_timeout(),
            Self::Aal2 | Self::Aal3 => self.idle_timeout(),
        }
    }
}

impl fmt::Display for AssuranceLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Aal1 => "AAL1",
            Self::Aal2 => "AAL2",
            Self::Aal3 => "AAL3",
        })
    }
}
