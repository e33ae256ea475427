//! The owner of a session: the application's user id.

use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The longest owner, in bytes of UTF-8.
pub const MAX_OWNER_BYTES: usize = 256;

/// The application's id of the user who signed in, to list and revoke their sessions.
///
/// It is any text of 1 to 256 bytes, and opaque to a store. It is written once per session id.
///
/// ```
/// use tower_kr_session::Owner;
///
/// let owner: Owner = "max".parse()?;
/// assert_eq!(owner.as_str(), "max");
/// # Ok::<(), tower_kr_session::InvalidOwner>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner(Arc<str>);

impl Owner {
    /// Creates the owner from a user id.
    ///
    /// # Errors
    /// If the id is empty or longer than [`MAX_OWNER_BYTES`].
    pub fn new(id: &str) -> Result<Self, InvalidOwner> {
        match id.len() {
            0 => Err(InvalidOwner::Empty),
            length if length > MAX_OWNER_BYTES => Err(InvalidOwner::TooLong { length }),
            _ => Ok(Self(id.into())),
        }
    }

    /// Returns the user id as the application gave it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Owner {
    type Err = InvalidOwner;

    fn from_str(id: &str) -> Result<Self, Self::Err> {
        Self::new(id)
    }
}

impl AsRef<str> for Owner {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for Owner {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl Serialize for Owner {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Owner {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let id = <std::borrow::Cow<'_, str>>::deserialize(deserializer)?;
        Self::new(&id).map_err(de::Error::custom)
    }
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Owner").field(&self.as_str()).finish()
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Error returned for an invalid owner.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidOwner {
    /// The id has no characters.
    #[error("the owner of a session must not be empty")]
    Empty,
    /// The id is longer than [`MAX_OWNER_BYTES`].
    #[error("an owner of {length} bytes is too long: at most {MAX_OWNER_BYTES} bytes are allowed")]
    TooLong {
        /// The length of the id, in bytes.
        length: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_its_id() {
        let owner = Owner::new("max").unwrap();
        let (as_ref, borrowed): (&str, &str) = (owner.as_ref(), owner.borrow());
        assert_eq!((as_ref, borrowed), ("max", "max"));
        assert_eq!(format!("{owner} {owner:?}"), r#"max Owner("max")"#);
    }
}
