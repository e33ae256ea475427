//! Reads the proof of a browser: a JWT (RFC 7519) in the compact form, signed with ES256
//! or RS256.
//!
//! A stranger sends it, so everything is bounded and strict: two algorithms, one type, one kind of
//! key for each algorithm, and base64url in its only form. Members that nobody asks for are
//! ignored.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, de::IgnoredAny};

use super::jwk::{Algorithm, Jwk, PublicKey, RSA_SIZES};

/// The longest proof, in bytes. A browser's has about 500 with ES256, and 1,000 with a common RSA
/// key; the largest key makes it about 2,000.
const MAX_BYTES: usize = 4_096;

/// The longest challenge that is looked at, in bytes.
const MAX_CHALLENGE_BYTES: usize = 128;

/// What a browser says, not verified yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Proof<'a> {
    /// The public key, which a browser sends when it registers.
    pub(crate) key: Option<PublicKey>,
    /// The challenge that the browser answers.
    pub(crate) challenge: String,
    /// The bytes that are signed.
    pub(crate) signed: &'a [u8],
    pub(crate) signature: Signature,
}

/// What only a key for the same algorithm verifies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Signature {
    Es256([u8; 64]),
    /// As long as the modulus.
    Rs256(Vec<u8>),
}

/// Why a text is no proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoProof {
    /// It is too long, or no JWT.
    Malformed,
    /// It is a JWT of another type.
    Type,
    /// It is signed with another algorithm, or with none.
    Algorithm,
    /// Its key is none for the algorithm.
    Key,
}

/// The head of a JWT (RFC 7515, section 4.1).
#[derive(Deserialize)]
struct Head {
    alg: String,
    typ: String,
    jwk: Option<Jwk>,
    /// Extensions that a reader must know. None is known here.
    crit: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Claims {
    jti: String,
}

impl<'a> Proof<'a> {
    /// Reads a proof.
    ///
    /// # Errors
    /// If the text isn't one.
    pub(crate) fn read(text: &'a [u8]) -> Result<Self, NoProof> {
        if text.len() > MAX_BYTES {
            return Err(NoProof::Malformed);
        }
        let mut parts = text.rsplitn(2, |byte| *byte == b'.');
        let (signature, signed) = (parts.next(), parts.next());
        let signed = signed.ok_or(NoProof::Malformed)?;
        let mut parts = signed.split(|byte| *byte == b'.');
        let (head, claims) = (parts.next(), parts.next());
        if parts.next().is_some() {
            return Err(NoProof::Malformed);
        }
        let head: Head = json(head)?;
        if head.typ != "dbsc+jwt" {
            return Err(NoProof::Type);
        }
        let algorithm = Algorithm::named(&head.alg).ok_or(NoProof::Algorithm)?;
        let claims: Claims = json(claims)?;
        if head.crit.is_some() || claims.jti.len() > MAX_CHALLENGE_BYTES {
            return Err(NoProof::Malformed);
        }
        let signature = signature.and_then(|text| Signature::read(algorithm, text));
        let signature = signature.ok_or(NoProof::Malformed)?;
        let key = |jwk: Jwk| jwk.key(algorithm).ok_or(NoProof::Key);
        Ok(Self {
            key: head.jwk.map(key).transpose()?,
            challenge: claims.jti,
            signed,
            signature,
        })
    }
}

impl Signature {
    fn read(algorithm: Algorithm, text: &[u8]) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        match algorithm {
            Algorithm::Es256 => bytes.try_into().ok().map(Self::Es256),
            Algorithm::Rs256 => RSA_SIZES
                .contains(&bytes.len())
                .then_some(Self::Rs256(bytes)),
        }
    }
}

fn json<T: for<'de> Deserialize<'de>>(part: Option<&[u8]>) -> Result<T, NoProof> {
    let bytes = part.and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    let bytes = bytes.ok_or(NoProof::Malformed)?;
    // All of it: members that are ignored are not looked at otherwise.
    let text = str::from_utf8(&bytes).map_err(|_| NoProof::Malformed)?;
    serde_json::from_str(text).map_err(|_| NoProof::Malformed)
}
