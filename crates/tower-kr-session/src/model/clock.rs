//! Time as the layer sees it: Unix milliseconds from an injected clock.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime},
};

use time::OffsetDateTime;

/// A point in time: milliseconds since the Unix epoch.
///
/// Arithmetic saturates, so that no deadline wraps around.
///
/// ```
/// use std::time::Duration;
/// use tower_kr_session::Timestamp;
///
/// let start = Timestamp::from_unix_millis(1_000);
/// assert_eq!(start.saturating_add(Duration::from_secs(2)).as_unix_millis(), 3_000);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The timestamp of `millis` milliseconds after (or, if negative, before) the Unix epoch.
    #[must_use]
    pub const fn from_unix_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_unix_millis(self) -> i64 {
        self.0
    }

    /// This time plus `duration`, at most the last representable time.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }

    /// This time minus `duration`, at least the first representable time.
    #[must_use]
    pub fn saturating_sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(millis(duration)))
    }

    /// How long after `earlier` this time is; zero if it is not after it.
    #[must_use]
    pub fn saturating_duration_since(self, earlier: Self) -> Duration {
        let millis = self.0.saturating_sub(earlier.0);
        Duration::from_millis(u64::try_from(millis).unwrap_or(0))
    }
}

/// Whole milliseconds of a duration, as the arithmetic of [`Timestamp`] needs them.
///
/// In 64 bits: `as_millis` counts in 128, and this is on every request's path.
fn millis(duration: Duration) -> i64 {
    let seconds = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    let millis = i64::from(duration.subsec_millis());
    seconds.saturating_mul(1_000).saturating_add(millis)
}

pub(crate) fn is_timeout(value: Duration, longest: Duration) -> bool {
    value >= Duration::from_millis(1) && value <= longest
}

/// Limits are kept in milliseconds: what a record carries must be what a store gives back.
pub(crate) fn whole_millis(value: Duration) -> Duration {
    Duration::from_millis(u64::try_from(value.as_millis()).unwrap_or(u64::MAX))
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => Self(millis(after)),
            Err(before) => Self(millis(before.duration()).saturating_neg()),
        }
    }
}

impl From<Timestamp> for OffsetDateTime {
    /// Times outside the years that [`OffsetDateTime`] covers become the Unix epoch.
    fn from(timestamp: Timestamp) -> Self {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(timestamp.0) * 1_000_000)
            .unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }
}

/// Where the layer takes the time from. Stores have no clock: they get the time as an argument.
pub trait Clock: Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> Timestamp;

    /// The time now, as exact as the clock can tell it: when a user signed in, or his sessions were revoked, is put in order by it. By
    /// default as [`now`](Self::now).
    fn exact_now(&self) -> Timestamp {
        self.now()
    }
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }

    fn exact_now(&self) -> Timestamp {
        (**self).exact_now()
    }
}

/// The system's clock, the default.
///
/// On Linux it is the one that the kernel moves at each of its ticks (`CLOCK_REALTIME_COARSE`): it may be 10 ms behind, and usually 1
/// to 4, which no timeout of a session feels, and is read in a quarter of the time. What is compared with times of sessions is best
/// read from it too: `SystemTime::now()` is that much ahead.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[cfg(target_os = "linux")]
    fn now(&self) -> Timestamp {
        // Every Linux since 2.6.32 has it.
        match nix::time::clock_gettime(nix::time::ClockId::CLOCK_REALTIME_COARSE) {
            Ok(now) => Timestamp(millis(now.into())),
            Err(_) => self.exact_now(),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn now(&self) -> Timestamp {
        self.exact_now()
    }

    fn exact_now(&self) -> Timestamp {
        SystemTime::now().into()
    }
}

/// A clock that only moves when told to, for tests of timeouts without waiting.
///
/// ```
/// use std::{sync::Arc, time::Duration};
/// use tower_kr_session::{ManualClock, MemoryStore, SessionLayer, Timestamp};
///
/// let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(0)));
/// let layer = SessionLayer::new(MemoryStore::new()).clock(clock.clone());
/// clock.advance(Duration::from_secs(60));
/// ```
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that stands at `start`.
    #[must_use]
    pub const fn new(start: Timestamp) -> Self {
        Self(AtomicI64::new(start.0))
    }

    /// Moves the clock forward.
    pub fn advance(&self, duration: Duration) {
        self.0.fetch_add(millis(duration), Ordering::SeqCst);
    }

    /// Puts the clock at `time`, which may be earlier than now.
    pub fn set(&self, time: Timestamp) {
        self.0.store(time.0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ManualClock").field(&self.now()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn saturates_at_both_ends() {
        let last = Timestamp::from_unix_millis(i64::MAX);
        let first = Timestamp::from_unix_millis(i64::MIN);
        assert_eq!(last.saturating_add(Duration::MAX), last);
        assert_eq!(first.saturating_sub(Duration::MAX), first);
        assert_eq!(first.saturating_duration_since(last), Duration::ZERO);
        assert_eq!(OffsetDateTime::from(last), OffsetDateTime::UNIX_EPOCH);
    }

    #[test]
    fn the_systems_clock_tells_the_systems_time() {
        let told = SystemClock.now().as_unix_millis();
        let exact = SystemClock.exact_now().as_unix_millis();
        assert!(exact.abs_diff(told) < 1_000, "{told} at {exact}");
    }

    #[test]
    fn system_time_before_the_epoch_is_negative() {
        let before = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(Timestamp::from(before).as_unix_millis(), -1_000);
    }
}
