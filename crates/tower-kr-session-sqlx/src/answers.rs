//! Turns the rows of a statement into the answers of the store.

use tower_kr_session::{
    SessionId, StoreError,
    store::{CreateOutcome, DecodeError, Instants, Record, RemoveOutcome},
};

use crate::{dialect::Dialect, row};

/// Reads the record in the only row, if there is one.
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

/// Turns a row of a later version into an error. Logs a corrupt one and reads it as none.
///
/// # Errors
/// If the row is of a later version.
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

/// The answer of an insertion, which returns its row unless the id was taken.
pub(crate) fn created<R>(rows: &[R]) -> CreateOutcome {
    if rows.is_empty() {
        CreateOutcome::Exists
    } else {
        CreateOutcome::Created
    }
}

/// What the deletion of this row (id and head) ended. A row that can't be read may have been alive.
pub(crate) fn removed<D: Dialect>(row: &D::Row, at: Instants) -> RemoveOutcome {
    row::read_head::<D>(row).map_or(RemoveOutcome::Removed, |record| {
        record.removal(None, at).outcome
    })
}
