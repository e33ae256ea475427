//! The text of a token in a cookie: 48 bytes as 64 characters of base64url (RFC 4648, section 5).
//!
//! It has only this length, so it needs no padding and no allocation.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

/// The bytes of a token.
pub(crate) const TOKEN_BYTES: usize = 48;

/// The characters of a token.
pub(crate) const TOKEN_CHARACTERS: usize = 64;

/// A text that can be a token: it has the length and the alphabet of one.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct TokenText([u8; TOKEN_CHARACTERS]);

impl TokenText {
    /// Reads a text, or returns `None` if it isn't 64 characters of the alphabet.
    pub(crate) fn read(text: &[u8]) -> Option<Self> {
        let text: &[u8; TOKEN_CHARACTERS] = text.try_into().ok()?;
        let known = text
            .iter()
            .fold(true, |all, character| all & is_known(*character));
        known.then_some(Self(*text))
    }

    pub(crate) fn to_bytes(&self) -> [u8; TOKEN_BYTES] {
        let mut bytes = [0; TOKEN_BYTES];
        let decoded = URL_SAFE_NO_PAD.decode_slice(self.0, &mut bytes);
        debug_assert_eq!(decoded, Ok(TOKEN_BYTES), "the text was checked");
        bytes
    }

    pub(crate) fn of_bytes(bytes: &[u8; TOKEN_BYTES]) -> Self {
        let mut text = [0; TOKEN_CHARACTERS];
        let encoded = URL_SAFE_NO_PAD.encode_slice(bytes, &mut text);
        debug_assert_eq!(encoded, Ok(TOKEN_CHARACTERS), "48 bytes are 64 characters");
        Self(text)
    }

    pub(crate) fn as_str(&self) -> &str {
        str::from_utf8(&self.0).expect("the alphabet is ASCII")
    }
}

const fn is_known(character: u8) -> bool {
    character.is_ascii_alphanumeric() | (character == b'-') | (character == b'_')
}

/// Shows nothing: the text holds a secret.
impl fmt::Debug for TokenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenText(..)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes() -> impl Strategy<Value = [u8; TOKEN_BYTES]> {
        any::<([u8; 32], [u8; 16])>()
            .prop_map(|(head, tail)| [&head[..], &tail[..]].concat().try_into().unwrap())
    }

    proptest! {
        #[test]
        fn it_is_base64url(bytes in bytes()) {
            let text = TokenText::of_bytes(&bytes);
            prop_assert_eq!(URL_SAFE_NO_PAD.encode(bytes), text.as_str());
            prop_assert_eq!(TokenText::read(text.as_str().as_bytes()).unwrap().to_bytes(), bytes);
        }
    }

    #[test]
    fn each_character_of_the_alphabet_and_no_other_is_read_at_each_place() {
        for place in 0..TOKEN_CHARACTERS {
            for character in 0..=u8::MAX {
                let mut text = [b'A'; TOKEN_CHARACTERS];
                text[place] = character;
                let bytes = TokenText::read(&text).map(|read| read.to_bytes().to_vec());
                assert_eq!(
                    bytes,
                    URL_SAFE_NO_PAD.decode(text).ok(),
                    "{character} at {place}"
                );
            }
        }
    }

    #[test]
    fn only_one_length_is_read() {
        for length in 0..2 * TOKEN_CHARACTERS {
            let read = TokenText::read(&vec![b'A'; length]);
            assert_eq!(read.is_some(), length == TOKEN_CHARACTERS, "{length}");
        }
    }
}
