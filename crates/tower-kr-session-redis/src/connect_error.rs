//! What can be wrong at start.

/// Why a store could not be set up. No message holds a password.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL is none that this crate understands.
    #[error("bad Redis URL: {reason}")]
    InvalidUrl {
        /// What is wrong with it.
        reason: String,
    },
    /// A setting makes no sense.
    #[error("bad setting of the Redis store: {reason}")]
    InvalidSetting {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// There is no server, or it doesn't answer.
    #[error("can't reach Redis at {server}: {reason}")]
    Unreachable {
        /// The address.
        server: String,
        /// What happened instead.
        reason: String,
    },
    /// The server doesn't accept the user name or the password, or the user may not do what a store does.
    #[error("Redis at {server} denies access: {reason}")]
    Denied {
        /// The address.
        server: String,
        /// What the server said.
        reason: String,
    },
    /// There is a server, but it can't keep sessions.
    #[error("Redis at {server} can't keep sessions: {reason}")]
    Unsuitable {
        /// The address.
        server: String,
        /// Why not.
        reason: String,
    },
}
