//! The session, as a handler sees it.
//!
//! A method here reads, notes or asks. What a request knows and decides is plain data in `request`
//! (`notes` holds what it wants to change, `view` what it found). `ask` calls the store, one call
//! of a request at a time. `values` holds the atomic operations, `commit` the outcome table,
//! `sign_in` what a sign-in adds to it, `device` what a binding to a device adds, `end` what
//! happens when the response is ready, and `outlive` what is different after that.

mod ask;
mod commit;
#[cfg(feature = "device-bound")]
mod device;
mod end;
mod notes;
mod outlive;
mod request;
mod sign_in;
mod status;
mod values;
mod view;

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

pub(crate) use self::end::{Commit, Committed, End};
pub use self::status::Status;
use self::{ask::Inner, notes::Notes, request::Request};
use crate::{
    config::{Config, Head},
    error::SessionError,
    json::{decode, encode},
    model::{
        IdleLimit, Label, Owner, Record, SessionId, SignIn, Timestamp, Values,
        key::{InsertKey, Key, KeyBuf, KeyName},
        whole_millis,
    },
    transport::Candidates,
};

/// The session of a request. A clone is the same session.
///
/// Nothing is loaded until the first read, and what a request sets is stored when the response is
/// ready; a request that doesn't use its session makes no store call. `.await` stands exactly where
/// I/O may happen:
///
/// | call | when it reaches the store |
/// |---|---|
/// | [`get`](Self::get), [`contains_key`](Self::contains_key), [`keys`](Self::keys), [`values`](Self::values), [`id`](Self::id), [`status`](Self::status), [`owner`](Self::owner), … | the first one loads the session; later ones are answered from it |
/// | [`insert`](Self::insert), [`remove`](Self::remove), [`clear`](Self::clear) | kept, and stored in one commit before the response leaves |
/// | [`increment`](Self::increment), [`update`](Self::update), [`take`](Self::take) | at once and atomic: nothing is lost between requests |
/// | [`sign_in`](Self::sign_in), [`rotate`](Self::rotate), [`destroy`](Self::destroy) | kept, and done in the commit |
/// | [`save`](Self::save) | commits now |
///
/// Values are JSON of any serde type; the `_bytes` calls take and return raw bytes. Two requests
/// that `insert` at the same key: the last one wins. Two requests that change different keys never
/// undo each other.
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

