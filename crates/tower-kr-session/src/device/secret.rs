//! Random texts that count for a while: the bound cookie's value and challenges. A record keeps
//! their hashes.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::Rng;

use crate::model::SecretHash;

const BYTES: usize = 32;

/// The characters of such a text.
pub(crate) const CHARACTERS: usize = 43;

/// What goes into the hash of a challenge beside its text, where that of a bound cookie has the
/// cookie's name. No cookie has this one.
const CHALLENGE: &str = " challenge";

/// A new text of 256 random bits for a client, in base64url.
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn generate() -> Self {
        let mut bytes = [0; BYTES];
        rand::rng().fill_bytes(&mut bytes);
        Self(URL_SAFE_NO_PAD.encode(bytes))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Hashes the value of a bound cookie of this name.
pub(crate) fn cookie_hash(value: &[u8], cookie_name: &str) -> SecretHash {
    SecretHash::of(value, cookie_name)
}

/// Hashes a challenge.
pub(crate) fn challenge_hash(challenge: &str) -> SecretHash {
    SecretHash::of(challenge.as_bytes(), CHALLENGE)
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_random_long_and_not_shown() {
        let (first, second) = (Secret::generate(), Secret::generate());
        assert_ne!(first.as_str(), second.as_str());
        assert_eq!(first.as_str().len(), CHARACTERS);
        assert_eq!(format!("{first:?}"), "Secret(..)");
    }

    #[test]
    fn a_challenge_is_no_cookie_and_a_cookie_has_its_name() {
        let text = Secret::generate();
        let hashes = [
            challenge_hash(text.as_str()),
            cookie_hash(text.as_str().as_bytes(), "a"),
            cookie_hash(text.as_str().as_bytes(), "b"),
        ];
        assert_ne!(hashes[0], hashes[1]);
        assert_ne!(hashes[1], hashes[2]);
    }
}
