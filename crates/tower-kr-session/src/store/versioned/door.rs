//! The small door: three calls on versioned bytes, and the types that they take.

use std::{
    fmt,
    future::Future,
    hash::{Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use rand::Rng;
use sha2::{Digest, Sha256};

use crate::{
    model::{Owner, SessionId},
    store::StoreError,
};

/// Keeps versioned bytes: a database with compare-and-set.
///
/// [`Versioned`](super::Versioned) makes a [`SessionStore`](crate::SessionStore) of it. What
/// follows is everything that an implementation promises; no session is lost or outlives its
/// revocation as long as it keeps these promises.
///
/// - **Each call is one atomic step.** A [`get`](Self::get) that begins after a write has returned
///   sees that write: it reads the primary, or asks for a consistent read.
/// - **A version never comes back** for the same key, not even after a deletion. A counter that is
///   kept with the key alone starts anew when the key is deleted; a counter of the whole store, a
///   number of the transaction or [`Version::random`] does not.
/// - **`Ok(false)` means that this call wrote nothing**, and never will. A client that repeats a
///   call by itself after a lost answer must have that switched off: the second attempt would find
///   the first one's version, answer `false`, and an increment would count twice.
/// - **An error means that the outcome is unknown.** The call is not repeated.
/// - **A call may be dropped at any point.** Its outcome is then unknown too.
/// - **A value comes back byte for byte**, and is kept for at least its `keep_for`, unless it is
///   overwritten or deleted. Afterwards the time to live of the database, or a task of the store,
///   removes it; no call depends on when.
///
/// Calls must end: the layer drops a call after its I/O timeout.
///
/// ```
/// use std::{collections::HashMap, sync::{Mutex, PoisonError}, time::Duration};
///
/// use bytes::Bytes;
/// use tower_kr_session::{
///     SessionLayer, StoreError,
///     store::{StoreKey, StoreValue, Version, Versioned, VersionedStore},
/// };
///
/// /// It never forgets: a real one keeps the time until which each value is wanted.
/// #[derive(Default)]
/// struct MapStore(Mutex<HashMap<StoreKey, (Version, Bytes)>>);
///
/// impl VersionedStore for MapStore {
///     async fn get(&self, key: &StoreKey) -> Result<Option<(Version, Bytes)>, StoreError> {
///         let map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
///         Ok(map.get(key).cloned())
///     }
///
///     async fn put_if(
///         &self,
///         key: &StoreKey,
///         expected: Option<Version>,
///         value: StoreValue,
///         _keep_for: Duration,
///     ) -> Result<bool, StoreError> {
///         let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
///         let matches = map.get(key).map(|(version, _)| version) == expected.as_ref();
///         if matches {
///             map.insert(*key, (Version::random(), value.bytes));
///         }
///         Ok(matches)
///     }
///
///     async fn delete_if(&self, key: &StoreKey, expected: Version) -> Result<bool, StoreError> {
///         let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
///         let matches = map.get(key).is_some_and(|(version, _)| *version == expected);
///         if matches {
///             map.remove(key);
///         }
///         Ok(matches)
///     }
/// }
///
/// let layer = SessionLayer::new(Versioned::new(MapStore::default()));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no store of versioned bytes",
    note = "implement `VersionedStore` for it, and give its value or an `Arc` of it to `Versioned::new`"
)]
pub trait VersionedStore: Send + Sync + 'static {
    /// Returns the value at this key, and its version.
    ///
    /// # Errors
    /// If the store can't answer.
    fn get(
        &self,
        key: &StoreKey,
    ) -> impl Future<Output = Result<Option<(Version, Bytes)>, StoreError>> + Send;

    /// Writes the value if the key has the expected version (`None`: if there is no such key),
    /// gives it a new version and keeps it for at least `keep_for` from now. Returns whether it was
    /// written.
    ///
    /// `keep_for` ends [`RECLAIM_GRACE`](crate::store::RECLAIM_GRACE) after the session is dead.
    ///
    /// # Errors
    /// If the store can't answer: the value may or may not be written.
    fn put_if(
        &self,
        key: &StoreKey,
        expected: Option<Version>,
        value: StoreValue,
        keep_for: Duration,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Deletes the key if it has the expected version. Returns whether it was deleted.
    ///
    /// # Errors
    /// If the store can't answer: the key may or may not be gone.
    fn delete_if(
        &self,
        key: &StoreKey,
        expected: Version,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Returns up to `most` ids of sessions ([`StoreKey::session_id`]) in the order of ids, after
    /// this one. With it administrators [count](crate::Sessions::count) sessions and [go
    /// through](crate::Sessions::page) all of them.
    ///
    /// By default the store can't. Override it if it can, without holding up other calls.
    ///
    /// # Errors
    /// If the store can't do that, or can't answer.
    fn session_ids(
        &self,
        after: Option<SessionId>,
        most: usize,
    ) -> impl Future<Output = Result<Vec<SessionId>, StoreError>> + Send {
        let _ = (after, most);
        async { Err(StoreError::Unsupported("go through all sessions")) }
    }

    /// The largest value that the store can keep, in bytes; `None`, the default, if it sets no
    /// limit. A layer whose sessions may become larger is misconfigured and says so at start. Below
    /// about 140,000 bytes a user can have fewer than 4,096 sessions, each of which takes 33 bytes
    /// of one value.
    fn largest_value(&self) -> Option<u64> {
        None
    }

    /// Whether the store may drop a value before its time, to make room. Default: `false`.
    ///
    /// It may drop any of them: with each use of a user's session the adapter then makes sure that
    /// the index of the user's sessions still lists it, so that no session escapes a revocation
    /// because its entry was dropped. That is one more [`get`](Self::get).
    fn may_evict(&self) -> bool {
        false
    }
}

impl<S: VersionedStore> VersionedStore for Arc<S> {
    async fn get(&self, key: &StoreKey) -> Result<Option<(Version, Bytes)>, StoreError> {
        (**self).get(key).await
    }

    async fn put_if(
        &self,
        key: &StoreKey,
        expected: Option<Version>,
        value: StoreValue,
        keep_for: Duration,
    ) -> Result<bool, StoreError> {
        (**self).put_if(key, expected, value, keep_for).await
    }

    async fn delete_if(&self, key: &StoreKey, expected: Version) -> Result<bool, StoreError> {
        (**self).delete_if(key, expected).await
    }

    fn session_ids(
        &self,
        after: Option<SessionId>,
        most: usize,
    ) -> impl Future<Output = Result<Vec<SessionId>, StoreError>> + Send {
        (**self).session_ids(after, most)
    }

    fn largest_value(&self) -> Option<u64> {
        (**self).largest_value()
    }

    fn may_evict(&self) -> bool {
        (**self).may_evict()
    }
}

/// Where a value is kept: a session, or the index of a user's sessions.
///
/// As text ([`Display`](fmt::Display)) it has 38 or 66 characters, all of them lower-case letters,
/// digits or `-`, and is the same in every process. A user's id is not in it, but its SHA-256 is.
///
/// ```
/// use tower_kr_session::{Owner, SessionId, store::StoreKey};
///
/// let id: SessionId = "01890a5d-ac96-774b-bcce-b302099a8057".parse()?;
/// assert_eq!(StoreKey::session(id).to_string(), "s-01890a5d-ac96-774b-bcce-b302099a8057");
/// let owner: Owner = "max".parse()?;
/// assert!(StoreKey::owner(&owner).to_string().starts_with("o-9baf3a40"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct StoreKey(Place);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Session(SessionId),
    Owner([u8; 32]),
}

