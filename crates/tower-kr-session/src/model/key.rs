//! Keys: the names of values in a session.

use std::{
    borrow::{Borrow, Cow},
    fmt,
    hash::{Hash, Hasher},
    marker::PhantomData,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};

/// The longest key, in bytes of UTF-8.
pub const MAX_KEY_BYTES: usize = 256;

/// A key that knows the type of its value, so `get(COUNTER)` knows what it returns.
///
/// ```
/// use tower_kr_session::SessionKey;
///
/// const COUNTER: SessionKey<i64> = SessionKey::new("counter");
/// assert_eq!(COUNTER.as_str(), "counter");
/// ```
///
/// In a constant, an invalid name doesn't compile:
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
    /// Creates a key of this name.
    ///
    /// # Panics
    /// If the name is empty, longer than [`MAX_KEY_BYTES`] or has a control character. In a
    /// constant, that is a compile error.
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

    /// Returns the name of the key.
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

/// A type that names a value: [`SessionKey`], `&str`, `&String` or `&KeyBuf`. This trait is sealed.
pub trait KeyName: sealed::Sealed {
    /// Returns the name, unchecked.
    fn name(&self) -> &str;

    /// Checks the name and returns it.
    ///
    /// # Errors
    /// If the name is empty, too long or has a control character.
    fn check(&self) -> Result<&str, InvalidKey> {
        let name = self.name();
        check(name).map(|()| name)
    }

    /// Checks the name and returns it as an owned key.
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

/// A [`KeyName`] for values of type `T`. Text can name a value of any type, a [`SessionKey`] only
/// of its own.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no key of a session value of type `{T}`",
    note = "use a `SessionKey<{T}>`, a `&str` or a `&String`"
)]
pub trait Key<T>: KeyName {}

/// A [`KeyName`] at which a `V` can be inserted: for a `SessionKey<String>` also a `str`, and so
/// for other types that own what they borrow.
#[diagnostic::on_unimplemented(
    message = "a `{V}` can't be put at a key of type `{Self}`",
    label = "this key is for values of another type than `{V}`",
    note = "at a `SessionKey<T>` insert a `&T`; at a `&str` or a `&String`, a reference to any value"
)]
pub trait InsertKey<V: ?Sized>: KeyName {}

// One by one and not for each `T: Borrow<V>`: of a bound the compiler would tell, not of the key.
impl<T> InsertKey<T> for SessionKey<T> {}

impl InsertKey<str> for SessionKey<String> {}

impl<T> InsertKey<[T]> for SessionKey<Vec<T>> {}

impl<T, const N: usize> InsertKey<[T]> for SessionKey<[T; N]> {}

impl<T: ?Sized> InsertKey<T> for SessionKey<Box<T>> {}

impl<T: ?Sized> InsertKey<T> for SessionKey<Arc<T>> {}

impl<T: ToOwned + ?Sized> InsertKey<T> for SessionKey<Cow<'_, T>> {}

impl InsertKey<Path> for SessionKey<PathBuf> {}

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

/// An owned, checked key; cheap to clone.
#[derive(Clone)]
pub struct KeyBuf(Repr);

#[derive(Clone)]
enum Repr {
    /// Most keys are constants, which cost no allocation.
    Static(&'static str),
    Shared(Arc<str>),
}

impl KeyBuf {
    /// Creates a key of this name.
    ///
    /// # Errors
    /// If the name is empty, longer than [`MAX_KEY_BYTES`] or has a control character.
    pub fn new(name: &str) -> Result<Self, InvalidKey> {
        check(name)?;
        Ok(Self(Repr::Shared(name.into())))
    }

    /// Returns the name.
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

/// Hashes like its text, so that a map can be searched with a `&str`.
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

/// Checks a name. Works on bytes, since it runs in constants: control characters are 00-1F, 7F and,
/// in UTF-8, C2 80-C2 9F.
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
    use std::{cmp::Ordering, collections::HashSet};

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

    #[test]
    fn every_kind_of_key_has_its_name() {
        fn names(key: impl KeyName) -> [String; 3] {
            let checked = key.check().unwrap().to_owned();
            [
                key.name().to_owned(),
                checked,
                key.to_key().unwrap().to_string(),
            ]
        }
        let owned = KeyBuf::new("a").unwrap();
        assert_eq!(SessionKey::<()>::new("a").as_str(), "a");
        assert_eq!(names(SessionKey::<()>::new("a")), ["a"; 3]);
        assert_eq!(names("a"), ["a"; 3]);
        assert_eq!(names(&"a".to_owned()), ["a"; 3]);
        assert_eq!(names(&owned), ["a"; 3]);
        let (as_ref, borrowed): (&str, &str) = (owned.as_ref(), owned.borrow());
        assert_eq!((as_ref, borrowed), ("a", "a"));
        let debug = format!("{owned:?} {:?}", SessionKey::<()>::new("a"));
        assert_eq!(debug, r#""a" SessionKey("a")"#);
    }

    #[test]
    fn keys_are_sorted_hashed_and_found_like_their_text() {
        let [constant, owned] = [SessionKey::<()>::new("b").to_key(), KeyBuf::new("b")];
        let keys = HashSet::from([constant.unwrap()]);
        assert!(keys.contains(&owned.clone().unwrap()));
        assert!(keys.contains("b"));
        let first = KeyBuf::new("a").unwrap();
        assert_eq!(first.partial_cmp(&owned.unwrap()), Some(Ordering::Less));
    }
}
