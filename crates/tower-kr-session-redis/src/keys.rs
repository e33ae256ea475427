//! Names of keys in Redis.

use tower_kr_session::{Owner, SessionId};

/// What all keys begin with. Two applications on one Redis take different ones.
pub(crate) struct Keys {
    prefix: String,
}

impl Keys {
    pub(crate) fn new(prefix: String) -> Self {
        Self { prefix }
    }

    /// The hash of a session.
    pub(crate) fn session(&self, id: SessionId) -> Vec<u8> {
        format!("{}session:{id}", self.prefix).into_bytes()
    }

    /// The index of an owner's sessions. The owner is the whole rest of the name, so no two owners share one.
    pub(crate) fn owner(&self, owner: &Owner) -> Vec<u8> {
        format!("{}owner:{owner}", self.prefix).into_bytes()
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }
}
