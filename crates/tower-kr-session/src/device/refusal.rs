//! Why a proof is refused: for operators. A client learns no more than that it was.

use super::jwt::NoProof;

/// Why an endpoint, or a request without a proof, is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// What came is no proof that this crate reads.
    Malformed,
    /// The proof is signed with an algorithm that doesn't count.
    Algorithm,
    /// The key of a registration is missing or none.
    Key,
    /// The session has a key already.
    Bound,
    /// The session is bound to no device.
    Unbound,
    /// The challenge is unknown, was answered, or is too old.
    Challenge,
    /// The signature is not that of the key.
    Signature,
    /// There is no live session of this token.
    NoSession,
    /// The token is right, and the bound cookie is missing or too old.
    NoCookie,
}

impl Refusal {
    /// All labels, of a counter.
    #[cfg(feature = "metrics")]
    pub(crate) const LABELS: [&str; 9] = [
        Self::Malformed.label(),
        Self::Algorithm.label(),
        Self::Key.label(),
        Self::Bound.label(),
        Self::Unbound.label(),
        Self::Challenge.label(),
        Self::Signature.label(),
        Self::NoSession.label(),
        Self::NoCookie.label(),
    ];

    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Algorithm => "algorithm",
            Self::Key => "key",
            Self::Bound => "bound",
            Self::Unbound => "unbound",
            Self::Challenge => "challenge",
            Self::Signature => "signature",
            Self::NoSession => "no_session",
            Self::NoCookie => "no_cookie",
        }
    }

    /// Whether the token may be stolen: it is right, and what came with it is not the device's.
    pub(crate) const fn is_suspicious(self) -> bool {
        matches!(self, Self::Signature | Self::Bound)
    }
}

impl From<NoProof> for Refusal {
    fn from(reason: NoProof) -> Self {
        match reason {
            NoProof::Malformed | NoProof::Type => Self::Malformed,
            NoProof::Algorithm => Self::Algorithm,
            NoProof::Key => Self::Key,
        }
    }
}
