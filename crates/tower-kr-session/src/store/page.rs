//! A walk through all sessions, page by page.

use std::{convert::Infallible, fmt, str::FromStr};

use super::{SessionSummary, StoreError};
use crate::model::SessionId;

/// A part of all live sessions.
///
/// A walk finds each session that lives all the time, and perhaps some that began or ended
/// meanwhile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page {
    /// The sessions, in an order of the store's. There may be none though others follow.
    pub sessions: Vec<SessionSummary>,
    /// Where the next page begins; `None` after the last one.
    pub next: Option<Cursor>,
}

impl Page {
    /// Creates a page.
    #[must_use]
    pub const fn new(sessions: Vec<SessionSummary>, next: Option<Cursor>) -> Self {
        Self { sessions, next }
    }
}

/// Where a walk through all sessions goes on: a short text that only the store understands. It
/// holds no secret, so it may stand in a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(String);

impl Cursor {
    /// Creates a cursor of the text that the store needs to go on.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the id of the last session of a page, in a store that walks in an order of ids.
    ///
    /// # Errors
    /// If the cursor is of another store.
    pub fn session_id(&self) -> Result<SessionId, StoreError> {
        self.0.parse().map_err(|_| StoreError::InvalidCursor)
    }
}

impl From<SessionId> for Cursor {
    fn from(last: SessionId) -> Self {
        Self(last.to_string())
    }
}

impl FromStr for Cursor {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self::new(text))
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_its_text() {
        let id = SessionId::from_bytes([1; 16]);
        for text in ["17".to_owned(), id.to_string()] {
            let cursor: Cursor = text.parse().unwrap();
            assert_eq!(cursor, Cursor::new(text.as_str()));
            assert_eq!(
                (cursor.as_str(), cursor.to_string()),
                (&*text, text.clone())
            );
            let of_session = cursor.session_id().ok();
            assert_eq!(of_session, (cursor == Cursor::from(id)).then_some(id));
        }
    }
}
