//! The public key of a device in a record, and its signatures.

use ring::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};

use super::{
    jwk::{Modulus, PublicKey},
    jwt::{Proof, Signature},
};

/// The algorithms of keys, in the encoding. No algorithm has 0.
const ES256: u8 = 1;
const RS256: u8 = 2;

impl PublicKey {
    /// Returns whether the holder of this key signed the proof. A key for another algorithm, a
    /// point that isn't on the curve and an even modulus signed nothing.
    pub(crate) fn signed(&self, proof: &Proof<'_>) -> bool {
        /// The form of a point with both coordinates (SEC 1, section 2.3.3).
        const UNCOMPRESSED: u8 = 4;
        const EXPONENT: [u8; 3] = [1, 0, 1];
        let verified = match (self, &proof.signature) {
            (Self::Es256(point), Signature::Es256(signature)) => {
                let mut key = [UNCOMPRESSED; 65];
                key[1..].copy_from_slice(point);
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key)
                    .verify(proof.signed, signature)
            }
            (Self::Rs256(modulus), Signature::Rs256(signature)) => {
                let (n, e) = (modulus.as_bytes(), EXPONENT);
                RsaPublicKeyComponents { n, e: &e }.verify(
                    &RSA_PKCS1_2048_8192_SHA256,
                    proof.signed,
                    signature,
                )
            }
            _ => return false,
        };
        verified.is_ok()
    }

    /// Encodes the key: its algorithm, then the point, or the length of the modulus (two bytes) and
    /// the modulus.
    pub(crate) fn write(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Es256(point) => {
                bytes.push(ES256);
                bytes.extend(point);
            }
            Self::Rs256(modulus) => {
                let modulus = modulus.as_bytes();
                bytes.push(RS256);
                bytes.extend((modulus.len() as u16).to_le_bytes());
                bytes.extend(modulus);
            }
        }
    }

    /// Takes what [`write`](Self::write) wrote after the algorithm; `None` if nobody wrote it.
    pub(crate) fn take(algorithm: u8, bytes: &mut &[u8]) -> Option<Self> {
        let (key, rest) = match algorithm {
            ES256 => {
                let (point, rest) = bytes.split_first_chunk()?;
                (Self::Es256(*point), rest)
            }
            RS256 => {
                let (length, rest) = bytes.split_first_chunk()?;
                let length = u16::from_le_bytes(*length).into();
                let (modulus, rest) = rest.split_at_checked(length)?;
                (Self::Rs256(Modulus::new(modulus)?), rest)
            }
            _ => return None,
        };
        *bytes = rest;
        Some(key)
    }
}
