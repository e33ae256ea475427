//! The session, as a handler sees it.

mod commit;
mod notes;
mod state;

use std::{
    collections::BTreeSet,
    fmt,
    future::Future,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::HeaderMap;
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::MutexGuard as StateGuard;

use self::{
    commit::Work,
    notes::{Noted, Notes},
    state::{State, View},
};
use crate::{
    clock::Timestamp,
    delta::{IdleLimit, Instants, Operation, SignIn},
    error::SessionError,
    id::SessionId,
    key::{InsertKey, Key, KeyBuf, KeyName},
    owner::Owner,
    record::{Applied, Record, increment, integer_bytes},
    settings::{ErrorHook, Shared, is_timeout, whole_millis},
    transport::{self, Candidates, CookieChange},
};

/// How often an `update` is tried while other requests keep changing the value.
const UPDATE_ATTEMPTS: u32 = 64;

/// How many of them follow each other without a pause.
const EAGER_ATTEMPTS: u32 = 4;

const UNTOUCHED: u8 = 0;
const TOUCHED: u8 = 1;
const CLOSED: u8 = 2;

/// The session of a request. A clone is the same session.
///
/// Nothing is loaded until the first read, and nothing is stored until the response is ready; a request that doesn't use its
/// session costs the store nothing. `.await` stands exactly where I/O may happen:
///
/// | call | when it reaches the store |
/// |---|---|
/// | [`get`](Self::get), [`contains_key`](Self::contains_key), [`keys`](Self::keys), [`id`](Self::id), [`status`](Self::status), [`owner`](Self::owner), … | the first one loads the session; later ones are answered from it |
/// | [`insert`](Self::insert), [`remove`](Self::remove), [`clear`](Self::clear) | noted; stored in one commit before the response leaves |
/// | [`increment`](Self::increment), [`update`](Self::update), [`take`](Self::take) | at once and atomic: nothing is lost between requests |
/// | [`sign_in`](Self::sign_in), [`rotate`](Self::rotate), [`destroy`](Self::destroy) | noted; done in the commit |
/// | [`save`](Self::save) | commits now |
///
/// Values are JSON of any serde type; the `_bytes` calls take and give raw bytes. Two requests that `insert` at the same key: the
/// last one wins. Two requests that change different keys never undo each other.
///
/// ```
/// use tower_kr_session::{Session, SessionError, SessionKey};
///
/// const VISITS: SessionKey<i64> = SessionKey::new("visits");
///
/// async fn visits(session: Session) -> Result<String, SessionError> {
///     let visits = session.increment(VISITS, 1).await?;
///     Ok(format!("You were here {visits} times"))
/// }
/// ```
#[derive(Clone)]
pub struct Session {
    inner: Arc<Inner>,
    detached: bool,
}

pub(crate) struct Inner {
    shared: Arc<Shared>,
    https: bool,
    /// Untouched, touched or closed untouched: a request that doesn't use its session takes no lock.
    phase: AtomicU8,
    notes: Mutex<Notes>,
    /// Held by one call at a time, also while the store works: so a load happens once, and what a call takes along from the
    /// notes can't be missed by a read.
    state: tokio::sync::Mutex<State>,
}

/// What a session is to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Status {
    /// There is none: the request has no cookie that could be one.
    Absent,
    /// This request starts it.
    New,
    /// It is alive.
    Active,
    /// The request has a well-formed token without a live record: it expired, was ended, or never was.
    Expired,
    /// The token was replaced by another request moments ago.
    Superseded,
    /// The request has cookies of several live sessions, or too many different ones. Reads as absent, writes are refused.
    Conflict,
}

/// Where a value stands that an atomic change is about.
enum Place {
    /// In the notes, or nowhere since no session is there.
    Notes,
    /// In the store.
    Store,
}

impl Session {
    pub(crate) fn new(shared: Arc<Shared>, candidates: Candidates, https: bool) -> Self {
        Self {
            inner: Arc::new(Inner {
                shared,
                https,
                phase: AtomicU8::new(UNTOUCHED),
                notes: Mutex::default(),
                state: tokio::sync::Mutex::new(State::new(candidates)),
            }),
            detached: false,
        }
    }

