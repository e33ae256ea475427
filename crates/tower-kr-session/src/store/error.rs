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
    /// The store can't do what was asked, and never will: what that is.
    Unsupported(&'static str),
    /// The [cursor](crate::store::Cursor) is of another store.
    InvalidCursor,
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
            Self::Unsupported(what) => write!(f, "this session store can't {what}"),
            Self::InvalidCursor => {
                f.write_str("the cursor is not one of this session store: begin without one")
            }
        }
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Unavailable(failure) => Some(&*failure.0),
            _ => None,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_is_down_says_why() {
        let down = StoreError::unavailable("connection refused");
        let source = down.source().unwrap().to_string();
        assert_eq!(source, "connection refused");
        let debug = format!("{down:?}");
        assert_eq!(debug, r#"Unavailable("connection refused")"#);
        assert!(StoreError::TimedOut.source().is_none());
    }
}
