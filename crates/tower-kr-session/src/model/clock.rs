//! Time: Unix milliseconds from an injected clock.

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
    /// Creates the timestamp of `millis` milliseconds after (or, if negative, before) the Unix
    /// epoch.
    #[must_use]
    pub const fn from_unix_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Returns the milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_unix_millis(self) -> i64 {
        self.0
    }

    /// Adds a duration. Returns at most the last representable time.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }

    /// Subtracts a duration. Returns at least the first representable time.
    #[must_use]
    pub fn saturating_sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(millis(duration)))
    }

    /// Returns how long after `earlier` this time is; zero if it isn't after it.
    #[must_use]
    pub fn saturating_duration_since(self, earlier: Self) -> Duration {
        let millis = self.0.saturating_sub(earlier.0);
        Duration::from_millis(u64::try_from(millis).unwrap_or(0))
    }
}

/// Returns the whole milliseconds of a duration, for the arithmetic of [`Timestamp`].
///
/// It counts in 64 bits, since it is on the path of every request; `as_millis` counts in 128.
fn millis(duration: Duration) -> i64 {
    let seconds = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    let millis = i64::from(duration.subsec_millis());
    seconds.saturating_mul(1_000).saturating_add(millis)
}

pub(crate) fn is_timeout(value: Duration, longest: Duration) -> bool {
    value >= Duration::from_millis(1) && value <= longest
}

/// Rounds a limit down to milliseconds, which is what stores keep.
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
    /// Converts a time; one outside the years that [`OffsetDateTime`] covers becomes the Unix
    /// epoch.
    fn from(timestamp: Timestamp) -> Self {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(timestamp.0) * 1_000_000)
            .unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }
}

/// A source of the time for the layer. Stores have no clock: they get the time as an argument.
pub trait Clock: Send + Sync + 'static {
    /// Returns the current time.
    fn now(&self) -> Timestamp;

    /// Returns the current time, as exactly as the clock can. It puts sign-ins and revocations of a
    /// user in order. By default, calls [`now`](Self::now).
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
/// On Linux it is the clock that the kernel moves at each of its ticks (`CLOCK_REALTIME_COARSE`).
/// It is read in a quarter of the time (5 ns instead of 22), and is usually 1 to 4 ms behind, at
/// most 10, which no timeout of a session notices. `SystemTime::now()` is that much ahead of it, so
/// compare times of sessions with this clock.
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

/// A clock that moves only when a test says so, to test timeouts without waiting.
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
    /// Creates a clock that stands at `start`.
    #[must_use]
    pub const fn new(start: Timestamp) -> Self {
        Self(AtomicI64::new(start.0))
    }

    /// Moves the clock forward.
    pub fn advance(&self, duration: Duration) {
        self.0.fetch_add(millis(duration), Ordering::SeqCst);
    }

    /// Sets the clock to `time`, which may be in its past.
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

/// The times at which a request is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instants {
    /// When the request first used the session. The idle deadline is judged at this time, so that a
    /// slow request doesn't lose its changes.
    pub first_contact: Timestamp,
    /// The current time. The absolute deadline is judged at this time.
    pub now: Timestamp,
}

impl Instants {
    /// Returns the times of a request whose first contact is now.
    #[must_use]
    pub const fn at(now: Timestamp) -> Self {
        Self {
            first_contact: now,
            now,
        }
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