    // ---- values: reading ----

    /// The value at `key`.
    ///
    /// ```
    /// # use tower_kr_session::{Session, SessionError, SessionKey};
    /// const THEME: SessionKey<String> = SessionKey::new("theme");
    ///
    /// # async fn handler(session: Session) -> Result<(), SessionError> {
    /// let theme = session.get(THEME).await?.unwrap_or_default();
    /// let count = session.get::<i32>("count").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the store can't answer, the key is invalid, or the value is of another type.
    pub async fn get<T: DeserializeOwned>(
        &self,
        key: impl Key<T>,
    ) -> Result<Option<T>, SessionError> {
        let name = key.check()?;
        self.read(name, |value| decode(name, value)).await?
    }

    /// The bytes at `key`, as they are stored.
    ///
    /// # Errors
    /// If the store can't answer, or the key is invalid.
    pub async fn get_bytes(&self, key: impl KeyName) -> Result<Option<Bytes>, SessionError> {
        let name = key.check()?;
        self.read(name, |value| value.map(Bytes::copy_from_slice))
            .await
    }

    /// Whether there is a value at `key`.
    ///
    /// # Errors
    /// If the store can't answer, or the key is invalid.
    pub async fn contains_key(&self, key: impl KeyName) -> Result<bool, SessionError> {
        let name = key.check()?;
        self.read(name, |value| value.is_some()).await
    }

    /// The keys of all values, sorted.
    ///
    /// # Errors
    /// If the store can't answer.
    pub async fn keys(&self) -> Result<Vec<String>, SessionError> {
        let (mut state, at) = self.begin().await?;
        state.load(&self.inner.shared, at.now).await?;
        self.leave_other_owner(&state);
        let notes = self.inner.notes();
        let mut keys = BTreeSet::new();
        let mut written = &[][..];
        if !notes.hides_stored() {
            let values = state.record().map(|record| &record.values);
            keys.extend(
                values
                    .into_iter()
                    .flat_map(|values| values.iter().map(|(key, _)| key)),
            );
            written = state.written();
        }
        for (key, value) in written.iter().chain(notes.values.changes()) {
            match value {
                Some(_) => keys.insert(key.as_str()),
                None => keys.remove(key.as_str()),
            };
        }
        Ok(keys.into_iter().map(ToOwned::to_owned).collect())
    }

    async fn read<R>(
        &self,
        name: &str,
        found: impl FnOnce(Option<&[u8]>) -> R,
    ) -> Result<R, SessionError> {
        let (mut state, at) = self.begin().await?;
        self.know(&mut state, name, at).await?;
        if let Noted::Value(value) = self.inner.notes().value(name) {
            return Ok(found(value.map(|value| &value[..])));
        }
        Ok(found(state.stored(name).flatten()))
    }

    /// Makes sure that the value of this key is here.
    async fn know(&self, state: &mut State, name: &str, at: Instants) -> Result<(), SessionError> {
        let noted = matches!(self.inner.notes().value(name), Noted::Value(_));
        if !noted && state.stored(name).is_none() {
            state.load(&self.inner.shared, at.now).await?;
            self.leave_other_owner(state);
        }
        Ok(())
    }

    /// Signing in on a session of somebody else ends that one: none of its values is seen from then on.
    fn leave_other_owner(&self, state: &State) {
        let mut notes = self.inner.notes();
        let owner = state.record().and_then(|record| record.owner.as_ref());
        if let (Some(sign_in), Some(owner)) = (&notes.identity.sign_in, owner)
            && sign_in.owner != *owner
        {
            notes.identity.destroy = true;
        }
    }

    // ---- values: changes that are noted ----

    /// Notes a value for `key`.
    ///
    /// # Errors
    /// If the key is invalid, the value can't be written as JSON, the noted values alone are larger than a session may be, or
    /// the response head has left (see [`detach`](Self::detach)).
    pub fn insert<V: Serialize + ?Sized>(
        &self,
        key: impl InsertKey<V>,
        value: &V,
    ) -> Result<(), SessionError> {
        let key = key.to_key()?;
        let value = encode(&key, value)?;
        self.note_value(key, value)
    }

