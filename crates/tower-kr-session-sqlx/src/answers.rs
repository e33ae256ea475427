//! What the rows of a statement say.

use tower_kr_session::{
    SessionId, StoreError,
    store::{CreateOutcome, DecodeError, Instants, Record, RemoveOutcome},
};

use crate::{dialect::Dialect, row};

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

/// Says what the removal of this deleted row (id and head), without a secret, has ended. A row that
/// can't be read may have been alive.
pub(crate) fn removed<D: Dialect>(row: &D::Row, at: Instants) -> RemoveOutcome {
    row::read_head::<D>(row).map_or(RemoveOutcome::Removed, |record| {
        record.removal(None, at).outcome
    })
}
