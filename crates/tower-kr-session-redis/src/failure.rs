//! Failures of calls, told apart by what is known of their effect.

use std::{sync::Arc, time::Duration};

use redis::{ErrorKind, RedisError};
use tower_kr_session::StoreError;

/// A call without a usable answer.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Nothing was sent.
    #[error("{server} is down: {reason}")]
    Down { server: Arc<str>, reason: Arc<str> },
    /// It was sent and may have been done, so it must not be sent again.
    #[error("no answer from {server}, the outcome is unknown: {reason}")]
    Unknown { server: Arc<str>, reason: Arc<str> },
    /// The server refused it and did nothing.
    #[error("{server} refused the call: {error}")]
    Refused { server: Arc<str>, error: RedisError },
    /// The answer has an unexpected form.
    #[error("unexpected answer: {0}")]
    BadReply(&'static str),
}

impl Failure {
    /// Returns the code of the server's refusal, such as `NOSCRIPT`.
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

/// Describes an error of the client. Its messages hold no password, but its timeout names no
/// length.
pub(crate) fn reason(error: &RedisError, timeout: Duration) -> Arc<str> {
    if error.is_timeout() {
        format!("no answer within {timeout:?}").into()
    } else if error.kind() == ErrorKind::Parse {
        // The parser's own words take several lines.
        "it doesn't speak the protocol of Redis".into()
    } else {
        error.to_string().into()
    }
}