impl StoreKey {
    /// The most characters that a key has as text.
    pub const MAX_LENGTH: usize = 66;

    /// The key of a session's record.
    #[must_use]
    pub const fn session(id: SessionId) -> Self {
        Self(Place::Session(id))
    }

    /// The key of the index of a user's sessions.
    #[must_use]
    pub fn owner(owner: &Owner) -> Self {
        Self(Place::Owner(Sha256::digest(owner.as_str()).into()))
    }

    /// Bytes that are spread evenly over keys. The head of an id is a timestamp.
    fn tail(&self) -> [u8; 8] {
        let tail = match &self.0 {
            Place::Session(id) => id.as_bytes().last_chunk(),
            Place::Owner(hash) => hash.last_chunk(),
        };
        tail.copied().unwrap_or_default()
    }

    /// Chooses one of several locks.
    pub(crate) fn choose<'a, T>(&self, from: &'a [T]) -> &'a T {
        &from[usize::from(self.tail()[7]) % from.len()]
    }

    /// The session whose record is kept at this key, if it is not the key of an index.
    #[must_use]
    pub const fn session_id(&self) -> Option<SessionId> {
        match self.0 {
            Place::Session(id) => Some(id),
            Place::Owner(_) => None,
        }
    }
}

/// By a few bytes: they differ where keys do, and nobody but this process and its peers draws ids.
impl Hash for StoreKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(u64::from_le_bytes(self.tail()));
    }
}

impl fmt::Display for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Session(id) => write!(f, "s-{id}"),
            Place::Owner(hash) => {
                f.write_str("o-")?;
                hash.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
    }
}

