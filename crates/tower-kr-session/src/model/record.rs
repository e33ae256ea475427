//! The record of a session, and the one place that says what a delta does to it.

use std::{ops::Range, time::Duration};

use bytes::Bytes;

use super::{
    clock::Timestamp,
    delta::{Delta, Instants, Operation},
    id::SecretHash,
    limits::IdleLimit,
    owner::Owner,
    values::{Edit, Values},
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
    /// one touch interval late; see [`expires_at`](Self::expires_at).
    pub idle_deadline: Timestamp,
    /// The session is expired from this time on, whatever happens.
    pub absolute_deadline: Timestamp,
    /// The values.
    pub values: Values,
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

/// The outcome of [`apply`](crate::SessionStore::apply).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ApplyOutcome {
    /// Everything in the delta was done.
    Applied(Receipt),
    /// Nothing was done: there is no such record, it is expired, or the secret is wrong.
    Missing,
    /// Nothing was done: the token was rotated away within the last minute.
    Superseded,
    /// Nothing was done: the compare-and-set found another value.
    Conflict,
    /// Nothing was done: the session has another owner, and an owner is written once.
    OtherOwner,
    /// Nothing was done: all sessions of the owner were revoked at or after the time of the
    /// sign-in.
    Revoked,
    /// Nothing was done: the values would have become larger than allowed.
    TooLarge {
        /// The size that the values would have, in bytes.
        size: u64,
    },
    /// Nothing was done: the value to increment is not a 64-bit integer.
    NotAnInteger,
    /// Nothing was done: the sum doesn't fit in 64 bits.
    Overflow,
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

/// What a request needs to know of the record after a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Receipt {
    /// The result of [`Operation::Increment`].
    pub incremented: Option<i64>,
    /// The idle limit of the record.
    pub idle: IdleLimit,
    /// The idle deadline as stored.
    pub idle_deadline: Timestamp,
    /// The absolute deadline.
    pub absolute_deadline: Timestamp,
    /// Whether the cookie outlives the browser's session.
    pub persistent: bool,
}

