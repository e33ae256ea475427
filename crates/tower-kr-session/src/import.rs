//! Moves sessions of another session layer here, so that nobody has to sign in again.

use std::{fmt, sync::Arc};

use crate::{
    config::Config,
    error::SessionError,
    model::{Delta, Instants, NewToken, Record, SessionId, TokenState, is_imported_token},
    sessions::Sessions,
    store::CreateOutcome,
};

/// A session that moves here from another session layer; made by
/// [`Sessions::import`](crate::Sessions::import).
///
/// Its id and its token are derived from the old session's secret. So the requests of one browser
/// that arrive at once with the old cookie all mean one session, whichever of them stores it.
///
/// ```
/// use bytes::Bytes;
/// use tower_kr_session::{MemoryStore, SessionLayer, import::State, key::KeyBuf, store::Delta};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let sessions = SessionLayer::new(MemoryStore::new()).sessions()?;
/// let import = sessions.import(b"the value of the old cookie");
/// if import.state().await? == State::Absent {
///     // Look into the old store.
///     let mut delta = Delta::new(0);
///     delta.change(KeyBuf::new("theme")?, Some(Bytes::from_static(b"\"dark\"")));
///     assert!(import.store(delta).await?);
/// }
/// assert_eq!(import.state().await?, State::Current);
/// assert!(sessions.is_imported_token(import.token().as_bytes()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Import {
    config: Arc<Config>,
    new: NewToken,
}

/// How an [`Import`] stands in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// There is none: the old session has not moved yet, or has ended since.
    Absent,
    /// It is here, and its token is the derived one.
    Current,
    /// It is here, and has another token since. The client that has the old cookie has a newer one
    /// too, or is another one.
    Rotated,
}

impl Import {
    /// Returns the derived token, as the cookie carries it. Whoever knows the old secret can derive
    /// it too: the first request that brings it should [`rotate`](crate::Session::rotate) it.
    #[must_use]
    pub fn token(&self) -> &str {
        self.new.text.as_str()
    }

    /// Returns the id of the session.
    #[must_use]
    pub const fn id(&self) -> SessionId {
        self.new.token.id()
    }

    /// Returns how the import stands in the store.
    ///
    /// # Errors
    /// If the store can't answer.
    pub async fn state(&self) -> Result<State, SessionError> {
        let (config, token) = (&self.config, self.new.token);
        let now = config.now();
        let load = config.store.load(token.id(), now);
        let record = load.within(config.io_timeout).await?;
        Ok(match record {
            None => State::Absent,
            Some(record) => match record.token_state(token.secret_hash(), Instants::at(now)) {
                TokenState::Current => State::Current,
                TokenState::Superseded | TokenState::Missing => State::Rotated,
            },
        })
    }

    /// Starts the session, with the values, the user and the limits of a delta; the layer's limits
    /// hold where it has none. Returns `false` if it is there already, or was a moment ago.
    ///
    /// The time of the sign-in in the delta decides whether a revocation of all the user's sessions
    /// ends this one too. If nobody knows when the user signed in, take the Unix epoch: then every
    /// revocation does.
    ///
    /// # Errors
    /// If the store can't answer, the session is too large, or all sessions of the user were
    /// revoked after their sign-in.
    pub async fn store(&self, mut delta: Delta) -> Result<bool, SessionError> {
        let (config, token) = (&self.config, self.new.token);
        let now = config.now();
        let signed_in = delta.sign_in.is_some();
        let idle = if signed_in {
            config.idle
        } else {
            config.anonymous_idle
        };
        let mut record = Record::new(*token.secret_hash(), now, idle, config.absolute_timeout);
        record.persistent = config.persistent;
        delta.rotate = None;
        delta.max_bytes = config.max_session_bytes;
        let started = record.start_with(&delta, now);
        started.map_err(|size| config.too_large(size))?;
        let create = config.store.create(token.id(), record, now);
        match create.within(config.io_timeout).await? {
            CreateOutcome::Created => {}
            CreateOutcome::Exists => return Ok(false),
            CreateOutcome::Revoked => return Err(SessionError::Revoked),
        }
        config.wrote(now);
        config.events.created(token.id(), signed_in, now);
        Ok(true)
    }
}

impl Sessions {
    /// Returns the import of the session that another layer keeps under this secret: an id of 128
    /// random bits, say, that was the value of its cookie.
    #[must_use]
    pub fn import(&self, old_secret: &[u8]) -> Import {
        let config = Arc::clone(self.config());
        let new = NewToken::derive(old_secret, config.token_name());
        Import { config, new }
    }

    /// Returns whether a text is a token that [`import`](Self::import) derived, rather than a
    /// random one. Nothing is looked up: the token may be over.
    #[must_use]
    pub fn is_imported_token(&self, token: &[u8]) -> bool {
        is_imported_token(token, self.config().token_name())
    }
}

/// Shows nothing: the token is a secret.
impl fmt::Debug for Import {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Import").finish_non_exhaustive()
    }
}
