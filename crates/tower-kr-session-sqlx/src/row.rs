//! A record as a row, and back.

use std::time::Duration;

use tower_kr_session::{
    DecodeError, IdleLimit, Owner, Record, Retired, SecretHash, SessionId, Timestamp, Values,
};

use crate::dialect::{Argument, Dialect};

/// What this release writes into the column `version`. It tells how the other columns and the values are to be read.
const VERSION: i64 = 1;

/// A row's slot is the time from which it may be deleted, rounded up to a multiple of this.
///
/// It is the only indexed column that a touch changes, and it changes just every ten minutes. All other touches are updates
/// that PostgreSQL does without touching any index (HOT).
const SLOT: Duration = Duration::from_secs(600);

/// The columns that every call reads, in the order in which [`head`] writes and [`read_head`] reads them.
pub(crate) const HEAD: [&str; 13] = [
    "version",
    "created_at",
    "authenticated_at",
    "idle_timeout",
    "touch_interval",
    "absolute_timeout",
    "idle_deadline",
    "absolute_deadline",
    "persistent",
    "secret",
    "retired_secret",
    "retired_at",
    "owner",
];

/// Written after the [`HEAD`], and read only by the index.
pub(crate) const SLOT_COLUMN: &str = "reclaim_slot";

/// The values, in the encoding of [`Values::as_bytes`].
pub(crate) const VALUES: &str = "session_values";

/// The arguments for the id, the [`HEAD`] and the slot; without the values.
pub(crate) fn head(id: SessionId, record: &Record) -> Vec<Argument<'_>> {
    use Argument::{Bytes, Flag, Id, Integer};
    let time = |time: Timestamp| Integer(Some(time.as_unix_millis()));
    let limit = |limit: Duration| Integer(Some(millis(limit)));
    let retired = record.retired.as_ref();
    vec![
        Id(Some(id)),
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
        Bytes(record.owner.as_ref().map(|owner| owner.as_str().as_bytes())),
        Integer(Some(slot_of(record))),
    ]
}

/// The argument for the values.
pub(crate) fn values(record: &Record) -> Argument<'_> {
    Argument::Bytes(Some(record.values.as_bytes()))
}

/// All arguments of an insertion.
pub(crate) fn whole(id: SessionId, record: &Record) -> Vec<Argument<'_>> {
    let mut arguments = head(id, record);
    arguments.push(values(record));
    arguments
}

/// The argument for an owner.
pub(crate) fn owner(owner: &Owner) -> Argument<'_> {
    Argument::Bytes(Some(owner.as_str().as_bytes()))
}

/// A record without its values, from a row of the id and the [`HEAD`].
///
/// # Errors
/// If the row is of a later version, or no record.
pub(crate) fn read_head<D: Dialect>(row: &D::Row) -> Result<Record, DecodeError> {
    let version = integer::<D>(row, 1)?;
    if version != VERSION {
        let version = u8::try_from(version).unwrap_or(u8::MAX);
        return Err(DecodeError::UnknownVersion { version });
    }
    let idle = IdleLimit {
        timeout: limit::<D>(row, 4)?,
        touch_interval: limit::<D>(row, 5)?,
    };
    let secret = hash(bytes::<D>(row, 10)?)?.ok_or(DecodeError::Corrupt)?;
    let created_at = time::<D>(row, 2)?.ok_or(DecodeError::Corrupt)?;
    let mut record = Record::new(secret, created_at, idle, limit::<D>(row, 6)?);
    record.authenticated_at = time::<D>(row, 3)?;
    record.idle_deadline = time::<D>(row, 7)?.ok_or(DecodeError::Corrupt)?;
    record.absolute_deadline = time::<D>(row, 8)?.ok_or(DecodeError::Corrupt)?;
    record.persistent = D::flag(row, 9).map_err(corrupt)?;
    record.retired = match (hash(bytes::<D>(row, 11)?)?, time::<D>(row, 12)?) {
        (Some(secret), Some(at)) => Some(Retired { secret, at }),
        (None, None) => None,
        _ => return Err(DecodeError::Corrupt),
    };
    record.owner = match bytes::<D>(row, 13)? {
        Some(owner) => Some(read_owner(owner)?),
        None => None,
    };
    Ok(record)
}

/// A record from a row of the id, the [`HEAD`] and the values.
///
/// # Errors
/// If the row is of a later version, or no record.
pub(crate) fn read<D: Dialect>(row: &D::Row) -> Result<Record, DecodeError> {
    let mut record = read_head::<D>(row)?;
    let values = bytes::<D>(row, 1 + HEAD.len())?.ok_or(DecodeError::Corrupt)?;
    record.values = Values::decode(values)?;
    Ok(record)
}

/// The slot until which rows may be deleted now.
pub(crate) fn past_slot(now: Timestamp) -> i64 {
    now.as_unix_millis().div_euclid(millis(SLOT))
}

fn slot_of(record: &Record) -> i64 {
    let reclaim_at = record.reclaim_at().as_unix_millis();
    reclaim_at.div_euclid(millis(SLOT)) + i64::from(reclaim_at.rem_euclid(millis(SLOT)) > 0)
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn integer<D: Dialect>(row: &D::Row, column: usize) -> Result<i64, DecodeError> {
    D::integer(row, column)
        .map_err(corrupt)?
        .ok_or(DecodeError::Corrupt)
}

fn time<D: Dialect>(row: &D::Row, column: usize) -> Result<Option<Timestamp>, DecodeError> {
    let millis = D::integer(row, column).map_err(corrupt)?;
    Ok(millis.map(Timestamp::from_unix_millis))
}

fn limit<D: Dialect>(row: &D::Row, column: usize) -> Result<Duration, DecodeError> {
    let millis = u64::try_from(integer::<D>(row, column)?).map_err(|_| DecodeError::Corrupt)?;
    Ok(Duration::from_millis(millis))
}

fn bytes<D: Dialect>(row: &D::Row, column: usize) -> Result<Option<&[u8]>, DecodeError> {
    D::bytes(row, column).map_err(corrupt)
}

fn hash(bytes: Option<&[u8]>) -> Result<Option<SecretHash>, DecodeError> {
    match bytes {
        Some(bytes) => match bytes.try_into() {
            Ok(bytes) => Ok(Some(SecretHash::from_bytes(bytes))),
            Err(_) => Err(DecodeError::Corrupt),
        },
        None => Ok(None),
    }
}

fn read_owner(bytes: &[u8]) -> Result<Owner, DecodeError> {
    let text = str::from_utf8(bytes).map_err(|_| DecodeError::Corrupt)?;
    Owner::new(text).map_err(|_| DecodeError::Corrupt)
}

fn corrupt(_: sqlx::Error) -> DecodeError {
    DecodeError::Corrupt
}

#[cfg(test)]
mod tests {
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
            assert!(past_slot(reclaim_at.saturating_add(SLOT)) >= slot_of(&record));
        }
    }
}
