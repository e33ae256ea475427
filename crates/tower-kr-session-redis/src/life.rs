//! How long a session lives: the field `life` of its record, which every write changes and every answer to a write brings.

use std::time::Duration;

use tower_kr_session::{
    Timestamp,
    store::{IdleLimit, Receipt, Record},
};

use crate::numbers::{self, NUMBER};

/// By so much longer than it must Redis may keep a session: a deadline that moves by less needs no new time to live.
const LEEWAY: Duration = Duration::from_secs(60);

/// How long Redis keeps a session at most, so that its clock doesn't overflow: 31,000 years.
const LONGEST: Duration = Duration::from_millis(1_000_000_000_000_000);

/// Seven numbers and a flag; `record.lua` names them.
pub(crate) const BYTES: usize = 7 * NUMBER + 1;

/// What `life` tells.
pub(crate) struct Life {
    pub(crate) idle: IdleLimit,
    pub(crate) absolute_timeout: Duration,
    pub(crate) idle_deadline: Timestamp,
    pub(crate) absolute_deadline: Timestamp,
    pub(crate) persistent: bool,
}

/// The time until which Redis keeps a new record.
fn kept_until(record: &Record) -> Timestamp {
    let deadline = record.idle_deadline.min(record.absolute_deadline);
    deadline.saturating_add(LEEWAY)
}

/// The milliseconds after which Redis drops a new record.
pub(crate) fn time_to_live(record: &Record, now: Timestamp) -> u128 {
    let left = kept_until(record).saturating_duration_since(now);
    (left.min(LONGEST) + tower_kr_session::store::RECLAIM_GRACE).as_millis()
}

/// The field of a new record.
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
