//! What the rows of a statement say.

use tower_kr_session::{
    SessionId, StoreError, Timestamp,
    store::{CreateOutcome, DecodeError, Record},
};

use crate::dialect::Dialect;

/// The record in the only row, if there is one that can be read.
pub(crate) fn first<R>(
    id: SessionId,
    rows: &[R],
    read: impl FnOnce(&R) -> Result<Record, DecodeError>,
) -> Result<Option<Record>, StoreError> {
    match rows.first() {
        Some(row) => readable(id, read(row)),
        None => Ok(None),
    }
}

/// A row of a later version is an error, a corrupt one is logged and counts as none.
pub(crate) fn readable(
    id: SessionId,
    record: Result<Record, DecodeError>,
) -> Result<Option<Record>, StoreError> {
    match record {
        Ok(record) => Ok(Some(record)),
        Err(DecodeError::UnknownVersion { version }) => Err(StoreError::UnknownVersion { version }),
        Err(_) => {
            tracing::warn!(session = %id, "corrupt session row; it is kept and read as missing");
            Ok(None)
        }
    }
}

/// Of an insertion that gives its row, unless there was one of this id.
pub(crate) fn created<R>(rows: &[R]) -> CreateOutcome {
    if rows.is_empty() {
        CreateOutcome::Exists
    } else {
        CreateOutcome::Created
    }
}

/// Of a deleted row with both deadlines.
pub(crate) fn was_alive<D: Dialect>(row: &D::Row, now: Timestamp) -> bool {
    let is_ahead = |column| {
        D::integer(row, column)
            .ok()
            .flatten()
            .is_some_and(|deadline| now.as_unix_millis() < deadline)
    };
    is_ahead(0) && is_ahead(1)
}
