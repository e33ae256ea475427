//! A store that fails.

use tower_kr_session::{
    Owner, SessionId, SessionStore, SessionSummary, StoreError, Timestamp,
    store::{ApplyOutcome, CreateOutcome, Delta, Instants, Record, RemoveOutcome, SecretHash},
};

/// A store that answers nothing.
pub(crate) struct Down;

impl SessionStore for Down {
    async fn load(&self, _: SessionId, _: Timestamp) -> Result<Option<Record>, StoreError> {
        Err(StoreError::unavailable("down"))
    }

    async fn create(
        &self,
        _: SessionId,
        _: Record,
        _: Timestamp,
    ) -> Result<CreateOutcome, StoreError> {
        Err(StoreError::unavailable("down"))
    }

    async fn apply(
        &self,
        _: SessionId,
        _: &SecretHash,
        _: &Delta,
        _: Instants,
    ) -> Result<ApplyOutcome, StoreError> {
        Err(StoreError::unavailable("down"))
    }

    async fn remove(
        &self,
        _: SessionId,
        _: Option<&SecretHash>,
        _: Instants,
    ) -> Result<RemoveOutcome, StoreError> {
        Err(StoreError::unavailable("down"))
    }

    async fn list(&self, _: &Owner, _: Timestamp) -> Result<Vec<SessionSummary>, StoreError> {
        Err(StoreError::unavailable("down"))
    }

    async fn remove_owned(
        &self,
        _: &Owner,
        _: Option<SessionId>,
        _: Timestamp,
    ) -> Result<u64, StoreError> {
        Err(StoreError::unavailable("down"))
    }
}
