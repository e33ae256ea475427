//! Why a store gave no answer.

use std::{error::Error, fmt, sync::Arc};

/// Why a store gave no answer.
///
/// It shows its message to operators; a client only ever sees the status 503.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum StoreError {
    /// The store is down, or it is unknown whether it did what it was told.
    Unavailable(StoreFailure),
    /// The call took longer than the I/O timeout.
    TimedOut,
    /// The record was written by a later release; it is kept.
    UnknownVersion {
        /// The version that the record names.
        version: u8,
    },
}

impl StoreError {
    /// A store that is down or didn't say what became of a call. The message must not hold secrets (a password in a URL).
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
