//! Turns the rows of a statement into the answers of the store.

use tower_kr_session::{
    SessionId, SessionSummary, StoreError, Timestamp,
    store::{CreateOutcome, DecodeError, Instants, Record, RemoveOutcome},
};

use crate::{dialect::Dialect, error::DatabaseFailure, row};

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
fn readable(
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

/// Lists the sessions of these rows (id and head) that are alive.
///
/// # Errors
/// If a row is of a later version.
pub(crate) fn summaries<D: Dialect>(
    rows: &[D::Row],
    now: Timestamp,
) -> Result<Vec<SessionSummary>, StoreError> {
    let mut sessions = Vec::with_capacity(rows.len());
    for row in rows {
        let id = D::id(row, 0).map_err(DatabaseFailure::from)?;
        if let Some(record) = readable(id, row::read_head::<D>(row))?
            && !record.is_expired(Instants::at(now))
        {
            sessions.push(SessionSummary::new(id, &record, now));
        }
    }
    Ok(sessions)
}

/// The answer of an insertion.
///
/// # Errors
/// If it failed for another reason than that the id is taken.
pub(crate) fn created(
    inserted: Result<(), DatabaseFailure>,
) -> Result<CreateOutcome, DatabaseFailure> {
    match inserted {
        Ok(()) => Ok(CreateOutcome::Created),
        Err(failure) if failure.taken => Ok(CreateOutcome::Exists),
        Err(failure) => Err(failure),
    }
}

/// What the deletion of this row (id and head) ends. A row that can't be read may be alive.
pub(crate) fn removed<D: Dialect>(row: &D::Row, at: Instants) -> RemoveOutcome {
    row::read_head::<D>(row).map_or(RemoveOutcome::Removed, |record| {
        record.removal(None, at).outcome
    })
}