/// Values.
impl Session {
    /// Returns the value at `key`.
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
        let value = self.inner.read(name, decode).await?;
        self.watch(value.map_err(|error| SessionError::not_read(name, error)))
    }

    /// Returns the bytes at `key`, as they are stored.
    ///
    /// # Errors
    /// If the store can't answer, or the key is invalid.
    pub async fn get_bytes(&self, key: impl KeyName) -> Result<Option<Bytes>, SessionError> {
        let bytes = |value: Option<&[u8]>| value.map(Bytes::copy_from_slice);
        self.inner.read(key.check()?, bytes).await
    }

    /// Returns whether there is a value at `key`.
    ///
    /// # Errors
    /// If the store can't answer, or the key is invalid.
    pub async fn contains_key(&self, key: impl KeyName) -> Result<bool, SessionError> {
        let is_there = |value: Option<&[u8]>| value.is_some();
        self.inner.read(key.check()?, is_there).await
    }

    /// Returns the keys of all values, sorted.
    ///
    /// # Errors
    /// If the store can't answer.
    pub async fn keys(&self) -> Result<Vec<String>, SessionError> {
        let keys = |request: &Request| {
            request
                .values()
                .into_keys()
                .map(ToOwned::to_owned)
                .collect()
        };
        self.look(Request::record_is_known, keys).await
    }

    /// Returns all values, as they are stored, by their keys.
    ///
    /// # Errors
    /// If the store can't answer.
    pub async fn values(&self) -> Result<BTreeMap<String, Bytes>, SessionError> {
        let copy = |(key, value): (&str, &[u8])| (key.to_owned(), Bytes::copy_from_slice(value));
        let values = |request: &Request| request.values().into_iter().map(copy).collect();
        self.look(Request::record_is_known, values).await
    }

    /// Returns all values, as they are stored, in one run of bytes. It is shared with the record if
    /// this request set none, so it costs no copy.
    ///
    /// # Errors
    /// If the store can't answer.
    pub async fn snapshot(&self) -> Result<Values, SessionError> {
        self.look(Request::record_is_known, Request::snapshot).await
    }

    /// Sets the value at `key`, in the commit.
    ///
    /// What is stored is JSON. A value that is `null` there (`None`, `()`) removes the key, so it
    /// reads as absent. serde gives everything else back as it was, but for types that don't read
    /// what they write: `Some(None)` of an `Option<Option<T>>` comes back as absent, an untagged
    /// enum as the first variant that fits, and fields that are skipped get their default.
    ///
    /// # Errors
    /// If the key is invalid, the value can't be written as JSON (a number is NaN or infinite, it
    /// is nested more than 127 levels deep, a map has keys that are no text, number or `bool`), the
    /// values that this request set are alone larger than a session may be, or the response head
    /// has left (see [`detach`](Self::detach)).
    pub fn insert<V: Serialize + ?Sized>(
        &self,
        key: impl InsertKey<V>,
        value: &V,
    ) -> Result<(), SessionError> {
        self.set(key, |key| {
            encode(value).map_err(|error| SessionError::not_written(key, error))
        })
    }

    /// Sets raw bytes at `key`, in the commit.
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    pub fn insert_bytes(
        &self,
        key: impl KeyName,
        value: impl Into<Bytes>,
    ) -> Result<(), SessionError> {
        self.set(key, |_| Ok(Some(value.into())))
    }

    /// Removes the value at `key`, in the commit.
    ///
    /// # Errors
    /// If the key is invalid, or the response head has left (see [`detach`](Self::detach)).
    pub fn remove(&self, key: impl KeyName) -> Result<(), SessionError> {
        self.set(key, |_| Ok(None))
    }

    /// Removes all values in the commit, also those that other requests write until then. The
    /// session itself stays: to end it, call [`destroy`](Self::destroy).
    ///
    /// # Errors
    /// If the response head has left (see [`detach`](Self::detach)).
    pub fn clear(&self) -> Result<(), SessionError> {
        self.note(|notes| {
            notes.clear();
            Ok(())
        })
    }

    /// Adds to the integer at `key` and returns the sum; an absent value counts as 0. No increment
    /// of any request is lost.
    ///
    /// Values that this request set before go along to the store.
    ///
    /// # Errors
    /// If the store can't answer, the key is invalid, the value is no integer of 64 bits, the sum
    /// doesn't fit into one, the session would become too large, or it ended since this request
    /// looked at it.
    pub async fn increment(&self, key: impl Key<i64>, by: i64) -> Result<i64, SessionError> {
        let key = key.to_key()?;
        self.watch(self.inner.increment(&key, by).await)
    }

    /// Replaces the value at `key` by what `change` makes of it (`None`: no value), and returns the
    /// new one. No update of any request is lost: if another one changed the value meanwhile,
    /// `change` runs again on what that one left.
    ///
    /// Nothing is locked while `change` runs, so it may run several times and must have no effects
    /// of its own. Values that this request set before go along to the store.
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
    /// As [`increment`](Self::increment), if the value is of another type (see
    /// [`update_bytes`](Self::update_bytes)), or if other requests were faster in each of 64
    /// attempts ([`SessionError::Contended`]).
    pub async fn update<T: Serialize + DeserializeOwned>(
        &self,
        key: impl Key<T>,
        mut change: impl FnMut(Option<T>) -> Option<T>,
    ) -> Result<Option<T>, SessionError> {
        let key = key.to_key()?;
        let exchange = self.inner.exchange(&key, |old| {
            let old = decode(old).map_err(|error| SessionError::not_read(key.as_str(), error))?;
            let new = change(old);
            let bytes = match &new {
                Some(new) => encode(new).map_err(|error| SessionError::not_written(&key, error))?,
                None => None,
            };
            Ok((bytes, new))
        });
        self.watch(exchange.await)
    }

    /// Removes the value at `key` and returns it. Of several requests at the same time one gets it:
    /// right for messages that are shown once.
    ///
    /// # Errors
    /// As [`update`](Self::update).
    pub async fn take<T: DeserializeOwned>(
        &self,
        key: impl Key<T>,
    ) -> Result<Option<T>, SessionError> {
        let key = key.to_key()?;
        let take = self.inner.exchange(&key, |old| {
            let old = decode(old).map_err(|error| SessionError::not_read(key.as_str(), error))?;
            Ok((None, old))
        });
        self.watch(take.await)
    }

    /// Replaces the bytes at `key` by what `change` makes of them, as [`update`](Self::update) does
    /// with a value of one type. So it can replace a value of another type, say, one that an
    /// earlier release of the application stored:
    ///
    /// ```
    /// # use tower_kr_session::{Session, SessionError};
    /// # #[derive(serde::Deserialize, serde::Serialize, Default)]
    /// # struct Cart { items: Vec<u32> }
    /// # async fn handler(session: Session) -> Result<(), SessionError> {
    /// let add = |old: Option<&[u8]>| {
    ///     let old = old.and_then(|old| serde_json::from_slice::<Cart>(old).ok());
    ///     let mut cart = old.unwrap_or_default();
    ///     cart.items.push(42);
    ///     serde_json::to_vec(&cart).ok().map(Into::into)
    /// };
    /// session.update_bytes("cart", add).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`update`](Self::update).
    pub async fn update_bytes(
        &self,
        key: impl KeyName,
        mut change: impl FnMut(Option<&[u8]>) -> Option<Bytes>,
    ) -> Result<Option<Bytes>, SessionError> {
        let key = key.to_key()?;
        let exchange = self.inner.exchange(&key, |old| {
            let new = change(old);
            Ok((new.clone(), new))
        });
        self.watch(exchange.await)
    }

    /// Removes the bytes at `key`, of any type, and returns them, as [`take`](Self::take).
    ///
    /// # Errors
    /// As [`update`](Self::update).
    pub async fn take_bytes(&self, key: impl KeyName) -> Result<Option<Bytes>, SessionError> {
        let key = key.to_key()?;
        let take = |old: Option<&[u8]>| Ok((None, old.map(Bytes::copy_from_slice)));
        self.watch(self.inner.exchange(&key, take).await)
    }
}

