//! What an `Expiry` of tower-sessions means for the limits of a session, and for its cookie's age.

use std::time::{Duration, SystemTime};

use time::OffsetDateTime;
use tower_kr_session::{Session, SessionError, SessionLayer, Timestamp, cookie::LIFETIME_LIMIT};

/// How long a session lives without a change if nothing else is said.
const DEFAULT_IDLE: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// An `Expiry`, of either version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// The cookie ends with the browser's session, and the record two weeks after its last use.
    BrowserSession,
    /// Both end this long after the last use; zero is over.
    Inactivity(Duration),
    /// Both end at this time.
    Until(Timestamp),
}

impl Lifetime {
    pub(crate) fn inactivity(duration: time::Duration) -> Self {
        let duration = Duration::try_from(duration).unwrap_or(Duration::ZERO);
        Self::Inactivity(duration.min(LIFETIME_LIMIT))
    }

    pub(crate) fn until(time: OffsetDateTime) -> Self {
        Self::Until(SystemTime::from(time).into())
    }

    /// The idle timeout, at most 400 days, as every limit here.
    pub(crate) const fn idle(self) -> Duration {
        match self {
            Self::BrowserSession => DEFAULT_IDLE,
            Self::Inactivity(duration) => duration,
            Self::Until(_) => LIFETIME_LIMIT,
        }
    }

    pub(crate) const fn is_persistent(self) -> bool {
        !matches!(self, Self::BrowserSession)
    }

    /// How long the absolute timeout of a session that starts now is.
    pub(crate) fn absolute(self, now: Timestamp) -> Duration {
        match self {
            Self::BrowserSession | Self::Inactivity(_) => LIFETIME_LIMIT,
            Self::Until(time) => time.saturating_duration_since(now).min(LIFETIME_LIMIT),
        }
    }

    /// The age of the cookie; `None` for one that ends with the browser's session.
    pub(crate) fn age(self, now: Timestamp) -> Option<Duration> {
        match self {
            Self::BrowserSession => None,
            Self::Inactivity(duration) => Some(duration),
            Self::Until(_) => Some(self.absolute(now)),
        }
    }

    /// Gives the layer's new sessions these limits. A fixed end depends on when a session starts:
    /// [`set`](Self::set) sets it.
    pub(crate) fn configure(self, layer: SessionLayer) -> SessionLayer {
        layer
            .idle_timeout(self.idle())
            .absolute_timeout(LIFETIME_LIMIT)
            .persistent(self.is_persistent())
    }

    /// Gives one session these limits, as far as it has others: each change rotates the token, and
    /// requests beside this one would be refused.
    pub(crate) async fn set(self, session: &Session, now: Timestamp) -> Result<(), SessionError> {
        if self.idle().is_zero() || self.absolute(now).is_zero() {
            return session.destroy();
        }
        let idle = session.idle_timeout().await?;
        if idle != Some(whole_millis(self.idle())) {
            session.set_idle_timeout(self.idle())?;
        }
        if session.is_persistent().await? != Some(self.is_persistent()) {
            session.set_persistent(self.is_persistent())?;
        }
        let (timeout, deadline) = (
            session.absolute_timeout().await?,
            session.absolute_deadline().await?,
        );
        if let Some(timeout) = self.new_absolute(timeout.zip(deadline), now) {
            session.set_absolute_timeout(timeout)?;
        }
        Ok(())
    }

    /// The absolute timeout to set, or `None` if the session has it.
    fn new_absolute(
        self,
        current: Option<(Duration, Timestamp)>,
        now: Timestamp,
    ) -> Option<Duration> {
        let Some((timeout, deadline)) = current else {
            return Some(self.absolute(now));
        };
        let Self::Until(time) = self else {
            return (timeout != LIFETIME_LIMIT).then_some(LIFETIME_LIMIT);
        };
        // The deadline moves with the timeout.
        let later = time.saturating_duration_since(deadline);
        let earlier = deadline.saturating_duration_since(time);
        let differs = later.max(earlier) > SAME_TIME;
        differs.then(|| {
            (timeout + later)
                .saturating_sub(earlier)
                .min(LIFETIME_LIMIT)
        })
    }
}

/// Times this close together are the same: one was computed twice.
const SAME_TIME: Duration = Duration::from_secs(1);

fn whole_millis(value: Duration) -> Duration {
    Duration::from_millis(u64::try_from(value.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_millis(1_800_000_000_000);
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    #[test]
    fn durations_out_of_range_are_the_nearest_ones_in_range() {
        let days = |days| Lifetime::inactivity(time::Duration::days(days));
        assert_eq!(days(-1), Lifetime::Inactivity(Duration::ZERO));
        assert_eq!(days(30), Lifetime::Inactivity(30 * DAY));
        assert_eq!(days(1_000), Lifetime::Inactivity(LIFETIME_LIMIT));
    }

    #[test]
    fn the_cookie_lives_as_long_as_the_session_is_to() {
        assert_eq!(Lifetime::BrowserSession.age(NOW), None);
        assert_eq!(Lifetime::Inactivity(DAY).age(NOW), Some(DAY));
        let until = Lifetime::Until(NOW.saturating_add(DAY));
        assert_eq!(until.age(NOW), Some(DAY));
        assert_eq!(until.age(NOW.saturating_add(2 * DAY)), Some(Duration::ZERO));
    }

    #[test]
    fn a_fixed_end_moves_the_deadline_there_and_is_set_once() {
        let until = Lifetime::Until(NOW.saturating_add(DAY));
        assert_eq!(until.new_absolute(None, NOW), Some(DAY));
        // Two days old, of three days.
        let current = Some((3 * DAY, NOW.saturating_add(DAY)));
        assert_eq!(until.new_absolute(current, NOW), None);
        let longer = Some((5 * DAY, NOW.saturating_add(3 * DAY)));
        assert_eq!(until.new_absolute(longer, NOW), Some(3 * DAY));
        let shorter = Some((DAY, NOW));
        assert_eq!(until.new_absolute(shorter, NOW), Some(2 * DAY));
    }

    #[test]
    fn without_a_fixed_end_the_longest_timeout_is_set_once() {
        let idle = Lifetime::Inactivity(DAY);
        assert_eq!(idle.new_absolute(None, NOW), Some(LIFETIME_LIMIT));
        let same = Some((LIFETIME_LIMIT, NOW));
        assert_eq!(idle.new_absolute(same, NOW), None);
        let shorter = Some((DAY, NOW));
        assert_eq!(idle.new_absolute(shorter, NOW), Some(LIFETIME_LIMIT));
    }
}