    /// Notes raw bytes for `key`.
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    pub fn insert_bytes(
        &self,
        key: impl KeyName,
        value: impl Into<Bytes>,
    ) -> Result<(), SessionError> {
        self.note_value(key.to_key()?, value.into())
    }

    fn note_value(&self, key: KeyBuf, value: Bytes) -> Result<(), SessionError> {
        let mut notes = self.write()?;
        let others = notes.values.size_without(key.as_str());
        let size = others + (key.as_str().len() + value.len()) as u64;
        if size > self.inner.shared.max_session_bytes {
            return Err(self.inner.too_large(size));
        }
        notes.values.change(key, Some(value));
        Ok(())
    }

    /// Notes that the value at `key` goes.
    ///
    /// # Errors
    /// If the key is invalid, or the response head has left (see [`detach`](Self::detach)).
    pub fn remove(&self, key: impl KeyName) -> Result<(), SessionError> {
        let key = key.to_key()?;
        self.write()?.values.change(key, None);
        Ok(())
    }

    /// Notes that all values go, also those that other requests write until the commit. The session itself stays: to end it,
    /// [`destroy`](Self::destroy).
    ///
    /// # Errors
    /// If the response head has left (see [`detach`](Self::detach)).
    pub fn clear(&self) -> Result<(), SessionError> {
        self.write()?.values.clear();
        Ok(())
    }

    // ---- values: atomic changes ----

    /// Adds to the integer at `key` and returns the sum; an absent value counts as 0. No increment of any request is lost.
    ///
    /// What was noted before goes along to the store.
    ///
    /// # Errors
    /// If the store can't answer, the key is invalid, the value is no integer of 64 bits, the sum doesn't fit into one, the
    /// session would become too large, or it ended since this request looked at it.
    pub async fn increment(&self, key: impl Key<i64>, by: i64) -> Result<i64, SessionError> {
        let key = key.to_key()?;
        let (mut state, at) = self.begin().await?;
        loop {
            let failed = match self.place(&mut state, &key, at).await? {
                Place::Store => {
                    let operation = Operation::Increment(by);
                    match self.operate(&mut state, &key, operation, at).await? {
                        Some(Applied::Applied(receipt)) => {
                            let sum = receipt.incremented.unwrap_or_default();
                            state.note_written(&key, Some(integer_bytes(sum)));
                            return Ok(sum);
                        }
                        Some(failed) => failed,
                        // Nobody's session: the notes are the place now.
                        None => continue,
                    }
                }
                Place::Notes => {
                    let mut notes = self.inner.notes();
                    match increment(
                        notes
                            .value(key.as_str())
                            .or_absent()
                            .map(|value| &value[..]),
                        by,
                    ) {
                        Ok(sum) => {
                            notes.values.change(key, Some(integer_bytes(sum)));
                            return Ok(sum);
                        }
                        Err(failed) => failed,
                    }
                }
            };
            return Err(match failed {
                Applied::NotAnInteger => SessionError::NotAnInteger { key },
                _ => SessionError::Overflow { key },
            });
        }
    }

