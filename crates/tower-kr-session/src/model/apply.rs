//! The one place that says what a delta does to a record.

use std::ops::Range;

use bytes::Bytes;

use super::{
    clock::{Instants, Timestamp},
    delta::{Delta, Operation},
    id::SecretHash,
    limits::IdleLimit,
    record::{Record, Retired, TokenState, idle_deadline},
    values::Edit,
};

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
    /// Nothing was done: the compare-and-set found another value, or the change of the
    /// [device](Delta::device) other bytes.
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
        if let Some(change) = delta.device()
            && change.expected() != self.device()
        {
            return ApplyOutcome::Conflict;
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
        if let Some(change) = delta.device() {
            // Bytes out of bounds change nothing: the layer makes none.
            let _ = self.set_device(change.new_bytes());
        }
        let latest = now.saturating_add(self.absolute_timeout);
        if let Some(sign_in) = &delta.sign_in {
            // Written once. A user who signs in again has the same owner, and a second copy would
            // cost memory that no limit counts.
            self.owner.get_or_insert_with(|| sign_in.owner.clone());
            self.authenticated_at = Some(sign_in.authenticated_at);
            if let Some(label) = &sign_in.label {
                self.label = Some(Box::new(label.clone()));
            }
            self.absolute_deadline = latest;
        }
        self.absolute_deadline = self.absolute_deadline.min(latest);
        self.idle_deadline = idle_deadline(now, self.idle);
    }
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
    use std::time::Duration;

    use super::*;
    use crate::model::{delta::SignIn, key::KeyBuf, owner::Owner};

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
    fn the_absolute_deadline_ends_a_session_that_is_in_use() {
        let mut record = record();
        for millis in [15_000, 30_000, 45_000] {
            let touched = record.apply(&SECRET, &Delta::new(0), Instants::at(after(millis)));
            assert!(matches!(touched, ApplyOutcome::Applied(_)));
        }
        assert_eq!(record.idle_deadline, after(66_000));
        assert_eq!(record.last_used_at(after(50_000)), after(45_000));
        assert_eq!(record.last_used_at(after(40_000)), after(40_000));
        assert_eq!(record.expires_at(after(45_000)), after(60_000));
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
    fn a_deadline_that_is_ahead_by_no_more_than_the_touch_interval_is_left() {
        let record = record();
        assert!(!record.touch_is_due(START.saturating_sub(IDLE.touch_interval)));
        let earlier = IDLE.touch_interval + Duration::from_millis(1);
        assert!(record.touch_is_due(START.saturating_sub(earlier)));
    }

    #[test]
    fn one_value_of_the_same_length_is_replaced_in_place() {
        let key = || KeyBuf::new("count").unwrap();
        let mut insert = Delta::new(u64::MAX);
        insert.change(key(), Some(Bytes::from_static(b"7")));
        let mut increment = Delta::new(u64::MAX);
        increment.operation = Some((key(), Operation::Increment(1)));
        let mut record = record();
        record.values = [("count", "1")].into_iter().collect();
        let place = record.values.as_bytes().as_ptr();
        for (delta, expected) in [(insert, b"7"), (increment, b"8")] {
            record.apply(&SECRET, &delta, Instants::at(START));
            assert_eq!(record.values.get("count"), Some(&expected[..]));
            assert_eq!(record.values.as_bytes().as_ptr(), place, "{delta:?}");
        }
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
