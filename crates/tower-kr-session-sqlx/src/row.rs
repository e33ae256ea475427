//! Converts a record to the columns of a row, and back.

use std::time::Duration;

use tower_kr_session::{
    Owner, SessionId, Timestamp,
    store::{DecodeError, Record, SecretHash},
};

use crate::{
    columns::{self, Columns, HEAD, VERSION},
    dialect::{Argument, Dialect},
};

/// The slot of a row is the time from which it may be deleted, rounded up to a multiple of this, in
/// milliseconds.
///
/// It is the only indexed column that a touch changes, and it changes every ten minutes only. All
/// other touches are updates that PostgreSQL does without touching an index (HOT).
pub(crate) const SLOT_MILLIS: i64 = 600_000;

/// How much longer the row of a session with an owner stays, in milliseconds.
///
/// On one machine the application and the database have the same clock. If it is ahead by some
/// hours (a wrong time zone, say), the sessions of users are still there once it is right again.
/// Sessions without an owner are not kept longer: a flood of them would fill the disk.
const OWNED_MILLIS: i64 = 24 * 60 * 60 * 1000;

/// The column of the slot, written after the [`HEAD`](columns::HEAD) and never read back.
pub(crate) const SLOT_COLUMN: &str = "reclaim_slot";

/// The column of the values, encoded as
/// [`Values::as_bytes`](tower_kr_session::store::Values::as_bytes).
pub(crate) const VALUES: &str = "session_values";

/// The column of the [`revision`](Record::revision): each update adds one, so an update of a record
/// that was read without a lock finds out whether somebody was faster. No index has it.
///
/// In SQLite it begins at 2^40: from there on it always takes six bytes, and an update that leaves
/// the length of a row as it was writes no page of a large value anew.
pub(crate) const REVISION: &str = "revision";

/// What a statement writes, besides the columns of the [`HEAD`](columns::HEAD) without an index.
#[derive(Clone, Copy)]
pub(crate) struct Written {
    /// The owner and the slot. SQLite writes the pages of an index whenever a statement names its
    /// column, so one that changes neither doesn't.
    pub(crate) indexed: bool,
    pub(crate) values: bool,
}

impl Written {
    pub(crate) const ALL: Self = Self {
        indexed: true,
        values: true,
    };

    pub(crate) const HEAD: Self = Self {
        indexed: true,
        values: false,
    };

    pub(crate) const EACH: [Self; 4] = [
        Self {
            indexed: false,
            values: false,
        },
        Self {
            indexed: false,
            values: true,
        },
        Self::HEAD,
        Self::ALL,
    ];

    /// Its place in [`EACH`](Self::EACH).
    pub(crate) const fn index(self) -> usize {
        2 * self.indexed as usize + self.values as usize
    }

    /// The columns, in the order of the [`arguments`].
    pub(crate) fn columns(self) -> Vec<&'static str> {
        let mut columns = HEAD.to_vec();
        if self.indexed {
            columns.push(SLOT_COLUMN);
        } else {
            // The owner is the last.
            columns.pop();
        }
        if self.values {
            columns.push(VALUES);
        }
        columns
    }
}

/// The arguments for the [`columns`](Written::columns), and the id.
pub(crate) fn arguments(id: SessionId, record: &Record, written: Written) -> Vec<Argument<'_>> {
    use Argument::{Bytes, Flag, Id, Integer};
    let time = |time: Timestamp| Integer(Some(time.as_unix_millis()));
    let limit = |limit: Duration| Integer(Some(millis(limit)));
    let retired = record.retired.as_ref();
    let mut arguments = vec![
        Integer(Some(VERSION)),
        time(record.created_at),
        Integer(record.authenticated_at.map(Timestamp::as_unix_millis)),
        limit(record.idle.timeout),
        limit(record.idle.touch_interval),
        limit(record.absolute_timeout),
        time(record.idle_deadline),
        time(record.absolute_deadline),
        Flag(record.persistent),
        Bytes(Some(record.secret.as_bytes())),
        Bytes(retired.map(|retired| &retired.secret.as_bytes()[..])),
        Integer(retired.map(|retired| retired.at.as_unix_millis())),
        Bytes(record.label.as_ref().map(|label| label.as_str().as_bytes())),
        Bytes(record.device()),
    ];
    if written.indexed {
        let owner = record.owner.as_ref();
        arguments.push(Bytes(owner.map(|owner| owner.as_str().as_bytes())));
        arguments.push(Integer(Some(slot_of(record))));
    }
    if written.values {
        arguments.push(Bytes(Some(record.values.as_bytes())));
    }
    arguments.push(Id(Some(id)));
    arguments
}