impl Receipt {
    /// Creates the receipt of a store that doesn't work on a [`Record`].
    #[must_use]
    pub const fn new(
        incremented: Option<i64>,
        idle: IdleLimit,
        idle_deadline: Timestamp,
        absolute_deadline: Timestamp,
        persistent: bool,
    ) -> Self {
        Self {
            incremented,
            idle,
            idle_deadline,
            absolute_deadline,
            persistent,
        }
    }
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
        let absolute_deadline = now.saturating_add(absolute_timeout);
        Self {
            secret,
            retired: None,
            owner: None,
            created_at: now,
            authenticated_at: None,
            idle,
            absolute_timeout,
            persistent: false,
            idle_deadline: idle_deadline(now, idle, absolute_deadline),
            absolute_deadline,
            values: Values::default(),
        }
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
        let latest = idle_deadline(now, self.idle, self.absolute_deadline);
        let stale = self.idle_deadline < now.saturating_add(self.idle.timeout)
            && self.idle_deadline < self.absolute_deadline;
        stale || self.idle_deadline > latest.saturating_add(self.idle.touch_interval)
    }

    /// Returns when a store may drop the record: [`RECLAIM_GRACE`] after its deadline.
    #[must_use]
    pub fn reclaim_at(&self) -> Timestamp {
        self.idle_deadline
            .min(self.absolute_deadline)
            .saturating_add(RECLAIM_GRACE)
    }

    /// Applies all of the delta, or nothing. A store itself only finds [`ApplyOutcome::Missing`]
    /// for an absent record, and [`ApplyOutcome::Revoked`].
    pub fn apply(&mut self, secret: &SecretHash, delta: &Delta, at: Instants) -> ApplyOutcome {
        match self.token_state(secret, at) {
            TokenState::Current => {}
            TokenState::Superseded => return ApplyOutcome::Superseded,
            TokenState::Missing => return ApplyOutcome::Missing,
        }
        if let (Some(sign_in), Some(owner)) = (&delta.sign_in, &self.owner)
            && sign_in.owner != *owner
        {
            return ApplyOutcome::OtherOwner;
        }
        let incremented = match self.edit_values(delta) {
            Ok(incremented) => incremented,
            Err(refused) => return refused,
        };
        self.edit_head(delta, at.now);
        ApplyOutcome::Applied(Receipt {
            incremented,
            idle: self.idle,
            idle_deadline: self.idle_deadline,
            absolute_deadline: self.absolute_deadline,
            persistent: self.persistent,
        })
    }

    /// Gives a new session the values, the owner and the limits of a delta.
    ///
    /// # Errors
    /// Returns the size of the values in bytes, if it would be too large.
    pub(crate) fn start_with(&mut self, delta: &Delta, now: Timestamp) -> Result<(), u64> {
        if let Err(ApplyOutcome::TooLarge { size }) = self.replace_values(delta, None) {
            return Err(size);
        }
        self.edit_head(delta, now);
        Ok(())
    }

    /// Checks everything first, then changes the values.
    fn edit_values(&mut self, delta: &Delta) -> Result<Option<i64>, ApplyOutcome> {
        let Some((key, operation)) = &delta.operation else {
            let overwritten = match delta.changes() {
                [(key, Some(value))] if !delta.clear => {
                    let place = self.values.locate(key.as_str());
                    self.overwrite(place, value, delta)
                }
                changes => changes.is_empty() && !delta.clear,
            };
            if !overwritten {
                self.replace_values(delta, None)?;
            }
            return Ok(None);
        };
        let noted = delta.changes().iter().find(|(noted, _)| noted == key);
        let place = self.values.locate(key.as_str());
        let current = match noted {
            Some((_, value)) => value.as_deref(),
            None if delta.clear => None,
            None => place.clone().map(|place| &self.values.as_bytes()[place]),
        };
        match operation {
            Operation::Increment(by) => {
                let sum = increment(current, *by)?;
                let mut digits = itoa::Buffer::new();
                let digits = digits.format(sum).as_bytes();
                let alone = !delta.clear && delta.changes().is_empty();
                if !(alone && self.overwrite(place, digits, delta)) {
                    self.replace_values(delta, Some((key.as_str(), Some(digits))))?;
                }
                Ok(Some(sum))
            }
            Operation::CompareAndSet { expected, new } => {
                if current != expected.as_deref() {
                    return Err(ApplyOutcome::Conflict);
                }
                self.replace_values(delta, Some((key.as_str(), new.as_deref())))?;
                Ok(None)
            }
        }
    }

    /// Changes one value of unchanged length in place, without a copy of the others, if nobody
    /// shares the values.
    fn overwrite(&mut self, place: Option<Range<usize>>, value: &[u8], delta: &Delta) -> bool {
        self.values.size() <= delta.max_bytes
            && place.is_some_and(|place| self.values.overwrite(place, value))
    }

    fn replace_values(
        &mut self,
        delta: &Delta,
        operation: Option<Edit<'_>>,
    ) -> Result<(), ApplyOutcome> {
        let mut edits: Vec<Edit<'_>> = Vec::with_capacity(delta.changes().len() + 1);
        edits.extend(
            delta
                .changes()
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_deref())),
        );
        if let Some(edit) = operation {
            match edits.binary_search_by_key(&edit.0, |(key, _)| key) {
                Ok(index) => edits[index] = edit,
                Err(index) => edits.insert(index, edit),
            }
        }
        let values = self.values.edited(delta.clear, &edits);
        if values.size() > delta.max_bytes {
            return Err(ApplyOutcome::TooLarge {
                size: values.size(),
            });
        }
        self.values = values;
        Ok(())
    }

    /// Applies the changes of a delta that don't concern values.
    fn edit_head(&mut self, delta: &Delta, now: Timestamp) {
        if let Some(secret) = delta.rotate {
            self.retired = Some(Box::new(Retired {
                secret: self.secret,
                at: now,
            }));
            self.secret = secret;
        }
        if let Some(idle) = delta.limits.idle {
            self.idle = idle;
        }
        if let Some(persistent) = delta.limits.persistent {
            self.persistent = persistent;
        }
        if let Some(timeout) = delta.limits.absolute_timeout {
            let start = self.absolute_deadline.saturating_sub(self.absolute_timeout);
            self.absolute_timeout = timeout;
            self.absolute_deadline = start.saturating_add(timeout);
        }
        let latest = now.saturating_add(self.absolute_timeout);
        if let Some(sign_in) = &delta.sign_in {
            // Written once. A user who signs in again has the same owner, and a second copy would
            // cost memory that no limit counts.
            self.owner.get_or_insert_with(|| sign_in.owner.clone());
            self.authenticated_at = Some(sign_in.authenticated_at);
            self.absolute_deadline = latest;
        }
        self.absolute_deadline = self.absolute_deadline.min(latest);
        self.idle_deadline = idle_deadline(now, self.idle, self.absolute_deadline);
    }
}

