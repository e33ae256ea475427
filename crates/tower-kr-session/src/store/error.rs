//! Errors of stores.

use std::{error::Error, fmt, sync::Arc};

/// The reason why a store gave no answer.
///
/// Its message is for operators; a client only ever sees the status 503.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum StoreError {
    /// The store is down, or the outcome of the call is unknown.
    Unavailable(StoreFailure),
    /// The call took longer than the I/O timeout.
    TimedOut,
    /// A later release wrote the record, which is kept.
    UnknownVersion {
        /// The format version of the record.
        version: u8,
    },
}

impl StoreError {
    /// Wraps the error of a store that is down, or whose call has an unknown outcome. The message
    /// must not hold secrets, such as a password in a URL.
    pub fn unavailable(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unavailable(StoreFailure(Arc::from(source.into())))
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(failure) => {
                write!(f, "the session store is unavailable: {}", failure.0)
            }
            Self::TimedOut => {
                f.write_str("the session store did not answer within the I/O timeout")
            }
            Self::UnknownVersion { version } => write!(
                f,
                "the session was stored by a later release (format version {version})"
            ),
        }
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Unavailable(failure) => Some(&*failure.0),
            Self::TimedOut | Self::UnknownVersion { .. } => None,
        }
    }
}

/// A store's own error.
#[derive(Clone)]
pub struct StoreFailure(Arc<dyn Error + Send + Sync>);

impl fmt::Debug for StoreFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