/// The user, and the life of the session.
impl Session {
    /// Signs a user in: the session gets this owner, a new token, the time of authentication and a
    /// fresh absolute deadline; its values stay. Done in the commit, before the response leaves.
    ///
    /// If the session belongs to another user, it is ended, and a new one starts with what this
    /// request set. If the request carries cookies of several sessions, all of these end. Call it
    /// after the credentials were checked, also when a signed-in user proves again who they are.
    ///
    /// The commit may still refuse it, and so does a [`save`](Self::save), which lets the handler
    /// say why: all of the user's sessions were revoked meanwhile ([`SessionError::Revoked`]), they
    /// have too many ([`SessionError::TooManySessions`]), or the visitor has not consented to the
    /// cookie ([`SessionError::NoConsent`]).
    ///
    /// # Errors
    /// If the owner is empty or longer than 256 bytes, or the response head has left.
    pub fn sign_in(&self, owner: impl AsRef<str>) -> Result<(), SessionError> {
        self.note_sign_in(owner.as_ref(), None)
    }

    /// Signs a user in, as [`sign_in`](Self::sign_in), and gives the session a name for the list of
    /// the user's devices ([`SessionSummary::label`](crate::SessionSummary::label)).
    ///
    /// Say what was recognised in the `User-Agent`, such as "Firefox on Linux", never the header
    /// itself. A later sign-in without a label keeps this one.
    ///
    /// # Errors
    /// If the owner or the label is empty or longer than 256 bytes, or the response head has left.
    pub fn sign_in_with_label(
        &self,
        owner: impl AsRef<str>,
        label: impl AsRef<str>,
    ) -> Result<(), SessionError> {
        let label = Label::new(label.as_ref())?;
        self.note_sign_in(owner.as_ref(), Some(label))
    }

