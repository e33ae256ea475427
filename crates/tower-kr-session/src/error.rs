//! Errors of sessions, and their HTTP statuses.

use std::{sync::Arc, time::Duration};

use http::StatusCode;

use crate::{
    json::ValueError,
    model::{
        ApplyOutcome, InvalidLabel, InvalidOwner, is_timeout,
        key::{InvalidKey, KeyBuf},
    },
    store::StoreError,
};

/// How many seconds a client shall wait before it tries again when the store is down
/// (`Retry-After`).
pub(crate) const RETRY_AFTER: &str = "5";

/// Error returned when a session could not be read or written.
///
/// With the feature `axum` it converts into a response: its [`status`](Self::status), a short text
/// without secrets and, if the store is down, `Retry-After`. Each variant names its status at the
/// end.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The store is down or too slow, or its answer was lost. The outcome of the call is unknown,
    /// and nothing is sent twice. 503
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A call of this session was dropped before the store answered, so its outcome is unknown. 503
    #[error("a session call was dropped before the store answered")]
    Interrupted,
    /// The session ended after the request saw it alive: signed out, revoked, expired or displaced
    /// by newer sign-ins. 409
    #[error("the session ended while the request was running")]
    Ended,
    /// The token was replaced by another request (a sign-in) moments ago. 409
    #[error("the session's token was replaced by another request")]
    Superseded,
    /// All sessions of the user were revoked after their sign-in was checked. 409
    #[error("all sessions of this user were revoked while they signed in")]
    Revoked,
    /// The user has as many sessions as the layer allows, and the layer refuses further ones
    /// ([`SessionLimit::Refuse`](crate::SessionLimit::Refuse)). The client's session stays as it
    /// was, unless it lost a race against other sign-ins of this user and ended. The sign-in works
    /// once the user has ended one of their sessions. 409
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
    /// The request carries several different session cookies, and it is unclear which one is meant.
    /// A sign-in, or [`destroy`](crate::Session::destroy), ends all their sessions. 400
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
    /// A request set too many keys at a time: [`save`](crate::Session::save) in between, or keep
    /// them in one value. 413
    #[error("more than {limit} session values can't be changed at a time")]
    TooManyChanges {
        /// How many keys can be set at a time.
        limit: usize,
    },
    /// A sign-in or a `save` would start a session, but the visitor has not consented to its cookie
    /// ([`SessionLayer::consent_when`](crate::SessionLayer::consent_when)). 403
    #[error("the visitor has not consented to the session cookie")]
    NoConsent,
    /// The session is bound to a device, the browser says that it could not prove itself this time
    /// (`Secure-Session-Skipped`), and the request would start another session in its place. The
    /// request works once the browser has a proof again. 403
    #[cfg(feature = "device-bound")]
    #[error("the session is bound to a device, and the request came without a proof of it")]
    ProofMissing,
    /// A key is empty, too long or has control characters. 400
    #[error(transparent)]
    InvalidKey(#[from] InvalidKey),
    /// The owner is empty or too long. 400
    #[error(transparent)]
    InvalidOwner(#[from] InvalidOwner),
    /// The label is empty or too long. 400
    #[error(transparent)]
    InvalidLabel(#[from] InvalidLabel),
    /// The value to increment is not a 64-bit integer. 500
    #[error("session value `{key}` is not a 64-bit integer")]
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
        /// The type, and where the value doesn't fit it.
        source: Arc<ValueError>,
    },
    /// The value can't be written as JSON. 500
    #[error("session value `{key}` can't be written as JSON: {source}")]
    Encode {
        /// The key.
        key: KeyBuf,
        /// The type, and what JSON can't hold.
        source: Arc<ValueError>,
    },
    /// A handler gave this session a timeout out of range. 500
    #[error(
        "the {name} of a session must be longer than zero and at most {} s", longest.as_secs()
    )]
    InvalidLimit {
        /// The name of the timeout.
        name: &'static str,
        /// The longest allowed: 400 days, or what the layer's
        /// [assurance level](crate::AssuranceLevel) allows.
        longest: Duration,
    },
    /// No [`SessionLayer`](crate::SessionLayer) is around the route. 500
    #[error(
        "no SessionLayer around this route: add `.layer(SessionLayer::new(store))` after the routes that use `Session`"
    )]
    MissingLayer,
    /// The head of the response has left. A change that needs a cookie is too late, and a change of
    /// values needs [`Session::detach`](crate::Session::detach) and `save`. 500
    #[error("the response head has left: {0}")]
    ResponseSent(&'static str),
}

impl SessionError {
    /// Returns the status of the response to a request that failed with this error.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Store(StoreError::InvalidCursor) => StatusCode::BAD_REQUEST,
            Self::Store(StoreError::Unsupported(_)) => StatusCode::NOT_IMPLEMENTED,
            Self::Store(_) | Self::Interrupted => StatusCode::SERVICE_UNAVAILABLE,
            Self::Ended
            | Self::Superseded
            | Self::Revoked
            | Self::TooManySessions { .. }
            | Self::Contended { .. } => StatusCode::CONFLICT,
            Self::AmbiguousCookie
            | Self::InvalidKey(_)
            | Self::InvalidOwner(_)
            | Self::InvalidLabel(_) => StatusCode::BAD_REQUEST,
            Self::NoConsent => StatusCode::FORBIDDEN,
            #[cfg(feature = "device-bound")]
            Self::ProofMissing => StatusCode::FORBIDDEN,
            Self::TooLarge { .. } | Self::TooManyChanges { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NotAnInteger { .. }
            | Self::Overflow { .. }
            | Self::Decode { .. }
            | Self::Encode { .. }
            | Self::InvalidLimit { .. }
            | Self::MissingLayer
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

    /// Returns that the value at `key` is of another type.
    pub(crate) fn not_read(key: &str, source: ValueError) -> Self {
        let source = Arc::new(source);
        match KeyBuf::new(key) {
            Ok(key) => Self::Decode { key, source },
            Err(invalid) => invalid.into(),
        }
    }

    /// Returns that the value for `key` can't be written.
    pub(crate) fn not_written(key: &KeyBuf, source: ValueError) -> Self {
        let (key, source) = (key.clone(), Arc::new(source));
        Self::Encode { key, source }
    }

    /// Returns why the integer at `key` was not added to.
    pub(crate) fn not_added(key: &KeyBuf, refused: &ApplyOutcome) -> Self {
        let key = key.clone();
        match refused {
            ApplyOutcome::NotAnInteger => Self::NotAnInteger { key },
            _ => Self::Overflow { key },
        }
    }

    /// Returns the message for clients: that of an error which they can act on, else one that says
    /// no more than the status.
    #[must_use]
    pub fn public_message(&self) -> String {
        match self {
            _ if self.status() == StatusCode::SERVICE_UNAVAILABLE => {
                "The session store is unavailable".to_owned()
            }
            Self::Contended { .. } => "Other requests keep changing the session".to_owned(),
            error if error.status().is_server_error() => "Internal server error".to_owned(),
            error => error.to_string(),
        }
    }

    /// Returns whether the client may try again later.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        self.status() == StatusCode::SERVICE_UNAVAILABLE
    }
}
