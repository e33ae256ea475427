//! Names of values in a session.

use std::{
    borrow::Borrow,
    fmt,
    hash::{Hash, Hasher},
    marker::PhantomData,
    str::FromStr,
    sync::Arc,
};

/// Longest key, in bytes of UTF-8.
pub const MAX_KEY_BYTES: usize = 256;

/// A key with the type of its value: `get(COUNTER)` knows what it returns.
///
/// ```
/// use tower_kr_session::SessionKey;
///
/// const COUNTER: SessionKey<i64> = SessionKey::new("counter");
/// assert_eq!(COUNTER.as_str(), "counter");
/// ```
///
/// A bad name doesn't compile where it is a constant:
///
/// ```compile_fail
/// # use tower_kr_session::SessionKey;
/// const BAD: SessionKey<i64> = SessionKey::new("line\nbreak");
/// ```
pub struct SessionKey<T> {
    name: &'static str,
    value: PhantomData<fn() -> T>,
}

impl<T> SessionKey<T> {
    /// A key of this name.
    ///
    /// # Panics
    /// If the name is empty, longer than [`MAX_KEY_BYTES`] or has a control character; in a constant that is an error of
    /// compilation.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        match check(name) {
            Ok(()) => Self {
                name,
                value: PhantomData,
            },
            Err(InvalidKey::Empty) => panic!("a session key must not be empty"),
            Err(InvalidKey::TooLong { .. }) => panic!("a session key has at most 256 bytes"),
            Err(InvalidKey::Control { .. }) => {
                panic!("a session key must not have control characters")
            }
        }
    }

    /// The name of the key.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        self.name
    }
}

impl<T> Clone for SessionKey<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for SessionKey<T> {}

impl<T> fmt::Debug for SessionKey<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SessionKey").field(&self.name).finish()
    }
}

/// Whatever names a value: [`SessionKey`], `&str`, `&String` or `&KeyBuf`. It is sealed: an application names keys with these.
pub trait KeyName: sealed::Sealed {
    /// The name, not yet checked.
    fn name(&self) -> &str;

    /// The name, checked.
    ///
    /// # Errors
    /// If the name is empty, too long or has a control character.
    fn check(&self) -> Result<&str, InvalidKey> {
        let name = self.name();
        check(name).map(|()| name)
    }

    /// The name, checked and owned.
    ///
    /// # Errors
    /// If the name is empty, too long or has a control character.
    fn to_key(&self) -> Result<KeyBuf, InvalidKey> {
        KeyBuf::new(self.name())
    }
}

mod sealed {
    pub trait Sealed {}

    impl<T> Sealed for super::SessionKey<T> {}
    impl Sealed for &str {}
    impl Sealed for &String {}
    impl Sealed for &super::KeyBuf {}
}

/// A [`KeyName`] whose value has the type `T`. Text can name a value of any type, a [`SessionKey`] just of its own.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no key of a session value of type `{T}`",
    note = "use a `SessionKey<{T}>`, a `&str` or a `&String`"
)]
pub trait Key<T>: KeyName {}

/// A [`KeyName`] at which a `V` can be put: for a `SessionKey<String>` also a `str`.
#[diagnostic::on_unimplemented(
    message = "a `{V}` can't be put at a key of type `{Self}`",
    note = "the value of a `SessionKey<T>` is a `&T`; a `&str` or a `&String` as key takes any type"
)]
pub trait InsertKey<V: ?Sized>: KeyName {}

impl<T: Borrow<V>, V: ?Sized> InsertKey<V> for SessionKey<T> {}

impl<V: ?Sized> InsertKey<V> for &str {}

impl<V: ?Sized> InsertKey<V> for &String {}

impl<V: ?Sized> InsertKey<V> for &KeyBuf {}

impl<T> KeyName for SessionKey<T> {
    fn name(&self) -> &str {
        self.name
    }

    // Checked by `new`.
    fn check(&self) -> Result<&str, InvalidKey> {
        Ok(self.name)
    }