    /// Ends the session, as [`destroy`](Self::destroy).
    ///
    /// # Errors
    /// If the response head has left.
    pub fn sign_out(&self) -> Result<(), SessionError> {
        self.destroy()
    }

    /// Gives the session a new token in the commit; the old one is refused from then on.
    /// [`sign_in`](Self::sign_in) does so by itself; do it also when rights change.
    ///
    /// # Errors
    /// If the response head has left.
    pub fn rotate(&self) -> Result<(), SessionError> {
        self.note_identity(|notes| notes.rotate = true)
    }

    /// Ends the session in the commit: its record goes, its cookie is removed, and no request that
    /// is still running brings it back. What this request set before goes too; what it sets
    /// afterwards starts a new session. If the request carries cookies of several sessions, all of
    /// these end.
    ///
    /// # Errors
    /// If the response head has left (see [`detach`](Self::detach)).
    pub fn destroy(&self) -> Result<(), SessionError> {
        self.note(|notes| {
            notes.destroy();
            Ok(())
        })
    }

    /// Gives this session an idle timeout of its own ("remember me"), from 1 ms to 400 days, or to
    /// what the layer's [assurance level](crate::AssuranceLevel) allows. It comes with a new token.
    ///
    /// The absolute timeout ends the session all the same: if it is shorter, set that
    /// [too](Self::set_absolute_timeout).
    ///
    /// # Errors
    /// If the timeout is out of range, or the response head has left.
    pub fn set_idle_timeout(&self, timeout: Duration) -> Result<(), SessionError> {
        let longest = self.inner.config.longest_idle_timeout;
        self.watch(SessionError::check_limit("idle timeout", timeout, longest))?;
        self.note_identity(|notes| notes.delta.limits.idle = Some(IdleLimit::new(timeout)))
    }

    /// Gives this session an absolute timeout of its own, from 1 ms to 400 days, or to what the
    /// layer's [assurance level](crate::AssuranceLevel) allows. It counts from the session's start
    /// or the last sign-in (so a short one can end an old session at once), and comes with a new
    /// token.
    ///
    /// # Errors
    /// If the timeout is out of range, or the response head has left.
    pub fn set_absolute_timeout(&self, timeout: Duration) -> Result<(), SessionError> {
        let longest = self.inner.config.longest_absolute_timeout;
        self.watch(SessionError::check_limit(
            "absolute timeout",
            timeout,
            longest,
        ))?;
        let timeout = Some(whole_millis(timeout));
        self.note_identity(|notes| notes.delta.limits.absolute_timeout = timeout)
    }

    /// Makes the cookie outlive the browser's session, until the absolute deadline, or not. It
    /// comes with a new token.
    ///
    /// # Errors
    /// If the response head has left.
    pub fn set_persistent(&self, persistent: bool) -> Result<(), SessionError> {
        self.note_identity(|notes| notes.delta.limits.persistent = Some(persistent))
    }

    /// Returns the public id of the session; `None` if there is none, or it is only about to start.
    ///
    /// # Errors
    /// If the store can't answer.
    pub async fn id(&self) -> Result<Option<SessionId>, SessionError> {
        let id = |request: &Request| request.id().filter(|_| !request.notes().destroy);
        self.look(Request::presence_is_known, id).await
    }

    /// Returns the id in the token that the request carries, without a call to the store: the
    /// session may be over, and the secret wrong. Of several tokens it is the first one. `None` if
    /// the request carries none or too many, or is known to have no session, or to end it.
    #[must_use]
    pub fn presented_id(&self) -> Option<SessionId> {
        self.inner.request().presented_id()
    }

