//! Moves sessions out of an old store, so that nobody has to sign in again.
//!
//! A request that brings the old cookie alone is held until its session is here:
//!
//! 1. The id and the token of the new session are derived from the old id. If our store has it,
//!    another request of this browser was faster.
//! 2. Else the old record is loaded, and stored here. If that finds it taken, another request was
//!    faster.
//! 3. If the old record is gone by now, another request moved the session *and ended it* in the
//!    meantime: what was just stored goes again.
//! 4. The old record is deleted. Until that is certain, the request gets no session.
//!
//! All these requests get the same cookie. The first one that brings it back rotates the token,
//! which somebody with a copy of the old store could derive too.

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::{HeaderMap, HeaderValue, Request, header};
use tower_kr_session::{
    Owner, SessionError, Sessions, StoreError, Timestamp,
    cookie::{CookieTemplate, cookies},
    import::{Import, State},
    key::KeyBuf,
    store::{Delta, IdleLimit, SignIn},
};

use crate::{
    cookie_age::may_be_token,
    decide::RawId,
    lifetime::Lifetime,
    old_store::{OldRecord, OldStore},
    owner::UserOf,
    values::write,
};

/// How long a call to the old store may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Tells the bridge inside that the request brought a derived token.
#[derive(Clone, Copy)]
pub(crate) struct RotateImported;

/// Reads the id of a session from the value of the old cookie.
pub(crate) type ReadId = Arc<dyn Fn(&str) -> Option<RawId> + Send + Sync>;

/// What sessions of an old store need to move.
#[derive(Clone)]
pub(crate) struct Moving {
    pub(crate) store: Arc<dyn OldStore>,
    pub(crate) old_name: String,
    pub(crate) read_id: ReadId,
    pub(crate) user_of: Option<UserOf>,
    pub(crate) lifetime: Lifetime,
    pub(crate) sessions: Sessions,
}

/// What a request brings.
pub(crate) enum Brought {
    /// A session of ours, or nothing.
    Own,
    /// A derived token, which is to be rotated.
    Imported,
    /// The cookie of an old session.
    Old(RawId),
}

/// A session that moved.
pub(crate) struct Moved {
    pub(crate) import: Import,
    /// The age of its cookie.
    pub(crate) age: Option<Duration>,
}

impl Moving {
    pub(crate) fn look(&self, headers: &HeaderMap, name: &str) -> Brought {
        let mut brought = Brought::Own;
        for cookie in cookies(headers) {
            if cookie.name == name.as_bytes() && may_be_token(cookie.value) {
                return match self.sessions.is_imported_token(cookie.value) {
                    true => Brought::Imported,
                    false => Brought::Own,
                };
            }
            if cookie.name == self.old_name.as_bytes()
                && let Ok(value) = str::from_utf8(cookie.value)
                && let Some(id) = (self.read_id)(value)
            {
                brought = Brought::Old(id);
            }
        }
        brought
    }

    /// Moves the session of this id, or finds it here. Returns `None` if there is none.
    pub(crate) async fn bring(&self, id: RawId) -> Result<Option<Moved>, SessionError> {
        let import = self.sessions.import(&id.to_le_bytes());
        let mut age = self.lifetime.age(now());
        match import.state().await? {
            State::Current => {}
            State::Rotated => return Ok(None),
            State::Absent => match within(self.store.load(id)).await? {
                Some(record) => match self.store(&import, id, record).await? {
                    Some(own) => age = own,
                    None => return Ok(None),
                },
                // It moved between the two questions, or there is none.
                None if import.state().await? == State::Current => {}
                None => return Ok(None),
            },
        }
        within(self.store.delete(id)).await?;
        Ok(Some(Moved { import, age }))
    }

    /// Stores an old record here. Returns the age of its cookie, or `None` if the session is over.
    async fn store(
        &self,
        import: &Import,
        id: RawId,
        record: OldRecord,
    ) -> Result<Option<Option<Duration>>, SessionError> {
        let (delta, age) = self.delta(record, now());
        let stored = match import.store(delta).await {
            Err(SessionError::Revoked) => {
                within(self.store.delete(id)).await?;
                return Ok(None);
            }
            stored => stored?,
        };
        if stored && within(self.store.load(id)).await?.is_none() {
            self.sessions.revoke_as_admin(import.id()).await?;
            return Ok(None);
        }
        Ok(Some(age))
    }

    /// The new session's values, user and limits, and the age of its cookie.
    fn delta(&self, record: OldRecord, now: Timestamp) -> (Delta, Option<Duration>) {
        let mut delta = Delta::new(u64::MAX);
        if let Some(user) = self.user_of.as_ref().and_then(|of| of(&record.data)) {
            match Owner::new(&user) {
                // Nobody knows when they signed in: every revocation so far ends the session.
                Ok(owner) => {
                    let never = Timestamp::from_unix_millis(0);
                    delta.sign_in = Some(SignIn::new(owner, never));
                }
                Err(error) => tracing::warn!(%error, "a session moves without its user"),
            }
        }
        for (key, value) in &record.data {
            match KeyBuf::new(key) {
                Ok(key) => delta.change(key, Some(write(value).into())),
                Err(error) => tracing::warn!(%error, "a session moves without one of its values"),
            }
        }
        let left = record.expires_at.saturating_duration_since(now);
        let lifetime = match self.lifetime {
            // A handler gave the session a longer life than the others.
            usual if left > usual.idle() + Duration::from_secs(1) => Lifetime::Inactivity(left),
            usual => usual,
        };
        if lifetime != self.lifetime {
            delta.limits.idle = Some(IdleLimit::new(lifetime.idle()));
            delta.limits.persistent = Some(true);
        }
        delta.limits.absolute_timeout = Some(lifetime.absolute(now));
        (delta, lifetime.age(now))
    }

    /// The removal of the old cookie, if the new one doesn't replace it.
    pub(crate) fn removal(&self, cookie: &CookieTemplate) -> Option<HeaderValue> {
        let (name, old) = (cookie.name(), &self.old_name);
        if name == old {
            return None;
        }
        let removal = cookie.removal(true);
        let attributes = removal.to_str().ok()?.strip_prefix(name)?;
        format!("{old}{attributes}").parse().ok()
    }
}

impl Moved {
    /// Lets the session layer find the session.
    pub(crate) fn enter<B>(&self, request: &mut Request<B>, name: &str) {
        let pair = format!("{name}={}", self.import.token());
        if let Ok(mut value) = HeaderValue::from_str(&pair) {
            value.set_sensitive(true);
            request.headers_mut().append(header::COOKIE, value);
        }
    }
}

async fn within<T>(call: impl Future<Output = Result<T, String>>) -> Result<T, SessionError> {
    let answer = tokio::time::timeout(TIMEOUT, call).await;
    let answer = answer.map_err(|_| StoreError::TimedOut)?;
    Ok(answer.map_err(StoreError::unavailable)?)
}

fn now() -> Timestamp {
    SystemTime::now().into()
}