    fn to_key(&self) -> Result<KeyBuf, InvalidKey> {
        Ok(KeyBuf(Repr::Static(self.name)))
    }
}

impl<T> Key<T> for SessionKey<T> {}

impl KeyName for &str {
    fn name(&self) -> &str {
        self
    }
}

impl<T> Key<T> for &str {}

impl KeyName for &String {
    fn name(&self) -> &str {
        self
    }
}

impl<T> Key<T> for &String {}

impl KeyName for &KeyBuf {
    fn name(&self) -> &str {
        self.as_str()
    }

    fn check(&self) -> Result<&str, InvalidKey> {
        Ok(self.as_str())
    }

    fn to_key(&self) -> Result<KeyBuf, InvalidKey> {
        Ok((*self).clone())
    }
}

impl<T> Key<T> for &KeyBuf {}

/// A key that is checked and owned; cheap to clone.
#[derive(Clone)]
pub struct KeyBuf(Repr);

#[derive(Clone)]
enum Repr {
    /// Most keys are constants: they cost no allocation.
    Static(&'static str),
    Shared(Arc<str>),
}

impl KeyBuf {
    /// A key of this name.
    ///
    /// # Errors
    /// If the name is empty, longer than [`MAX_KEY_BYTES`] or has a control character.
    pub fn new(name: &str) -> Result<Self, InvalidKey> {
        check(name)?;
        Ok(Self(Repr::Shared(name.into())))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Repr::Static(name) => name,
            Repr::Shared(name) => name,
        }
    }
}

impl Borrow<str> for KeyBuf {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for KeyBuf {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl FromStr for KeyBuf {
    type Err = InvalidKey;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::new(name)
    }
}

/// As the hash of its text, so that a map can be asked with a `&str`.
impl Hash for KeyBuf {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl PartialEq for KeyBuf {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for KeyBuf {}

impl PartialOrd for KeyBuf {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for KeyBuf {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl fmt::Debug for KeyBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl fmt::Display for KeyBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Error returned for an invalid key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidKey {
    /// The key has no characters.
    #[error("a session key must not be empty")]
    Empty,
    /// The key is longer than [`MAX_KEY_BYTES`].
    #[error(
        "a session key of {length} bytes is too long: at most {MAX_KEY_BYTES} bytes are allowed"
    )]
    TooLong {
        /// The length of the key, in bytes.
        length: usize,
    },
    /// The key has a control character (C0, DEL or C1).
    #[error("a session key must not have control characters: there is one at byte {position}")]
    Control {
        /// Where the character starts, in bytes from 0.
        position: usize,
    },
}

/// Works on bytes, since it runs in constants: control characters are 00-1F, 7F and, in UTF-8, C2 80-C2 9F.
const fn check(name: &str) -> Result<(), InvalidKey> {
    let bytes = name.as_bytes();
    if bytes.is_empty() {
        return Err(InvalidKey::Empty);
    }
    if bytes.len() > MAX_KEY_BYTES {
        return Err(InvalidKey::TooLong {
            length: bytes.len(),
        });
    }
    let mut position = 0;
    while position < bytes.len() {
        let byte = bytes[position];
        // A lead byte C2 is always followed by another byte: the text is UTF-8.
        if byte < 0x20 || byte == 0x7f || (byte == 0xc2 && bytes[position + 1] < 0xa0) {
            return Err(InvalidKey::Control { position });
        }
        position += 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_every_control_character_and_nothing_else() {
        for character in (0..0x3000).filter_map(char::from_u32) {
            let name = format!("a{character}");
            let expected = if character.is_control() {
                Err(InvalidKey::Control { position: 1 })
            } else {
                Ok(name.as_str())
            };
            assert_eq!(name.as_str().check(), expected, "{character:?}");
        }
    }

    #[test]
    fn length_counts_bytes() {
        assert!("é".repeat(128).as_str().check().is_ok());
        assert_eq!(
            KeyBuf::new(&"é".repeat(129)),
            Err(InvalidKey::TooLong { length: 258 })
        );
        assert_eq!("".check(), Err(InvalidKey::Empty));
    }
}
