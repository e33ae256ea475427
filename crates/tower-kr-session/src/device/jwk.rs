//! Reads the public key of a device, as a JWK (RFC 7517).
//!
//! A stranger sends it. Each algorithm has one kind of key, in one form.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;

/// The sizes of an RSA key, in bytes: 2,048, 3,072 and 4,096 bits. Most TPMs have only the first.
pub(super) const RSA_SIZES: [usize; 3] = [256, 384, 512];

/// The two coordinates of a point on P-256, 32 bytes each.
pub(crate) type Point = [u8; 64];

/// What signs a proof (RFC 7518, section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Es256,
    Rs256,
}

/// A public key, for the only algorithm that it is used with.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum PublicKey {
    Es256(Point),
    Rs256(Modulus),
}

/// The modulus of an RSA key whose exponent is 65,537, big-endian, of one of the [`RSA_SIZES`].
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Modulus(Box<[u8]>);

/// The members of a public key on a curve (RFC 7518, section 6.2.1) and of an RSA key (section
/// 6.3.1).
#[derive(Deserialize)]
pub(super) struct Jwk {
    kty: String,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
}

impl Algorithm {
    /// Returns the algorithm of a name, if it counts.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "ES256" => Some(Self::Es256),
            "RS256" => Some(Self::Rs256),
            _ => None,
        }
    }
}

impl Modulus {
    /// Returns the modulus that these bytes are, if it has one of the sizes, to the bit.
    pub(crate) fn new(bytes: &[u8]) -> Option<Self> {
        let is_full = bytes
            .first()
            .is_some_and(|first| first.leading_zeros() == 0);
        (is_full && RSA_SIZES.contains(&bytes.len())).then(|| Self(bytes.into()))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Jwk {
    /// Returns the key, if it is one for this algorithm.
    pub(super) fn key(&self, algorithm: Algorithm) -> Option<PublicKey> {
        match algorithm {
            Algorithm::Es256 => {
                is(&self.kty, "EC")?;
                is(self.crv.as_deref()?, "P-256")?;
                let (x, y) = (
                    coordinate(self.x.as_deref()?)?,
                    coordinate(self.y.as_deref()?)?,
                );
                let mut point = [0; 64];
                point[..32].copy_from_slice(&x);
                point[32..].copy_from_slice(&y);
                Some(PublicKey::Es256(point))
            }
            Algorithm::Rs256 => {
                is(&self.kty, "RSA")?;
                // 65,537.
                is(self.e.as_deref()?, "AQAB")?;
                let modulus = URL_SAFE_NO_PAD.decode(self.n.as_deref()?).ok()?;
                Modulus::new(&modulus).map(PublicKey::Rs256)
            }
        }
    }
}

fn is(text: &str, expected: &str) -> Option<()> {
    (text == expected).then_some(())
}

fn coordinate(text: &str) -> Option<[u8; 32]> {
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PublicKey(..)")
    }
}
