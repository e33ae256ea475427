//! The store that an application had under tower-sessions, of either version.

use async_trait::async_trait;
use tower_kr_session::Timestamp;

use crate::{decide::RawId, values::Data};

/// A record of an old store.
pub(crate) struct OldRecord {
    pub(crate) data: Data,
    pub(crate) expires_at: Timestamp,
}

/// Any store of tower-sessions. Errors are texts, since the types of both versions differ.
#[async_trait]
pub(crate) trait OldStore: Send + Sync + 'static {
    async fn load(&self, id: RawId) -> Result<Option<OldRecord>, String>;

    async fn delete(&self, id: RawId) -> Result<(), String>;
}