impl fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreKey({self})")
    }
}

/// Which writing of a key a value comes from: bytes that only the store understands.
///
/// ```
/// use tower_kr_session::store::Version;
///
/// assert_eq!(Version::from(7).as_u64(), Some(7));
/// let tag = Version::from_bytes("\"0x8DB5F0C7\"");
/// assert_eq!(tag.as_bytes(), b"\"0x8DB5F0C7\"");
/// ```
#[derive(Clone)]
pub struct Version(Form);

/// A number of 64 bits is what most databases have; it needs no allocation.
#[derive(Clone)]
enum Form {
    Number([u8; 8]),
    Other(Bytes),
}

impl Version {
    /// The version of these bytes, for a database whose versions are text or long.
    #[must_use]
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self(match <[u8; 8]>::try_from(&*bytes) {
            Ok(number) => Form::Number(number),
            Err(_) => Form::Other(bytes),
        })
    }

    /// A version of 64 random bits, for a database that has none of its own: written beside the
    /// value, it comes back with a probability of 2^-64.
    #[must_use]
    pub fn random() -> Self {
        let mut bytes = [0; 8];
        rand::rng().fill_bytes(&mut bytes);
        Self(Form::Number(bytes))
    }

    /// The bytes of the version; of a number the eight bytes, the highest first.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Form::Number(bytes) => bytes,
            Form::Other(bytes) => bytes,
        }
    }

    /// The number of a version of eight bytes.
    #[must_use]
    pub const fn as_u64(&self) -> Option<u64> {
        match self.0 {
            Form::Number(bytes) => Some(u64::from_be_bytes(bytes)),
            Form::Other(_) => None,
        }
    }
}

impl From<u64> for Version {
    fn from(number: u64) -> Self {
        Self(Form::Number(number.to_be_bytes()))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Version {}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Version({:?})", self.as_bytes())
    }
}

/// What to keep at a key.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreValue {
    /// The bytes to keep.
    pub bytes: Bytes,
    /// Whose bytes they are. A store without bounds ignores it.
    pub class: ValueClass,
}

impl StoreValue {
    /// These bytes of this class.
    #[must_use]
    pub fn new(bytes: impl Into<Bytes>, class: ValueClass) -> Self {
        Self {
            bytes: bytes.into(),
            class,
        }
    }
}

impl fmt::Debug for StoreValue {
    /// Shows the length only: the values of a session may be private.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "StoreValue({} bytes, {:?})",
            self.bytes.len(),
            self.class
        )
    }
}

/// Whose bytes a value is: a bounded store gives anonymous sessions a share of their own, so that a
/// flood of visitors can't push out the sessions of users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ValueClass {
    /// A session without an owner. It may become [`Owned`](Self::Owned), never the other way.
    Anonymous,
    /// A session of a user who signed in.
    Owned,
    /// The index of a user's sessions.
    Index,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_short_and_of_a_safe_alphabet() {
        let owner = Owner::new("'; DROP TABLE sessions; --\u{0}\u{1f36a}").unwrap();
        let id = SessionId::from_bytes([0xff; 16]);
        for key in [StoreKey::owner(&owner), StoreKey::session(id)] {
            let text = key.to_string();
            assert!(text.len() <= StoreKey::MAX_LENGTH, "{text}");
            let safe = |char: char| matches!(char, 'a'..='z' | '0'..='9' | '-');
            assert!(text.chars().all(safe), "{text}");
        }
        assert_eq!(StoreKey::session(id).session_id(), Some(id));
        assert_eq!(StoreKey::owner(&owner).session_id(), None);
    }

    #[test]
    fn versions_are_equal_if_their_bytes_are() {
        assert_eq!(
            Version::from(1),
            Version::from_bytes(vec![0, 0, 0, 0, 0, 0, 0, 1])
        );
        assert_ne!(Version::from(1), Version::from_bytes("1"));
        assert_eq!(Version::from_bytes("1").as_u64(), None);
        assert_eq!(Version::from(1).as_u64(), Some(1));
        assert_ne!(Version::random(), Version::random());
    }

    #[test]
    fn debug_shows_no_value() {
        let value = StoreValue::new("secret", ValueClass::Owned);
        assert_eq!(format!("{value:?}"), "StoreValue(6 bytes, Owned)");
        let key = StoreKey::session(SessionId::from_bytes([1; 16]));
        assert_eq!(format!("{key:?}"), format!("StoreKey({key})"));
        assert_eq!(format!("{:?}", Version::from_bytes("1")), "Version([49])");
    }
}