    /// Returns how the session stands for this request.
    ///
    /// # Errors
    /// If the store can't answer.
    pub async fn status(&self) -> Result<Status, SessionError> {
        let withheld = self.inner.head.withheld;
        let status = |request: &Request| request.status(withheld);
        self.look(Request::presence_is_known, status).await
    }

    /// Returns the user who is signed in, also if this request signs them in.
    ///
    /// # Errors
    /// If the store can't answer.
    pub async fn owner(&self) -> Result<Option<Owner>, SessionError> {
        let (sign_in, record) = self.sign_in_and_record().await?;
        let record_owner = || record.and_then(|record| record.owner.clone());
        Ok(sign_in.map_or_else(record_owner, |sign_in| Some(sign_in.owner)))
    }

    /// Returns when the user last proved who they are.
    ///
    /// # Errors
    /// If the store can't answer.
    pub async fn authenticated_at(&self) -> Result<Option<Timestamp>, SessionError> {
        let (sign_in, record) = self.sign_in_and_record().await?;
        let record_time = || record.and_then(|record| record.authenticated_at);
        Ok(sign_in.map_or_else(record_time, |sign_in| Some(sign_in.authenticated_at)))
    }

    /// Returns whether the user proved who they are less than `window` ago: ask it before something
    /// sensitive, and let them prove it again if not (ASVS 5.0, 7.5.1 and 7.5.3). `false` if nobody
    /// is signed in. A sign-in by this request counts.
    ///
    /// A sign-in that lies more than 10 seconds in the future comes from a clock that was wrong,
    /// and counts as old. Less than that is what the clocks of nodes may differ by.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower_kr_session::{Session, SessionError};
    ///
    /// # async fn store(_: &str) {}
    /// async fn change_email(session: Session, email: &str) -> Result<&'static str, SessionError> {
    ///     if !session.authenticated_within(Duration::from_secs(5 * 60)).await? {
    ///         return Ok("Please enter your password again.");
    ///     }
    ///     store(email).await;
    ///     Ok("Changed.")
    /// }
    /// ```
    ///
    /// # Errors
    /// If the store can't answer.
    pub async fn authenticated_within(&self, window: Duration) -> Result<bool, SessionError> {
        let (sign_in, record) = self.sign_in_and_record().await?;
        if sign_in.is_some() {
            return Ok(true);
        }
        let now = self.inner.config.now();
        Ok(record.is_some_and(|record| record.is_authenticated_within(window, now)))
    }

    /// Returns when the session began.
    ///
    /// # Errors
    /// If the store can't answer.
    pub async fn created_at(&self) -> Result<Option<Timestamp>, SessionError> {
        let (_, record) = self.sign_in_and_record().await?;
        Ok(record.map(|record| record.created_at))
    }

    /// Returns until when the session lives if no further request uses it; `None` if there is none,
    /// or it is only about to start.
    ///
    /// # Errors
    /// If the store can't answer.
    pub async fn expires_at(&self) -> Result<Option<Timestamp>, SessionError> {
        let now = self.inner.config.now();
        let (sign_in, record) = self.sign_in_and_record().await?;
        let Some(record) = record else {
            return Ok(None);
        };
        if self.inner.request().head_sent {
            // A call after the request is no activity.
            return Ok(Some(record.expires_at(now)));
        }
        // A sign-in may bring another idle timeout. This very request counts as activity.
        let config = &self.inner.config;
        let at_sign_in = sign_in
            .as_ref()
            .and_then(|_| config.idle_at_sign_in(&record));
        let idle = now.saturating_add(at_sign_in.unwrap_or(record.idle).timeout);
        Ok(Some(idle.min(absolute_deadline(sign_in, &record, now))))
    }

    /// Returns when the session ends even if it is in use; `None` if there is none, or it is only
    /// about to start.
    ///
    /// # Errors
    /// If the store can't answer.
    pub async fn absolute_deadline(&self) -> Result<Option<Timestamp>, SessionError> {
        let now = self.inner.config.now();
        let (sign_in, record) = self.sign_in_and_record().await?;
        Ok(record.map(|record| absolute_deadline(sign_in, &record, now)))
    }

