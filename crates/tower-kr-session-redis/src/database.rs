//! Holds what every call needs: the servers and the names of the keys.

use crate::{keys::Keys, nonces::Nonces, servers::Servers};

pub(crate) struct Database {
    pub(crate) servers: Servers,
    pub(crate) keys: Keys,
    pub(crate) nonces: Nonces,
    /// The servers' addresses, without credentials.
    pub(crate) description: String,
}

impl Database {
    pub(crate) fn new(servers: Servers, prefix: String, description: String) -> Self {
        Self {
            servers,
            keys: Keys::new(prefix),
            nonces: Nonces::new(),
            description,
        }
    }
}