/// Returns the idle deadline that a request gives a session now. It is late by the touch interval,
/// so that reads needn't write each time, but never past the absolute deadline.
fn idle_deadline(now: Timestamp, idle: IdleLimit, absolute_deadline: Timestamp) -> Timestamp {
    now.saturating_add(idle.timeout)
        .saturating_add(idle.touch_interval)
        .min(absolute_deadline)
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

/// Adds to a stored integer. It must be written as `i64`'s `Display` writes it: no plus sign,
/// blanks or leading zeros.
pub(crate) fn increment(current: Option<&[u8]>, by: i64) -> Result<i64, ApplyOutcome> {
    let current = match current {
        Some(digits) => parse_integer(digits).ok_or(ApplyOutcome::NotAnInteger)?,
        None => 0,
    };
    current.checked_add(by).ok_or(ApplyOutcome::Overflow)
}

fn parse_integer(digits: &[u8]) -> Option<i64> {
    let number: i64 = str::from_utf8(digits).ok()?.parse().ok()?;
    let mut buffer = itoa::Buffer::new();
    (buffer.format(number).as_bytes() == digits).then_some(number)
}

/// Writes an integer as [`increment`] reads it.
pub(crate) fn integer_bytes(number: i64) -> Bytes {
    Bytes::copy_from_slice(itoa::Buffer::new().format(number).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::delta::SignIn;

    const START: Timestamp = Timestamp::from_unix_millis(1_000_000);
    const IDLE: IdleLimit = IdleLimit {
        timeout: Duration::from_secs(20),
        touch_interval: Duration::from_secs(1),
    };
    const SECRET: SecretHash = SecretHash::from_bytes([1; 32]);

    fn record() -> Record {
        Record::new(SECRET, START, IDLE, Duration::from_secs(60))
    }

    fn after(millis: u64) -> Timestamp {
        START.saturating_add(Duration::from_millis(millis))
    }

    #[test]
    fn integers_are_exactly_what_an_i64_is_written_with() {
        for good in ["0", "-1", "9223372036854775807", "-9223372036854775808"] {
            assert_eq!(parse_integer(good.as_bytes()), good.parse().ok());
        }
        for bad in [
            "",
            "+1",
            "01",
            "-0",
            " 1",
            "1 ",
            "1.0",
            "9223372036854775808",
            "x",
            "\u{661}",
        ] {
            assert_eq!(parse_integer(bad.as_bytes()), None, "{bad:?}");
        }
    }

    #[test]
    fn activity_inside_the_idle_timeout_keeps_a_session_that_is_not_touched() {
        let record = record();
        assert!(!record.touch_is_due(after(1_000)));
        assert!(record.touch_is_due(after(1_001)));
        // The request at 1,000 ms didn't write, and yet the session lives its whole idle timeout
        // from there.
        assert!(!record.is_expired(Instants::at(after(20_999))));
        assert!(record.is_expired(Instants::at(after(21_000))));
        assert_eq!(record.expires_at(START), after(20_000));
    }

    #[test]
    fn idle_is_judged_at_first_contact_and_absolute_now() {
        let record = record();
        let slow = |first, now| Instants {
            first_contact: after(first),
            now: after(now),
        };
        assert!(!record.is_expired(slow(20_000, 59_999)));
        assert!(record.is_expired(slow(20_000, 60_000)));
        assert!(record.is_expired(slow(21_000, 21_000)));
    }

    #[test]
    fn a_touch_never_passes_the_absolute_deadline() {
        let mut record = record();
        for millis in [15_000, 30_000, 45_000] {
            let touched = record.apply(&SECRET, &Delta::new(0), Instants::at(after(millis)));
            assert!(matches!(touched, ApplyOutcome::Applied(_)));
        }
        assert_eq!(record.idle_deadline, after(60_000));
        assert_eq!(record.expires_at(after(45_000)), after(60_000));
        assert!(!record.touch_is_due(after(59_000)));
        assert!(record.is_expired(Instants::at(after(60_000))));
    }

    #[test]
    fn deadlines_of_a_clock_that_ran_ahead_are_pulled_in() {
        let mut record = record();
        let back = START.saturating_sub(Duration::from_secs(3_600));
        assert!(record.touch_is_due(back));
        assert_eq!(record.expires_at(back), back.saturating_add(IDLE.timeout));
        record.apply(&SECRET, &Delta::new(0), Instants::at(back));
        assert_eq!(
            record.idle_deadline,
            back.saturating_add(Duration::from_secs(21))
        );
        assert_eq!(
            record.absolute_deadline,
            back.saturating_add(Duration::from_secs(60))
        );
    }

    #[test]
    fn an_owner_who_signs_in_again_is_not_held_twice() {
        let mut record = record();
        let sign_in = |record: &mut Record| {
            let mut delta = Delta::new(u64::MAX);
            delta.sign_in = Some(SignIn::new(Owner::new("max").unwrap(), after(1)));
            let applied = record.apply(&SECRET, &delta, Instants::at(after(1)));
            assert!(matches!(applied, ApplyOutcome::Applied(_)), "{applied:?}");
            record.owner.clone().unwrap()
        };
        let (first, again) = (sign_in(&mut record), sign_in(&mut record));
        assert!(std::ptr::eq(first.as_str(), again.as_str()));
    }

    #[test]
    fn a_retired_secret_is_recognised_for_a_minute() {
        let new = SecretHash::from_bytes([2; 32]);
        let mut record = Record::new(SECRET, START, IDLE, Duration::from_secs(3_600));
        record.idle.timeout = Duration::from_secs(600);
        let mut delta = Delta::new(0);
        delta.rotate = Some(new);
        record.apply(&SECRET, &delta, Instants::at(START));
        assert_eq!(
            record.token_state(&new, Instants::at(START)),
            TokenState::Current
        );
        assert_eq!(
            record.token_state(&SECRET, Instants::at(after(59_999))),
            TokenState::Superseded
        );
        assert_eq!(
            record.token_state(&SECRET, Instants::at(after(60_000))),
            TokenState::Missing
        );
        let stranger = SecretHash::from_bytes([3; 32]);
        assert_eq!(
            record.token_state(&stranger, Instants::at(START)),
            TokenState::Missing
        );
    }
}
