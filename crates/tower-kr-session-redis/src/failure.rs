//! Why a call got no answer.

use std::{sync::Arc, time::Duration};

use redis::RedisError;
use tower_kr_session::StoreError;

/// Why a call got no answer, told apart by what is known of its effect.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Nothing was sent.
    #[error("{server} is down: {reason}")]
    Down { server: Arc<str>, reason: Arc<str> },
    /// It was sent, and nobody knows what became of it. It must not be sent again.
    #[error("no answer from {server}, the outcome is unknown: {reason}")]
    Unknown { server: Arc<str>, reason: Arc<str> },
    /// The server refused it, and did nothing.
    #[error("{server} refused the call: {error}")]
    Refused { server: Arc<str>, error: RedisError },
    /// The server answered what no server of ours does.
    #[error("an answer that can't be understood: {0}")]
    BadReply(&'static str),
}

impl Failure {
    /// The code of the server's refusal, such as `NOSCRIPT`.
    pub(crate) fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { error, .. } => error.code(),
            _ => None,
        }
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        Self::unavailable(failure)
    }
}

/// What went wrong, in words. The client's own errors name no password, but a timeout only says "timed out".
pub(crate) fn reason(error: &RedisError, timeout: Duration) -> Arc<str> {
    if error.is_timeout() {
        format!("no answer within {timeout:?}").into()
    } else {
        error.to_string().into()
    }
}
