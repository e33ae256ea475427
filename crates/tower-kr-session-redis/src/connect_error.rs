//! Errors of setting up a store.

/// Error returned when a store can't be set up. No message holds a password.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL can't be used.
    #[error("bad Redis URL: {reason}")]
    InvalidUrl {
        /// What is wrong with it.
        reason: String,
    },
    /// A setting can't be used.
    #[error("bad setting of the Redis store: {reason}")]
    InvalidSetting {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// There is no server at this address, or it doesn't answer.
    #[error("can't reach Redis at {server}: {reason}")]
    Unreachable {
        /// The address.
        server: String,
        /// What happened.
        reason: String,
    },
    /// The server refuses the user name or the password, or the user lacks a right.
    #[error("Redis at {server} denies access: {reason}")]
    Denied {
        /// The address.
        server: String,
        /// What the server said.
        reason: String,
    },
    /// There are no credentials to connect with.
    #[error("no credentials for Redis at {server}: {reason}")]
    NoCredentials {
        /// The address.
        server: String,
        /// What [`credentials`](crate::RedisStoreBuilder::credentials) said instead.
        reason: String,
    },
    /// The server takes no writes: it follows another one.
    #[error("Redis at {server} is a read-only replica; name its primary")]
    Replica {
        /// The address.
        server: String,
    },
    /// The server can't keep sessions.
    #[error("Redis at {server} can't keep sessions: {reason}")]
    Unsuitable {
        /// The address.
        server: String,
        /// Why not.
        reason: String,
    },
}

impl ConnectError {
    /// Whether it comes back until somebody changes something.
    pub(crate) fn lasts(&self) -> bool {
        !matches!(self, Self::Unreachable { .. } | Self::Replica { .. })
    }
}
