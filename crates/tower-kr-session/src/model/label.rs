//! What a user calls a session in a list of theirs.

use std::{fmt, sync::Arc};

/// The longest label, in bytes of UTF-8.
pub const MAX_LABEL_BYTES: usize = 256;

/// What a user sees of a session in the list of their devices, such as "Firefox on Linux".
///
/// It is any text of 1 to 256 bytes, which the application gives at a sign-in
/// ([`Session::sign_in_with_label`](crate::Session::sign_in_with_label)). It is shown to people, so
/// make it of what was recognised in the `User-Agent`, never of the header itself.
///
/// ```
/// use tower_kr_session::Label;
///
/// let label = Label::new("Firefox on Linux")?;
/// assert_eq!(label.as_str(), "Firefox on Linux");
/// # Ok::<(), tower_kr_session::InvalidLabel>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label(Arc<str>);

impl Label {
    /// Creates the label of this text.
    ///
    /// # Errors
    /// If the text is empty or longer than 256 bytes.
    pub fn new(text: &str) -> Result<Self, InvalidLabel> {
        match text.len() {
            0 => Err(InvalidLabel::Empty),
            length if length > MAX_LABEL_BYTES => Err(InvalidLabel::TooLong { length }),
            _ => Ok(Self(text.into())),
        }
    }

    /// Returns the text as the application gave it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Label").field(&self.as_str()).finish()
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Error returned for an invalid label.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidLabel {
    /// The text has no characters.
    #[error("the label of a session must not be empty: sign in without one instead")]
    Empty,
    /// The text is longer than [`MAX_LABEL_BYTES`].
    #[error("a label of {length} bytes is too long: at most {MAX_LABEL_BYTES} bytes are allowed")]
    TooLong {
        /// The length of the text, in bytes.
        length: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_its_text() {
        let label = Label::new("Firefox on Linux").unwrap();
        let shown = format!("{label} {label:?}");
        assert_eq!(shown, r#"Firefox on Linux Label("Firefox on Linux")"#);
        assert_eq!(Label::new(""), Err(InvalidLabel::Empty));
        assert!(Label::new(&"x".repeat(256)).is_ok());
        let too_long = Label::new(&"x".repeat(257));
        assert_eq!(too_long, Err(InvalidLabel::TooLong { length: 257 }));
    }
}