/// The argument for an owner.
pub(crate) fn owner(owner: &Owner) -> Argument<'_> {
    Argument::Bytes(Some(owner.as_str().as_bytes()))
}

/// The argument for a secret.
pub(crate) fn secret(secret: &SecretHash) -> Argument<'_> {
    Argument::Bytes(Some(secret.as_bytes()))
}

/// The argument for the revision.
pub(crate) fn revision(record: &Record) -> Argument<'static> {
    Argument::Integer(Some(record.revision.cast_signed()))
}

/// Reads a record without its values from a row of the id, the [`HEAD`](columns::HEAD) and the
/// revision.
///
/// # Errors
/// If the row is of a later version, or no record.
pub(crate) fn read_head<D: Dialect>(row: &D::Row) -> Result<Record, DecodeError> {
    let row = Row::<D>(row);
    let mut record = columns::read_head(&row)?;
    record.revision = row.revision(1 + HEAD.len())?;
    Ok(record)
}

/// Reads a record from a row of the id, the [`HEAD`](columns::HEAD), the values and the revision.
///
/// # Errors
/// If the row is of a later version, or no record.
pub(crate) fn read<D: Dialect>(row: &D::Row) -> Result<Record, DecodeError> {
    let row = Row::<D>(row);
    let mut record = columns::read(&row)?;
    record.revision = row.revision(2 + HEAD.len())?;
    Ok(record)
}

struct Row<'a, D: Dialect>(&'a D::Row);

impl<D: Dialect> Row<'_, D> {
    fn revision(&self, column: usize) -> Result<u64, DecodeError> {
        let revision = self.integer(column)?.ok_or(DecodeError::Corrupt)?;
        Ok(revision.cast_unsigned())
    }
}

impl<D: Dialect> Columns for Row<'_, D> {
    fn integer(&self, column: usize) -> Result<Option<i64>, DecodeError> {
        D::integer(self.0, column).map_err(corrupt)
    }

    fn flag(&self, column: usize) -> Result<bool, DecodeError> {
        D::flag(self.0, column).map_err(corrupt)
    }

    fn bytes(&self, column: usize) -> Result<Option<&[u8]>, DecodeError> {
        D::bytes(self.0, column).map_err(corrupt)
    }
}

fn corrupt(_: sqlx::Error) -> DecodeError {
    DecodeError::Corrupt
}

/// The latest slot whose rows may be deleted now.
pub(crate) fn past_slot(now: Timestamp) -> i64 {
    now.as_unix_millis().div_euclid(SLOT_MILLIS)
}

pub(crate) fn slot_of(record: &Record) -> i64 {
    let owned = if record.owner.is_some() {
        OWNED_MILLIS
    } else {
        0
    };
    let reclaim_at = record.reclaim_at().as_unix_millis().saturating_add(owned);
    reclaim_at.div_euclid(SLOT_MILLIS) + i64::from(reclaim_at.rem_euclid(SLOT_MILLIS) > 0)
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use tower_kr_session::store::IdleLimit;

    use super::*;

    #[test]
    fn a_slot_is_past_no_earlier_than_the_record_may_go_and_at_most_ten_minutes_later() {
        let idle = IdleLimit {
            timeout: Duration::from_secs(20),
            touch_interval: Duration::from_secs(1),
        };
        for start in [-1, 0, 1, 278_999, 279_000, 279_001, 1_700_000_000_000] {
            let start = Timestamp::from_unix_millis(start);
            let record = Record::new(
                SecretHash::from_bytes([1; 32]),
                start,
                idle,
                Duration::from_secs(60),
            );
            let reclaim_at = record.reclaim_at();
            let just_before = reclaim_at.saturating_sub(Duration::from_millis(1));
            assert!(past_slot(just_before) < slot_of(&record));
            assert!(
                past_slot(
                    reclaim_at.saturating_add(Duration::from_millis(SLOT_MILLIS.unsigned_abs()))
                ) >= slot_of(&record)
            );
        }
    }
}