    /// Replaces the value at `key` by what `change` makes of it (`None`: no value), and returns the new one. No update of any
    /// request is lost: if another one changed the value meanwhile, `change` runs again on what that one left.
    ///
    /// Nothing is locked while `change` runs, so it may run several times and must have no effects of its own. What was noted
    /// before goes along to the store.
    ///
    /// ```
    /// # use tower_kr_session::{Session, SessionError, SessionKey};
    /// const CART: SessionKey<Vec<u32>> = SessionKey::new("cart");
    ///
    /// # async fn handler(session: Session) -> Result<(), SessionError> {
    /// let cart = session
    ///     .update(CART, |cart| {
    ///         let mut cart = cart.unwrap_or_default();
    ///         cart.push(42);
    ///         Some(cart)
    ///     })
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`increment`](Self::increment), if the value is of another type, or if other requests were faster in each of 64
    /// attempts ([`SessionError::Contended`]).
    pub async fn update<T: Serialize + DeserializeOwned>(
        &self,
        key: impl Key<T>,
        mut change: impl FnMut(Option<T>) -> Option<T>,
    ) -> Result<Option<T>, SessionError> {
        let key = key.to_key()?;
        self.exchange(&key, |old| {
            let new = change(decode(key.as_str(), old)?);
            let bytes = new.as_ref().map(|new| encode(&key, new)).transpose()?;
            Ok((bytes, new))
        })
        .await
    }

    /// Removes the value at `key` and returns it. Of several requests at the same time one gets it: right for messages that are
    /// shown once.
    ///
    /// # Errors
    /// As [`update`](Self::update).
    pub async fn take<T: DeserializeOwned>(
        &self,
        key: impl Key<T>,
    ) -> Result<Option<T>, SessionError> {
        let key = key.to_key()?;
        self.exchange(&key, |old| Ok((None, decode(key.as_str(), old)?)))
            .await
    }

    /// Compare-and-set until it succeeds.
    async fn exchange<R>(
        &self,
        key: &KeyBuf,
        mut change: impl FnMut(Option<&[u8]>) -> Result<(Option<Bytes>, R), SessionError>,
    ) -> Result<R, SessionError> {
        for attempt in 0..UPDATE_ATTEMPTS {
            self.pause_before(attempt).await;
            let expected = self.value_to_exchange(key).await?;
            // Nothing is locked here: other calls, of this request too, go on while the closure runs.
            let (new, result) = change(expected.as_deref())?;
            if new == expected || self.compare_and_set(key, &expected, &new).await? {
                return Ok(result);
            }
        }
        Err(SessionError::Contended {
            key: key.clone(),
            attempts: UPDATE_ATTEMPTS,
        })
    }

    async fn value_to_exchange(&self, key: &KeyBuf) -> Result<Option<Bytes>, SessionError> {
        let (mut state, at) = self.begin().await?;
        match self.place(&mut state, key, at).await? {
            Place::Notes => Ok(self.inner.notes().value(key.as_str()).or_absent().cloned()),
            Place::Store => {
                self.know(&mut state, key.as_str(), at).await?;
                let stored = state.stored(key.as_str()).flatten();
                Ok(stored.map(Bytes::copy_from_slice))
            }
        }
    }

    /// `false` if the value is not the expected one any more.
    async fn compare_and_set(
        &self,
        key: &KeyBuf,
        expected: &Option<Bytes>,
        new: &Option<Bytes>,
    ) -> Result<bool, SessionError> {
        let (mut state, at) = self.begin().await?;
        match self.place(&mut state, key, at).await? {
            Place::Store => {
                let operation = Operation::CompareAndSet {
                    expected: expected.clone(),
                    new: new.clone(),
                };
                match self.operate(&mut state, key, operation, at).await? {
                    Some(Applied::Applied(_)) => {
                        state.note_written(key, new.clone());
                        Ok(true)
                    }
                    Some(_) => {
                        state.forget();
                        Ok(false)
                    }
                    // Nobody's session: look again, at the notes.
                    None => Ok(false),
                }
            }
            Place::Notes => {
                let mut notes = self.inner.notes();
                let unchanged = notes.value(key.as_str()).or_absent() == expected.as_ref();
                if unchanged {
                    notes.values.change(key.clone(), new.clone());
                }
                Ok(unchanged)
            }
        }
    }

    /// Spreads requests that fight for one value over time.
    async fn pause_before(&self, attempt: u32) {
        if attempt < EAGER_ATTEMPTS {
            return;
        }
        if !self.inner.shared.store.needs_io() {
            return tokio::task::yield_now().await;
        }
        let longest = 1_u64 << (attempt - EAGER_ATTEMPTS).min(5);
        let pause = rand::random_range(0..=longest);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }

    /// Where the value of `key` stands now; an error if the session can't be written to.
    async fn place(
        &self,
        state: &mut State,
        key: &KeyBuf,
        at: Instants,
    ) -> Result<Place, SessionError> {
        state.identify(&self.inner.shared, at.now).await?;
        let signing_in = self.inner.notes().identity.sign_in.is_some();
        if signing_in {
            // Whose session it is decides whether its values still count.
            state.load(&self.inner.shared, at.now).await?;
            self.leave_other_owner(state);
        }
        let notes = self.inner.notes();
        match state.view {
            View::Ambiguous => Err(SessionError::AmbiguousCookie),
            _ if matches!(notes.value(key.as_str()), Noted::Value(_)) => Ok(Place::Notes),
            View::Alive(_) | View::Unknown(_) => Ok(Place::Store),
            _ if notes.head_sent => {
                Err(SessionError::ResponseSent("a session can't start any more"))
            }
            View::Absent { .. } => Ok(Place::Notes),
            View::Superseded | View::Ended if signing_in => Ok(Place::Notes),
            View::Superseded => Err(SessionError::Superseded),
            View::Ended => Err(SessionError::Ended),
        }
    }

    /// Sends an operation and the noted values. `None`: there is no session, so it is to be done on the notes.
    async fn operate(
        &self,
        state: &mut State,
        key: &KeyBuf,
        operation: Operation,
        at: Instants,
    ) -> Result<Option<Applied>, SessionError> {
        let Some(token) = state.token.clone() else {
            return Ok(None);
        };
        let taken = std::mem::take(&mut self.inner.notes().values);
        let mut delta = taken.delta(self.inner.shared.max_session_bytes);
        delta.operation = Some((key.clone(), operation));
        let applied = state.apply(&self.inner.shared, &token, delta, at).await?;
        if let Applied::Applied(_) = applied {
            state.remember(taken.changes());
            return Ok(Some(applied));
        }
        self.inner.notes().values.put_back(taken);
        match applied {
            Applied::Missing if state.seen_alive => {
                state.view = View::Ended;
                Err(SessionError::Ended)
            }
            Applied::Missing => {
                state.view = View::Absent { expired: true };
                Ok(None)
            }
            Applied::Superseded => {
                state.view = View::Superseded;
                Err(SessionError::Superseded)
            }
            Applied::TooLarge { size } => Err(self.inner.too_large(size)),
            refused => Ok(Some(refused)),
        }
    }

    // ---- who the session is ----

    /// Signs a user in: the session gets this owner, a new token, the time of authentication and a fresh absolute deadline; its
    /// values stay. Done in the commit, before the response leaves.
    ///
    /// If the session belongs to another user, it is ended, and a new one starts with what this request noted. Call it after
    /// the credentials were checked, also when a signed-in user proves himself again.
    ///
    /// # Errors
    /// If the owner is empty or longer than 256 bytes, or the response head has left.
    pub fn sign_in(&self, owner: impl AsRef<str>) -> Result<(), SessionError> {
        let owner = Owner::new(owner.as_ref())?;
        let authenticated_at = self.inner.shared.now();
        self.write_identity()?.identity.sign_in = Some(SignIn::new(owner, authenticated_at));
        Ok(())
    }

    /// Ends the session, as [`destroy`](Self::destroy).
    ///
    /// # Errors
    /// If the response head has left.
    pub fn sign_out(&self) -> Result<(), SessionError> {
        self.destroy()
    }

    /// Gives the session a new token in the commit; the old one is refused from then on. [`sign_in`](Self::sign_in) does so by
    /// itself; do it also when rights change.
    ///
    /// # Errors
    /// If the response head has left.
    pub fn rotate(&self) -> Result<(), SessionError> {
        self.write_identity()?.identity.rotate = true;
        Ok(())
    }

    /// Ends the session in the commit: its record goes, its cookie is removed, and no request that is still running brings it
    /// back. What this request noted before goes too; what it notes afterwards starts a new session.
    ///
    /// # Errors
    /// If the response head has left (see [`detach`](Self::detach)).
    pub fn destroy(&self) -> Result<(), SessionError> {
        self.write()?.destroy();
        Ok(())
    }

    /// Gives this session an idle timeout of its own ("remember me"), from 1 ms to 400 days; it comes with a new token.
    ///
    /// # Errors
    /// If the timeout is out of range, or the response head has left.
    pub fn set_idle_timeout(&self, timeout: Duration) -> Result<(), SessionError> {
        if !is_timeout(timeout) {
            return Err(SessionError::InvalidLimit("the idle timeout"));
        }
        self.write_identity()?.identity.limits.idle = Some(IdleLimit::new(timeout));
        Ok(())
    }

    /// Gives this session an absolute timeout of its own, from 1 ms to 400 days; it comes with a new token.
    ///
    /// # Errors
    /// If the timeout is out of range, or the response head has left.
    pub fn set_absolute_timeout(&self, timeout: Duration) -> Result<(), SessionError> {
        if !is_timeout(timeout) {
            return Err(SessionError::InvalidLimit("the absolute timeout"));
        }
        self.write_identity()?.identity.limits.absolute_timeout = Some(whole_millis(timeout));
        Ok(())
    }

    /// Makes the cookie outlive the browser's session, until the absolute deadline, or not; it comes with a new token.
    ///
    /// # Errors
    /// If the response head has left.
    pub fn set_persistent(&self, persistent: bool) -> Result<(), SessionError> {
        self.write_identity()?.identity.limits.persistent = Some(persistent);
        Ok(())
    }

    /// The public id of the session; `None` if there is none, or it is only about to start.
    ///
    /// # Errors
    /// If the store can't answer.
    pub async fn id(&self) -> Result<Option<SessionId>, SessionError> {
        let (mut state, at) = self.begin().await?;
        state.find_out(&self.inner.shared, at.now).await?;
        let ends = self.inner.notes().identity.destroy;
        Ok(if ends { None } else { state.id() })
    }

    /// What the session is to this request.
    ///
    /// # Errors
    /// If the store can't answer.
    pub async fn status(&self) -> Result<Status, SessionError> {
        let (mut state, at) = self.begin().await?;
        state.find_out(&self.inner.shared, at.now).await?;
        let notes = self.inner.notes();
        Ok(match state.view {
            View::Ambiguous => Status::Conflict,
            _ if notes.identity.destroy && notes.starts_session() => Status::New,
            _ if notes.identity.destroy => Status::Absent,
            View::Alive(_) if state.started => Status::New,
            View::Alive(_) => Status::Active,
            View::Superseded => Status::Superseded,
            View::Ended => Status::Expired,
            View::Absent { .. } if notes.starts_session() => Status::New,
            View::Absent { expired: true } => Status::Expired,
            View::Absent { expired: false } | View::Unknown(_) => Status::Absent,
        })
    }

    /// The user who is signed in, also if this request signed him in.
    ///
    /// # Errors
    /// If the store can't answer.
    pub async fn owner(&self) -> Result<Option<Owner>, SessionError> {
        self.of_record(
            |sign_in| Some(sign_in.owner.clone()),
            |record| record.owner.clone(),
        )
        .await
    }

    /// When the user last proved who he is.
    ///
    /// # Errors
    /// If the store can't answer.
    pub async fn authenticated_at(&self) -> Result<Option<Timestamp>, SessionError> {
        self.of_record(
            |sign_in| Some(sign_in.authenticated_at),
            |record| record.authenticated_at,
        )
        .await
    }

    /// When the session began.
    ///
    /// # Errors
    /// If the store can't answer.
    pub async fn created_at(&self) -> Result<Option<Timestamp>, SessionError> {
        self.of_record(|_| None, |record| Some(record.created_at))
            .await
    }

    /// Until when the session lives if no further request uses it; `None` if there is none, or it is only about to start.
    ///
    /// # Errors
    /// If the store can't answer.
    pub async fn expires_at(&self) -> Result<Option<Timestamp>, SessionError> {
        let now = self.inner.shared.now();
        // This very request counts as activity.
        self.of_record(
            |_| None,
            |record| {
                let idle = now.saturating_add(record.idle.timeout);
                Some(idle.min(record.absolute_deadline))
            },
        )
        .await
    }

    /// When the session ends whatever its activity; `None` if there is none, or it is only about to start.
    ///
    /// # Errors
    /// If the store can't answer.
    pub async fn absolute_deadline(&self) -> Result<Option<Timestamp>, SessionError> {
        self.of_record(|_| None, |record| Some(record.absolute_deadline))
            .await
    }

    async fn of_record<R>(
        &self,
        signed_in: impl FnOnce(&SignIn) -> Option<R>,
        stored: impl FnOnce(&Record) -> Option<R>,
    ) -> Result<Option<R>, SessionError> {
        let (mut state, at) = self.begin().await?;
        state.load(&self.inner.shared, at.now).await?;
        let notes = self.inner.notes();
        Ok(match &notes.identity.sign_in {
            Some(sign_in) => signed_in(sign_in),
            None if notes.identity.destroy => None,
            None => state.record().and_then(stored),
        })
    }

    // ---- storing ----

    /// Stores everything noted so far, now: to know that it is stored before going on, or from a stream or socket whose response
    /// head has left (see [`detach`](Self::detach)).
    ///
    /// # Errors
    /// As the commit at the end of the request: if the store can't answer, the session would become too large, or it ended or
    /// changed its token since this request looked at it. What was noted is then dropped, and nothing of it is stored.
    pub async fn save(&self) -> Result<(), SessionError> {
        let (mut state, at) = self.begin().await?;
        match self.inner.take_work(at, false) {
            Some(work) => self.inner.store_work(&mut state, work).await,
            None => Ok(()),
        }
    }

    /// A handle for work that outlives the response: a stream, a socket, a spawned task. On it, changes of values and
    /// [`destroy`](Self::destroy) can be noted after the response head has left, and whoever does so calls
    /// [`save`](Self::save). Without it they are an error then, since nothing would store them.
    ///
    /// ```
    /// # use tower_kr_session::{Session, SessionError};
    /// # async fn handler(session: Session) -> Result<(), SessionError> {
    /// let session = session.detach();
    /// tokio::spawn(async move {
    ///     session.insert("progress", &100)?;
    ///     session.save().await
    /// });
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn detach(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            detached: true,
        }
    }

    // ---- for every call ----

    async fn begin(&self) -> Result<(StateGuard<'_, State>, Instants), SessionError> {
        let at = self.inner.contact();
        let mut state = self.inner.state.lock().await;
        state.check()?;
        Ok((state, at))
    }

    /// The notes, to add to them.
    fn write(&self) -> Result<MutexGuard<'_, Notes>, SessionError> {
        self.inner.contact();
        let notes = self.inner.notes();
        if notes.head_sent && !self.detached {
            return Err(SessionError::ResponseSent(
                "a change would not be stored; take `session.detach()` and call `save` on it",
            ));
        }
        Ok(notes)
    }

    /// The notes, to add what needs a cookie.
    fn write_identity(&self) -> Result<MutexGuard<'_, Notes>, SessionError> {
        self.inner.contact();
        let notes = self.inner.notes();
        if notes.head_sent {
            return Err(SessionError::ResponseSent("no cookie can be sent any more"));
        }
        Ok(notes)
    }

    // ---- for the response future ----

    /// Closes a session that was not used, without taking a lock. `false` if it was used.
    pub(crate) fn close_untouched(&self) -> bool {
        self.inner
            .phase
            .compare_exchange(UNTOUCHED, CLOSED, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// The request ends without a commit.
    pub(crate) fn abandon(&self) {
        if !self.close_untouched() {
            self.inner.notes().head_sent = true;
        }
    }

    /// Commits in place if that needs no I/O.
    pub(crate) fn commit_at_once(&self) -> Option<Committed> {
        let state = self.inner.state.try_lock().ok()?;
        if self.inner.shared.store.needs_io() && self.inner.has_io_to_do(&state) {
            return None;
        }
        let commit = pin!(self.inner.commit(state));
        match commit.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(committed) => Some(committed),
            // Without I/O, and with the state in hand, there is nothing to wait for.
            Poll::Pending => Some(Committed {
                result: Err(SessionError::Interrupted),
                cookie: None,
            }),
        }
    }

    pub(crate) async fn commit(&self) -> Committed {
        let state = self.inner.state.lock().await;
        let committed = self.inner.commit(state).await;
        if committed.result.is_ok() {
            self.touch_in_background().await;
        }
        committed
    }

    /// The touch of a request that only read follows the response, without delaying it.
    async fn touch_in_background(&self) {
        let inner = Arc::clone(&self.inner);
        let touch = async move {
            let mut state = inner.state.lock().await;
            let now = inner.shared.now();
            if state.touch_is_due(now) {
                inner.touch(&mut state, now).await;
            }
        };
        if self.inner.shared.store.needs_io() {
            match tokio::runtime::Handle::try_current() {
                Ok(runtime) => drop(runtime.spawn(touch)),
                Err(_) => touch.await,
            }
        }
    }

    pub(crate) fn send(&self, change: &CookieChange, headers: &mut HeaderMap) {
        let inner = &self.inner;
        if let Err(error) = transport::send(change, headers, &inner.shared, inner.https) {
            // The template was checked at start and a token is always a cookie value: only a clock far off gets here.
            tracing::error!(%error, "could not write the session cookie");
        }
    }

    pub(crate) fn error_hook(&self) -> Option<&ErrorHook> {
        self.inner.shared.on_error.as_ref()
    }

    pub(crate) fn log_failure(&self, error: &SessionError) {
        let shared = &self.inner.shared;
        if error.is_temporary() {
            if let Some(suppressed) = shared.failure_log.permit(shared.now()) {
                tracing::error!(%error, suppressed, "could not commit a session");
            }
        } else {
            tracing::debug!(%error, "did not commit a session");
        }
    }
}

