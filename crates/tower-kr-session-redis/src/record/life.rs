//! The field `life` of a record: how long the session lives. Every write changes it, and every
//! answer to a write returns it.

use std::time::Duration;

use tower_kr_session::{
    Timestamp,
    store::{IdleLimit, Receipt, Record},
};

use super::numbers::{self, NUMBER};

/// Redis may keep a session this much longer than necessary, so that a deadline that moves by less
/// needs no `PEXPIRE`.
const LEEWAY: Duration = Duration::from_secs(60);

/// Redis keeps a session at most this long, 31,000 years, so that its clock doesn't overflow.
const LONGEST: Duration = Duration::from_millis(1_000_000_000_000_000);

/// The length of `life`: seven numbers and a flag, which `record.lua` names.
pub(crate) const BYTES: usize = 7 * NUMBER + 1;

/// The contents of `life`.
pub(crate) struct Life {
    pub(crate) idle: IdleLimit,
    pub(crate) absolute_timeout: Duration,
    pub(crate) idle_deadline: Timestamp,
    pub(crate) absolute_deadline: Timestamp,
    pub(crate) persistent: bool,
}

/// Returns the time until which Redis keeps a new record.
fn kept_until(record: &Record) -> Timestamp {
    let deadline = record.idle_deadline.min(record.absolute_deadline);
    deadline.saturating_add(LEEWAY)
}

/// Returns the milliseconds after which Redis drops a new record.
pub(crate) fn time_to_live(record: &Record, now: Timestamp) -> u128 {
    let left = kept_until(record).saturating_duration_since(now);
    (left.min(LONGEST) + tower_kr_session::store::RECLAIM_GRACE).as_millis()
}

/// Writes the field of a new record.
pub(crate) fn write(record: &Record) -> Vec<u8> {
    let mut life = Vec::with_capacity(BYTES);
    life.extend(numbers::duration(record.idle.timeout));
    life.extend(numbers::duration(record.idle.touch_interval));
    life.extend(numbers::duration(record.absolute_timeout));
    life.extend(numbers::time(record.idle_deadline));
    life.extend(numbers::time(record.absolute_deadline));
    life.extend(numbers::size(record.values.size()));
    life.extend(numbers::time(kept_until(record)));
    life.push(u8::from(record.persistent));
    life
}

impl Life {
    pub(crate) fn read(mut life: &[u8]) -> Option<Self> {
        let life = &mut life;
        let read = Self {
            idle: IdleLimit {
                timeout: numbers::take_duration(life)?,
                touch_interval: numbers::take_duration(life)?,
            },
            absolute_timeout: numbers::take_duration(life)?,
            idle_deadline: numbers::take_time(life)?,
            absolute_deadline: numbers::take_time(life)?,
            persistent: {
                let _size = numbers::take_duration(life)?;
                let _kept_until = numbers::take_time(life)?;
                match life {
                    [0] => false,
                    [1] => true,
                    _ => return None,
                }
            },
        };
        Some(read)
    }

    pub(crate) fn receipt(&self, incremented: Option<i64>) -> Receipt {
        Receipt::new(
            incremented,
            self.idle,
            self.idle_deadline,
            self.absolute_deadline,
            self.persistent,
        )
    }
}
