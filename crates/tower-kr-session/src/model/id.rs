//! The public id of a session, the token that proves it, and the hash of its secret that a store
//! keeps.

use std::{fmt, str::FromStr};

use rand::Rng;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use uuid::{Builder, Uuid};

use super::{
    clock::Timestamp,
    token_text::{TOKEN_BYTES, TokenText},
};

const ID_BYTES: usize = 16;
const SECRET_BYTES: usize = TOKEN_BYTES - ID_BYTES;

/// The public handle of a session, a UUIDv7 (RFC 9562, section 5.7).
///
/// It is not a secret: it may be logged, listed and shown in an admin page. Knowing it opens no
/// session.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(Uuid);

impl SessionId {
    /// Generates a new id: the time in its head, 74 random bits in its tail.
    #[must_use]
    pub fn generate(now: Timestamp) -> Self {
        let millis = u64::try_from(now.as_unix_millis()).unwrap_or(0);
        let mut tail = [0; 10];
        rand::rng().fill_bytes(&mut tail);
        Self(Builder::from_unix_timestamp_millis(millis, &tail).into_uuid())
    }

    /// Creates the id from the bytes that a store kept.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; ID_BYTES]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// Returns the bytes of the id, for a store to keep.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; ID_BYTES] {
        self.0.as_bytes()
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({})", self.0)
    }
}

impl FromStr for SessionId {
    type Err = InvalidSessionId;

    /// Reads the id as [`Display`](fmt::Display) writes it.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::try_parse(text)
            .map(Self)
            .map_err(|_| InvalidSessionId(()))
    }
}

/// Serializes as text, in the form of [`Display`](fmt::Display), for JSON, forms and paths.
impl Serialize for SessionId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SessionId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'_, str>>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// Error returned for a text that isn't a session id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a session id: expected a UUID such as 01890a5d-ac96-774b-bcce-b302099a8057")]
pub struct InvalidSessionId(());

/// A decoded token: the id of the session, and the hash of the secret. The secret itself is not
/// kept.
///
/// The name of the cookie goes into the hash too. So a layer never takes a token of another layer
/// on the same store, whose cookie has another name.
#[derive(Clone, Copy)]
pub(crate) struct Token {
    id: SessionId,
    secret_hash: SecretHash,
}

impl Token {
    /// Reads the bytes of a token: the id, followed by 256 random secret bits.
    fn of_bytes(bytes: &[u8; TOKEN_BYTES], cookie_name: &str) -> Self {
        let mut id = [0; ID_BYTES];
        id.copy_from_slice(&bytes[..ID_BYTES]);
        Self {
            id: SessionId::from_bytes(id),
            secret_hash: SecretHash::of(&bytes[ID_BYTES..], cookie_name),
        }
    }

    pub(crate) fn decode(text: &TokenText, cookie_name: &str) -> Self {
        Self::of_bytes(&text.to_bytes(), cookie_name)
    }

    /// Returns the id in a token, at a fraction of the cost of reading all of it.
    pub(crate) fn id_of(text: &TokenText) -> SessionId {
        let head = text.head();
        let mut id = [0; ID_BYTES];
        id.copy_from_slice(&head[..ID_BYTES]);
        SessionId::from_bytes(id)
    }

    /// Returns a token of the same session with a new secret.
    pub(crate) fn rotated(&self, cookie_name: &str) -> NewToken {
        NewToken::new(self.id, cookie_name)
    }

    pub(crate) const fn id(&self) -> SessionId {
        self.id
    }

    pub(crate) const fn secret_hash(&self) -> &SecretHash {
        &self.secret_hash
    }
}

/// A new token, with the text for the client's cookie. The text never reaches a store, a log or an
/// error: only [`SecretHash`] leaves this crate.
pub(crate) struct NewToken {
    pub(crate) token: Token,
    pub(crate) text: TokenText,
}

impl NewToken {
    /// Generates the token of a new session.
    pub(crate) fn generate(now: Timestamp, cookie_name: &str) -> Self {
        Self::new(SessionId::generate(now), cookie_name)
    }

    fn new(id: SessionId, cookie_name: &str) -> Self {
        let mut bytes = [0; TOKEN_BYTES];
        bytes[..ID_BYTES].copy_from_slice(id.as_bytes());
        rand::rng().fill_bytes(&mut bytes[ID_BYTES..]);
        Self::of_bytes(&bytes, cookie_name)
    }

    /// Derives the token of a session that was another layer's, from its secret there.
    ///
    /// Half of the derived secret is a mark that follows from the rest: it adds nothing to the 128
    /// bits that the old secret had, and tells a derived token from a random one.
    pub(crate) fn derive(old_secret: &[u8], cookie_name: &str) -> Self {
        let id = derive("id", cookie_name, old_secret);
        let id = Builder::from_custom_bytes(id).into_uuid();
        let half = derive("secret", cookie_name, old_secret);
        let mut bytes = [0; TOKEN_BYTES];
        bytes[..ID_BYTES].copy_from_slice(id.as_bytes());
        bytes[ID_BYTES..MARK].copy_from_slice(&half);
        let mark = derive("mark", cookie_name, &bytes[..MARK]);
        bytes[MARK..].copy_from_slice(&mark);
        Self::of_bytes(&bytes, cookie_name)
    }

    fn of_bytes(bytes: &[u8; TOKEN_BYTES], cookie_name: &str) -> Self {
        Self {
            token: Token::of_bytes(bytes, cookie_name),
            text: TokenText::of_bytes(bytes),
        }
    }
}