impl Inner {
    fn notes(&self) -> MutexGuard<'_, Notes> {
        // Nothing that panics runs while the notes are locked.
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The times by which this call is judged. The first one is when the request first used its session.
    fn contact(&self) -> Instants {
        let now = self.shared.now();
        let before =
            self.phase
                .compare_exchange(UNTOUCHED, TOUCHED, Ordering::AcqRel, Ordering::Acquire);
        let mut notes = self.notes();
        if before == Err(CLOSED) {
            notes.head_sent = true;
        }
        Instants {
            first_contact: *notes.first_contact.get_or_insert(now),
            now,
        }
    }

    /// Takes what was noted. `closing`: the commit takes it, and from here on the head of the response is on its way.
    fn take_work(&self, at: Instants, closing: bool) -> Option<Work> {
        let mut notes = self.notes();
        let work = (!notes.is_empty()).then(|| Work {
            values: std::mem::take(&mut notes.values),
            identity: std::mem::take(&mut notes.identity),
            at,
            head_sent: notes.head_sent,
        });
        notes.head_sent |= closing;
        work
    }

    fn has_io_to_do(&self, state: &State) -> bool {
        !self.notes().is_empty() || state.touch_is_due(self.shared.now()) || state.is_poisoned()
    }

    /// Stores what the request noted, and closes the session.
    async fn commit(&self, mut state: StateGuard<'_, State>) -> Committed {
        let at = self.contact();
        let work = self.take_work(at, true);
        let result = match (state.check(), work) {
            (Err(error), _) => Err(error),
            (Ok(()), Some(work)) => self.store_work(&mut state, work).await,
            (Ok(()), None) => {
                if !self.shared.store.needs_io() && state.touch_is_due(at.now) {
                    self.touch(&mut state, at.now).await;
                }
                Ok(())
            }
        };
        Committed {
            result,
            cookie: state.cookie.take(),
        }
    }
}

/// What became of a session, and what the client has to be told even if that is an error: a token that
/// [`save`](Session::save) put into the store early is the only one that the client can go on with.
pub(crate) struct Committed {
    pub(crate) result: Result<(), SessionError>,
    pub(crate) cookie: Option<CookieChange>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self
            .inner
            .state
            .try_lock()
            .ok()
            .and_then(|state| state.id());
        f.debug_struct("Session")
            .field("id", &id)
            .finish_non_exhaustive()
    }
}

fn decode<T: DeserializeOwned>(key: &str, value: Option<&[u8]>) -> Result<Option<T>, SessionError> {
    let Some(value) = value else {
        return Ok(None);
    };
    match serde_json::from_slice(value) {
        Ok(value) => Ok(Some(value)),
        Err(source) => Err(SessionError::Decode {
            key: KeyBuf::new(key)?,
            source: Arc::new(source),
        }),
    }
}

fn encode<T: Serialize + ?Sized>(key: &KeyBuf, value: &T) -> Result<Bytes, SessionError> {
    serde_json::to_vec(value)
        .map(Bytes::from)
        .map_err(|source| SessionError::Encode {
            key: key.clone(),
            source: Arc::new(source),
        })
}
