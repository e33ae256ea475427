//! Names the keys in Redis.

use std::{fmt::Display, io::Write};

use tower_kr_session::{Owner, SessionId};

/// Names keys with the store's prefix.
pub(crate) struct Keys {
    prefix: String,
}

impl Keys {
    pub(crate) fn new(prefix: String) -> Self {
        Self { prefix }
    }

    /// Names the hash of a session.
    pub(crate) fn session(&self, id: SessionId) -> Vec<u8> {
        self.name("session:", id)
    }

    /// Names the index of an owner's sessions. The owner is the whole rest of the name, so no two
    /// owners share one.
    pub(crate) fn owner(&self, owner: &Owner) -> Vec<u8> {
        self.name("owner:", owner)
    }

    fn name(&self, kind: &str, what: impl Display) -> Vec<u8> {
        /// The length of a session id.
        const USUAL: usize = 36;
        let mut name = Vec::with_capacity(self.prefix.len() + kind.len() + USUAL);
        name.extend(self.prefix.as_bytes());
        name.extend(kind.as_bytes());
        write!(name, "{what}").expect("a vector takes any text");
        name
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }
}