    /// Returns how long the session lives without a request; `None` if there is none, or it is only
    /// about to start.
    ///
    /// # Errors
    /// If the store can't answer.
    pub async fn idle_timeout(&self) -> Result<Option<Duration>, SessionError> {
        let (_, record) = self.sign_in_and_record().await?;
        Ok(record.map(|record| record.idle.timeout))
    }

    /// Returns how long the session lives at most, from its start or the last sign-in; `None` if
    /// there is none, or it is only about to start.
    ///
    /// # Errors
    /// If the store can't answer.
    pub async fn absolute_timeout(&self) -> Result<Option<Duration>, SessionError> {
        let (_, record) = self.sign_in_and_record().await?;
        Ok(record.map(|record| record.absolute_timeout))
    }

    /// Returns whether the cookie of the session outlives the browser's session; `None` if there is
    /// no session, or it is only about to start.
    ///
    /// # Errors
    /// If the store can't answer.
    pub async fn is_persistent(&self) -> Result<Option<bool>, SessionError> {
        let (_, record) = self.sign_in_and_record().await?;
        Ok(record.map(|record| record.persistent))
    }
}

/// The commit.
impl Session {
    /// Stores everything that this request set so far, now: to know that it is stored before going
    /// on, or from a stream or socket whose response head has left (see [`detach`](Self::detach)).
    ///
    /// # Errors
    /// As the commit at the end of the request: if the store can't answer, the session would become
    /// too large, or it ended or changed its token since this request looked at it. What was set is
    /// then dropped, and nothing of it is stored. If the session can't start for want of
    /// [consent](crate::SessionLayer::consent_when), the values stay for this request.
    ///
    /// On a handle that outlives its request also:
    ///
    /// - once, if what was set went with the request: with the error of a commit that was refused,
    ///   or [`SessionError::Interrupted`] if the client left before the response;
    /// - once, if a change since the last `save` failed, with the error of that change: nothing of
    ///   what was set is stored;
    /// - if nothing was set, and the session is known to be over, or the deadlines that the handle
    ///   knows have passed and the store says so ([`SessionError::Ended`]).
    pub async fn save(&self) -> Result<(), SessionError> {
        let turn = self.inner.turn().await?;
        let lost = turn.request().take_lost();
        let outlives = turn.request().outlives_with_nothing_noted();
        let saved = match lost {
            Some(error) => Err(*error),
            None if outlives => turn.check_alive().await,
            None => turn.commit(false).await,
        };
        self.watch(saved)
    }

    /// Drops everything that this request set and that is not stored yet: values, a sign-in, a
    /// rotation, an end, limits. What [`save`](Self::save) or an atomic operation stored stays.
    pub fn discard(&self) {
        self.inner.request().discard();
    }

    /// Forgets what this request read, and loads the session again. After it, a handle that
    /// outlives its request knows whether the session has ended, and goes on after a failure of the
    /// store.
    ///
    /// # Errors
    /// If the store can't answer.
    pub async fn reload(&self) -> Result<(), SessionError> {
        let turn = self.inner.turn_to_reload().await?;
        turn.request().forget_values();
        turn.load().await
    }

    /// Returns a handle for work that outlives the response: a stream, a socket, a spawned task. On
    /// it, values can be set and the session [destroyed](Self::destroy) after the response head has
    /// left, and whoever does so calls [`save`](Self::save). Without it they are an error then,
    /// since nothing would store them. If the last handle is dropped with changes that nobody
    /// saved, the event `session.unsaved` tells.
    ///
    /// A handle that outlives its request reads what it loaded, with every store. It asks the store
    /// again after each write of its own, and once a deadline that it knows has passed. Of a
    /// sign-out or a revocation elsewhere it learns by [`reload`](Self::reload): call that as often
    /// as you want to find out. After a sign-in elsewhere, `reload` finds the status
    /// [`Superseded`](Status::Superseded). Reads don't keep the session alive, writes do. The
    /// example `sockets` shows all this.
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
}