/// Where the mark of a derived token begins.
const MARK: usize = TOKEN_BYTES - ID_BYTES;

/// Returns whether a text is a derived token.
pub(crate) fn is_imported_token(text: &[u8], cookie_name: &str) -> bool {
    TokenText::read(text).is_some_and(|text| {
        let bytes = text.to_bytes();
        derive("mark", cookie_name, &bytes[..MARK])[..] == bytes[MARK..]
    })
}

/// Derives 128 bits for one purpose.
fn derive(purpose: &str, cookie_name: &str, secret: &[u8]) -> [u8; ID_BYTES] {
    let hash = Sha256::new()
        .chain_update("tower-kr-session import\0")
        .chain_update(purpose)
        .chain_update("\0")
        .chain_update(cookie_name)
        .chain_update("\0")
        .chain_update(secret)
        .finalize();
    let mut bits = [0; ID_BYTES];
    bits.copy_from_slice(&hash[..ID_BYTES]);
    bits
}

/// The SHA-256 of a token's secret and its cookie's name, which is all that a store keeps of it.
///
/// The secret has 256 random bits, so a plain hash without salt or stretching is enough: nobody can
/// find it in a dump of the store. Comparisons take constant time.
#[derive(Clone, Copy)]
pub struct SecretHash([u8; SECRET_BYTES]);

impl SecretHash {
    /// Hashes a secret. With a name of up to 23 bytes it costs no more than the secret alone: both
    /// fit into one block.
    pub(crate) fn of(secret: &[u8], cookie_name: &str) -> Self {
        let hash = Sha256::new().chain_update(secret).chain_update(cookie_name);
        Self(hash.finalize().into())
    }

    /// Creates the hash from the bytes that a store kept.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; SECRET_BYTES]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes of the hash, for a store to keep.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; SECRET_BYTES] {
        &self.0
    }
}

impl PartialEq for SecretHash {
    fn eq(&self, other: &Self) -> bool {
        // By words of 8 bytes, all of them before the one comparison: 300 instructions less on
        // every request that looks at its session than by bytes.
        let words = self.0.as_chunks().0.iter().zip(other.0.as_chunks().0);
        let difference = words.fold(0, |all, (a, b)| {
            all | (u64::from_ne_bytes(*a) ^ u64::from_ne_bytes(*b))
        });
        difference.ct_eq(&0).into()
    }
}

impl Eq for SecretHash {}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "id";
    const NOW: Timestamp = Timestamp::from_unix_millis(1_700_000_000_000);

    #[test]
    fn a_token_reads_as_what_it_was_made_of() {
        let new = NewToken::generate(NOW, NAME);
        let read = Token::decode(&new.text, NAME);
        assert_eq!(read.id(), new.token.id());
        assert_eq!(read.secret_hash(), new.token.secret_hash());
    }

    #[test]
    fn the_same_text_is_no_token_under_another_name() {
        let new = NewToken::generate(NOW, NAME);
        let other = Token::decode(&new.text, "id2");
        assert_eq!(other.id(), new.token.id());
        assert_ne!(other.secret_hash(), new.token.secret_hash());
    }

    #[test]
    fn rotation_keeps_the_id_and_changes_the_secret() {
        let token = NewToken::generate(NOW, NAME).token;
        let rotated = token.rotated(NAME);
        assert_eq!(rotated.token.id(), token.id());
        assert_ne!(rotated.token.secret_hash(), token.secret_hash());
        assert_eq!(Token::decode(&rotated.text, NAME).id(), token.id());
    }

    #[test]
    fn a_derived_token_depends_on_the_secret_and_the_name_and_is_told_from_a_random_one() {
        let derive = |secret: &[u8], name| NewToken::derive(secret, name);
        let (first, again) = (derive(b"old", NAME), derive(b"old", NAME));
        assert_eq!(first.text.as_str(), again.text.as_str());
        assert_eq!(first.token.id().0.get_version_num(), 8);
        for other in [derive(b"older", NAME), derive(b"old", "id2")] {
            assert_ne!(first.token.id(), other.token.id());
            assert_ne!(first.token.secret_hash(), other.token.secret_hash());
        }
        let random = first.token.rotated(NAME);
        assert!(is_imported_token(first.text.as_str().as_bytes(), NAME));
        assert!(!is_imported_token(first.text.as_str().as_bytes(), "id2"));
        assert!(!is_imported_token(random.text.as_str().as_bytes(), NAME));
        assert!(!is_imported_token(b"old", NAME));
    }

    #[test]
    fn every_bit_of_the_hash_counts() {
        let hash = NewToken::generate(NOW, NAME).token.secret_hash().to_owned();
        assert_eq!(hash, SecretHash::from_bytes(*hash.as_bytes()));
        for bit in 0..8 * SECRET_BYTES {
            let mut bytes = *hash.as_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(hash, SecretHash::from_bytes(bytes), "bit {bit}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let new = NewToken::generate(NOW, NAME);
        let text = format!("{:?} {:?}", new.text, new.token.secret_hash());
        assert_eq!(text, "TokenText(..) SecretHash(..)");
    }

    #[test]
    fn ids_are_version_7_and_read_back() {
        let id = SessionId::generate(NOW);
        assert_eq!(id.0.get_version_num(), 7);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(format!("{id:?}"), format!("SessionId({id})"));
        assert_eq!("x".parse::<SessionId>(), Err(InvalidSessionId(())));
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(json, format!("\"{id}\""));
        assert_eq!(serde_json::from_str::<SessionId>(&json).unwrap(), id);
        assert!(serde_json::from_str::<SessionId>("\"x\"").is_err());
    }
}
