//! Reads a record from the columns of a row.

use std::time::Duration;

use tower_kr_session::{
    Label, Owner, Timestamp,
    store::{DecodeError, IdleLimit, Record, Retired, SecretHash, Values},
};

/// The format of the other columns and the values, in the column `version`.
pub(crate) const VERSION: i64 = 1;

/// The columns that every call reads, in this order. The owner, which has an index, is the last.
pub(crate) const HEAD: [&str; 15] = [
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
    "label",
    "device",
    "owner",
];

/// The columns of a row: the id is column 0, then the [`HEAD`], then the values.
pub(crate) trait Columns {
    fn integer(&self, column: usize) -> Result<Option<i64>, DecodeError>;
    fn flag(&self, column: usize) -> Result<bool, DecodeError>;
    fn bytes(&self, column: usize) -> Result<Option<&[u8]>, DecodeError>;
}

/// Reads a record without its values from a row of the id and the [`HEAD`].
///
/// # Errors
/// If the row is of a later version, or no record.
pub(crate) fn read_head(row: &impl Columns) -> Result<Record, DecodeError> {
    let version = integer(row, 1)?;
    if version != VERSION {
        let version = u8::try_from(version).unwrap_or(u8::MAX);
        return Err(DecodeError::UnknownVersion { version });
    }
    let idle = IdleLimit {
        timeout: limit(row, 4)?,
        touch_interval: limit(row, 5)?,
    };
    let secret = hash(row.bytes(10)?)?.ok_or(DecodeError::Corrupt)?;
    let created_at = time(row, 2)?.ok_or(DecodeError::Corrupt)?;
    let mut record = Record::new(secret, created_at, idle, limit(row, 6)?);
    record.authenticated_at = time(row, 3)?;
    record.idle_deadline = time(row, 7)?.ok_or(DecodeError::Corrupt)?;
    record.absolute_deadline = time(row, 8)?.ok_or(DecodeError::Corrupt)?;
    record.persistent = row.flag(9)?;
    record.retired = match (hash(row.bytes(11)?)?, time(row, 12)?) {
        (Some(secret), Some(at)) => Some(Box::new(Retired { secret, at })),
        (None, None) => None,
        _ => return Err(DecodeError::Corrupt),
    };
    record.owner = match row.bytes(15)? {
        Some(owner) => Some(Owner::new(text(owner)?).map_err(|_| DecodeError::Corrupt)?),
        None => None,
    };
    record.label = match row.bytes(13)? {
        Some(label) => {
            let label = Label::new(text(label)?).map_err(|_| DecodeError::Corrupt)?;
            Some(Box::new(label))
        }
        None => None,
    };
    if let Some(device) = row.bytes(14)? {
        record.set_device(device)?;
    }
    Ok(record)
}

/// Reads a record from a row of the id, the [`HEAD`] and the values.
///
/// # Errors
/// If the row is of a later version, or no record.
pub(crate) fn read(row: &impl Columns) -> Result<Record, DecodeError> {
    let mut record = read_head(row)?;
    let values = row.bytes(1 + HEAD.len())?.ok_or(DecodeError::Corrupt)?;
    record.values = Values::decode(values)?;
    Ok(record)
}

fn integer(row: &impl Columns, column: usize) -> Result<i64, DecodeError> {
    row.integer(column)?.ok_or(DecodeError::Corrupt)
}

fn time(row: &impl Columns, column: usize) -> Result<Option<Timestamp>, DecodeError> {
    Ok(row.integer(column)?.map(Timestamp::from_unix_millis))
}

fn limit(row: &impl Columns, column: usize) -> Result<Duration, DecodeError> {
    let millis = u64::try_from(integer(row, column)?).map_err(|_| DecodeError::Corrupt)?;
    Ok(Duration::from_millis(millis))
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

fn text(bytes: &[u8]) -> Result<&str, DecodeError> {
    str::from_utf8(bytes).map_err(|_| DecodeError::Corrupt)
}