impl Session {
    pub(crate) fn new(config: Arc<Config>, candidates: Candidates, head: Head) -> Self {
        let inner = Arc::new(Inner::new(config, candidates, head));
        let detached = false;
        Self { inner, detached }
    }

    /// Notes a value, or its removal.
    fn set(
        &self,
        key: impl KeyName,
        value: impl FnOnce(&KeyBuf) -> Result<Option<Bytes>, SessionError>,
    ) -> Result<(), SessionError> {
        let key = key.to_key().map_err(SessionError::from);
        match key.and_then(|key| Ok((value(&key)?, key))) {
            Ok((value, key)) => self.note(|notes| notes.change(key, value)),
            Err(error) => {
                self.inner.request().miss(&error);
                self.watch(Err(error))
            }
        }
    }

    /// Notes a change that the commit, or a later `save`, stores.
    fn note(
        &self,
        change: impl FnOnce(&mut Notes) -> Result<(), SessionError>,
    ) -> Result<(), SessionError> {
        let mut request = self.inner.contact();
        let noted = if request.head_sent && !self.detached {
            Err(SessionError::ResponseSent(
                "a change would not be stored; take `session.detach()` and call `save` on it",
            ))
        } else {
            change(request.notes_mut())
        };
        if let Err(error) = &noted {
            request.miss(error);
        }
        drop(request);
        self.watch(noted)
    }

    /// Notes a change that needs a cookie.
    fn note_identity(&self, change: impl FnOnce(&mut Notes)) -> Result<(), SessionError> {
        let mut request = self.inner.contact();
        let noted = if request.head_sent {
            Err(SessionError::ResponseSent("no cookie can be sent any more"))
        } else {
            change(request.notes_mut());
            Ok(())
        };
        drop(request);
        self.watch(noted)
    }

    /// Reports a fault of the application, which may make anything of the error.
    fn watch<T>(&self, result: Result<T, SessionError>) -> Result<T, SessionError> {
        result.inspect_err(|error| {
            let config = &self.inner.config;
            config.events.call_failed(error, || config.now());
        })
    }

    /// Loads until the request knows enough, and looks at it.
    ///
    /// A sign-in as another user than the session's ends that session. To see whether it does, the
    /// record has to be here.
    async fn look<R>(
        &self,
        knows_enough: impl Fn(&Request) -> bool,
        look: impl Fn(&Request) -> R,
    ) -> Result<R, SessionError> {
        let turn = self.inner.turn().await?;
        let look = turn.know(|request| {
            let signing_in = request.notes().sign_in().is_some();
            if !knows_enough(request) || (signing_in && !request.record_is_known()) {
                return Ok(None);
            }
            request.leave_other_owner();
            Ok(Some(look(request)))
        });
        look.await
    }

    /// The sign-in of this request and the record; there is no record if the session is about to
    /// end or to start.
    fn note_sign_in(&self, owner: &str, label: Option<Label>) -> Result<(), SessionError> {
        let owner = Owner::new(owner)?;
        let now = self.inner.config.now_after_revocations(&owner);
        let mut sign_in = SignIn::new(owner, now);
        sign_in.label = label;
        self.note_identity(|notes| notes.delta.sign_in = Some(sign_in))
    }

    async fn sign_in_and_record(
        &self,
    ) -> Result<(Option<SignIn>, Option<Arc<Record>>), SessionError> {
        let both = |request: &Request| {
            let record = request.record().filter(|_| !request.notes().destroy);
            (request.notes().sign_in().cloned(), record.map(Arc::clone))
        };
        self.look(Request::record_is_known, both).await
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.inner.try_id())
            .finish_non_exhaustive()
    }
}

/// Signing in brings a fresh deadline, also while it waits for the commit.
fn absolute_deadline(sign_in: Option<SignIn>, record: &Record, now: Timestamp) -> Timestamp {
    match sign_in {
        Some(_) => now.saturating_add(record.absolute_timeout),
        None => record.absolute_deadline,
    }
}
