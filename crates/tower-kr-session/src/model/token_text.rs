//! A token as a cookie carries it: 48 bytes as 64 characters of base64url (RFC 4648, section 5).
//!
//! Of this one length, so that it needs no padding and no allocation. Each step is arithmetic without a branch or a table on any
//! character: it is vectorised, and how long it takes says nothing about the secret. Measured with the `base64` crate, which does neither: a
//! request that looks at its session takes 20 ns longer.

use std::fmt;

/// Bytes of a token.
pub(crate) const TOKEN_BYTES: usize = 48;

/// Characters of a token.
pub(crate) const TOKEN_CHARACTERS: usize = 64;

/// What can be a token: a text of its length and alphabet.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct TokenText([u8; TOKEN_CHARACTERS]);

impl TokenText {
    /// `None` if it isn't 64 characters of the alphabet.
    pub(crate) fn read(text: &[u8]) -> Option<Self> {
        let text: &[u8; TOKEN_CHARACTERS] = text.try_into().ok()?;
        let known = text
            .iter()
            .fold(true, |all, character| all & is_known(*character));
        known.then_some(Self(*text))
    }

    pub(crate) fn to_bytes(&self) -> [u8; TOKEN_BYTES] {
        let mut sextets = [0; TOKEN_CHARACTERS];
        for (sextet, character) in sextets.iter_mut().zip(&self.0) {
            *sextet = meaning(*character);
        }
        let mut bytes = [0; TOKEN_BYTES];
        let (groups, _) = sextets.as_chunks::<8>();
        let (packed, _) = bytes.as_chunks_mut::<6>();
        for (packed, group) in packed.iter_mut().zip(groups) {
            // Neighbours are joined: to 12 bits, 24 and 48.
            let bits = u64::from_be_bytes(*group);
            let bits = (bits & 0x3f00_3f00_3f00_3f00) >> 2 | bits & 0x003f_003f_003f_003f;
            let bits = (bits & 0x0fff_0000_0fff_0000) >> 4 | bits & 0x0000_0fff_0000_0fff;
            let bits = (bits & 0x00ff_ffff_0000_0000) >> 8 | bits & 0x0000_0000_00ff_ffff;
            let [_, _, bytes @ ..] = bits.to_be_bytes();
            *packed = bytes;
        }
        bytes
    }

    pub(crate) fn of_bytes(bytes: &[u8; TOKEN_BYTES]) -> Self {
        let mut sextets = [0; TOKEN_CHARACTERS];
        let (packed, _) = bytes.as_chunks::<3>();
        let (groups, _) = sextets.as_chunks_mut::<4>();
        for (group, [a, b, c]) in groups.iter_mut().zip(packed) {
            let bits = u32::from_be_bytes([0, *a, *b, *c]);
            *group = [bits >> 18, bits >> 12, bits >> 6, bits].map(|bits| (bits & 0x3f) as u8);
        }
        for sextet in &mut sextets {
            *sextet = character(*sextet);
        }
        Self(sextets)
    }

    pub(crate) fn as_str(&self) -> &str {
        str::from_utf8(&self.0).expect("the alphabet is ASCII")
    }
}

const fn is_known(character: u8) -> bool {
    character.is_ascii_alphanumeric() | (character == b'-') | (character == b'_')
}

/// The six bits that a character of the alphabet stands for: the character and a number that changes where a range begins.
const fn meaning(character: u8) -> u8 {
    character
        .wrapping_add(62 - b'-')
        .wrapping_sub(step(character, b'0', 13))
        .wrapping_sub(step(character, b'A', 69))
        .wrapping_add(step(character, b'_', 33))
        .wrapping_sub(step(character, b'a', 39))
}

/// `by` from the first character on, and nothing before. Signed, since ASCII is below 128 and vectors are compared so.
const fn step(character: u8, first: u8, by: u8) -> u8 {
    ((character.cast_signed() >= first.cast_signed()) as u8).wrapping_neg() & by
}

const fn character(sextet: u8) -> u8 {
    mask(sextet, 0, 25) & sextet.wrapping_add(b'A')
        | mask(sextet, 26, 51) & sextet.wrapping_add(b'a' - 26)
        | mask(sextet, 52, 61) & sextet.wrapping_sub(52 - b'0')
        | mask(sextet, 62, 62) & b'-'
        | mask(sextet, 63, 63) & b'_'
}

/// All bits if the byte is in the range, else none.
const fn mask(byte: u8, first: u8, last: u8) -> u8 {
    ((byte >= first && byte <= last) as u8).wrapping_neg()
}

/// It holds a secret.
impl fmt::Debug for TokenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenText(..)")
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
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
