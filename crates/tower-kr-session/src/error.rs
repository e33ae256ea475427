//! What can go wrong, and which status that is.

use std::{sync::Arc, time::Duration};

use http::StatusCode;

use crate::{
    model::{
        ApplyOutcome, InvalidOwner, is_timeout,
        key::{InvalidKey, KeyBuf},
    },
    store::StoreError,
};

/// Seconds that a client is told to wait before it tries again when the store is down.
pub(crate) const RETRY_AFTER: &str = "5";

/// Why a session could not be read or written.
///
/// With the feature `axum` it is a response by itself: the [`status`](Self::status), a short text that holds no secret, and for
/// a store that is down a `Retry-After`.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The store is down, too slow, or its answer was lost. It is unknown whether what was sent was done; nothing is sent
    /// twice. 503
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A call of this session was dropped before the store answered, so it is unknown whether it was done. 503
    #[error("a session call was dropped before the store answered")]
    Interrupted,
    /// The session was alive when the request looked at it and is gone now: signed out, revoked, expired or displaced by newer
    /// sign-ins meanwhile. 409
    #[error("the session ended while the request was running")]
    Ended,
    /// The token was replaced by another request (a sign-in) moments ago. 409
    #[error("the session's token was replaced by another request")]
    Superseded,
    /// All sessions of the user were revoked after his sign-in was checked. 409
    #[error("all sessions of this user were revoked while he signed in")]
    Revoked,
    /// The user has as many sessions as the layer allows, and it refuses further ones
    /// ([`SessionLimit::Refuse`](crate::SessionLimit::Refuse)). The client's session is what it was; only one that lost a race
    /// against other sign-ins of this user has ended. 409: it works once he has ended one of his sessions.
    #[error("this user has {limit} sessions already: one of them has to end first")]
    TooManySessions {
        /// How many sessions a user may have.
        limit: u32,
    },
    /// Other requests kept changing the value between the reads and writes of an `update`. 409
    #[error(
        "session value `{key}` was changed by other requests in each of {attempts} attempts to update it"
    )]
    Contended {
        /// The key.
        key: KeyBuf,
        /// How often the update was tried.
        attempts: u32,
    },
    /// The request carries several different session cookies, and it can't be told which one is meant. 400
    #[error("the request carries several different session cookies")]
    AmbiguousCookie,
    /// The session would become larger than allowed; nothing was stored. 413
    #[error("the session would have {size} bytes: at most {limit} bytes are allowed")]
    TooLarge {
        /// The size that the session would have, in bytes.
        size: u64,
        /// The limit, in bytes.
        limit: u64,
    },
    /// A request notes changes of too many keys at a time; [`save`](crate::Session::save) in between, or keep them in one
    /// value. 413
    #[error("changes of more than {limit} session values can't be noted at a time")]
    TooManyChanges {
        /// How many keys can be noted.
        limit: usize,
    },
    /// A sign-in or a `save` would start a session, and the visitor has not consented to its cookie
    /// ([`SessionLayer::consent_when`](crate::SessionLayer::consent_when)). 403
    #[error("the visitor has not consented to the session cookie")]
    NoConsent,
    /// A key is empty, too long or has control characters. 400
    #[error(transparent)]
    InvalidKey(#[from] InvalidKey),
    /// The owner is empty or too long. 400
    #[error(transparent)]
    InvalidOwner(#[from] InvalidOwner),
    /// The value to increment is no integer of 64 bits. 500
    #[error("session value `{key}` is no integer of 64 bits")]
    NotAnInteger {
        /// The key.
        key: KeyBuf,
    },
    /// The sum doesn't fit in 64 bits. 500
    #[error("incrementing session value `{key}` would overflow 64 bits")]
    Overflow {
        /// The key.
        key: KeyBuf,
    },
    /// The stored value is not of the type that was asked for. 500
    #[error("session value `{key}` is not of the type that was asked for: {source}")]
    Decode {
        /// The key.
        key: KeyBuf,
        /// What serde_json says.
        source: Arc<serde_json::Error>,
    },
    /// The value can't be written as JSON. 500
    #[error("session value `{key}` can't be written as JSON: {source}")]
    Encode {
        /// The key.
        key: KeyBuf,
        /// What serde_json says.
        source: Arc<serde_json::Error>,
    },
    /// The limit given to this session makes no sense. 500
    #[error(
        "the {name} of a session must be longer than zero and at most {} s", longest.as_secs()
    )]
    InvalidLimit {
        /// Which timeout it is.
        name: &'static str,
        /// The longest one: 400 days, or what the layer's [assurance level](crate::AssuranceLevel) allows.
        longest: Duration,
    },
    /// The head of the response has left: what needs a cookie can't be done any more, and a value change needs
    /// [`Session::detach`](crate::Session::detach) and `save`. 500
    #[error("the response head has left: {0}")]
    ResponseSent(&'static str),
}

impl SessionError {
    /// The status of the response to a request that failed with this error.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Store(_) | Self::Interrupted => StatusCode::SERVICE_UNAVAILABLE,
            Self::Ended
            | Self::Superseded
            | Self::Revoked
            | Self::TooManySessions { .. }
            | Self::Contended { .. } => StatusCode::CONFLICT,
            Self::AmbiguousCookie | Self::InvalidKey(_) | Self::InvalidOwner(_) => {
                StatusCode::BAD_REQUEST
            }
            Self::NoConsent => StatusCode::FORBIDDEN,
            Self::TooLarge { .. } | Self::TooManyChanges { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NotAnInteger { .. }
            | Self::Overflow { .. }
            | Self::Decode { .. }
            | Self::Encode { .. }
            | Self::InvalidLimit { .. }
            | Self::ResponseSent(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Checks a timeout that a handler gives one session.
    pub(crate) fn check_limit(
        name: &'static str,
        timeout: Duration,
        longest: Duration,
    ) -> Result<(), Self> {
        let fits = is_timeout(timeout, longest).then_some(());
        fits.ok_or(Self::InvalidLimit { name, longest })
    }

    /// Why the integer at `key` was not added to.
    pub(crate) fn not_added(key: &KeyBuf, refused: &ApplyOutcome) -> Self {
        let key = key.clone();
        match refused {
            ApplyOutcome::NotAnInteger => Self::NotAnInteger { key },
            _ => Self::Overflow { key },
        }
    }

    /// What a client may read: the message of an error that it can act on, else just the status.
    #[must_use]
    pub fn public_message(&self) -> String {
        match self {
            Self::Store(_) | Self::Interrupted => "The session store is unavailable".to_owned(),
            Self::Contended { .. } => "Other requests keep changing the session".to_owned(),
            error if error.status().is_server_error() => "Internal server error".to_owned(),
            error => error.to_string(),
        }
    }

    /// Whether the client may simply try again later.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        self.status() == StatusCode::SERVICE_UNAVAILABLE
    }
}
