//! The store contract: the trait of session stores, and the types that it uses.

#[cfg(feature = "contract")]
pub mod contract;
pub(crate) mod erased;
mod error;
mod forward;
#[cfg(feature = "memory")]
pub(crate) mod memory;
#[cfg(feature = "moka")]
pub(crate) mod moka;
mod page;
#[cfg(any(feature = "memory", feature = "moka"))]
pub(crate) mod shares;
mod versioned;

use std::future::Future;

pub use self::{
    error::{StoreError, StoreFailure},
    page::{Cursor, Page},
    versioned::{StoreKey, StoreValue, ValueClass, Version, Versioned, VersionedStore},
};
#[cfg(feature = "device-bound")]
use crate::device::DeviceState;
pub use crate::model::{
    ApplyOutcome, CorruptValues, DecodeError, Delta, DeviceChange, IdleLimit, Instants,
    LimitsChange, MAX_DEVICE_BYTES, MAX_LABEL_BYTES, MAX_OWNER_BYTES, Operation, RECLAIM_GRACE,
    RETIRED_FOR, Receipt, Record, Removal, RemoveOutcome, Retired, SecretHash, SignIn, TokenState,
    Values,
};
use crate::model::{Label, Owner, SessionId, Timestamp};

/// Keeps the records of sessions.
///
/// A store has no clock: it judges records by the times that it is given. Implement it with plain
/// `async fn`s. The layer cuts off each call after its I/O timeout, so a call must be safe to drop
/// at any point.
///
/// A test suite checks the rules that every store keeps: the module `contract` (feature of the same
/// name). In short:
///
/// - [`apply`](Self::apply) is one atomic step. It does all of a delta or nothing, and never
///   creates a record.
/// - [`create`](Self::create) never overwrites.
/// - An expired record is never served. The store's own expiry removes it no earlier than
///   [`Record::reclaim_at`], so that a slow request can still commit.
/// - The index of owners is written before the record, so that no session escapes a revocation.
/// - An operation that isn't idempotent is never sent twice.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no store of sessions",
    note = "a `SessionLayer` is made of a `MokaStore`, a `MemoryStore`, a `RedisStore`, a `SqliteStore`, a `PostgresStore` or a `SessionStore` of your own",
    note = "a `VersionedStore` becomes a `SessionStore` by `Versioned::new`",
    note = "give the layer the store itself or an `Arc` of it, not a reference"
)]
pub trait SessionStore: Send + Sync + 'static {
    /// Returns the record of this id, if there is one and it is alive at `now`. The caller compares
    /// the secret.
    ///
    /// # Errors
    /// If the store can't answer, or the record has a later format version. A corrupt record is
    /// logged and counts as absent.
    fn load(
        &self,
        id: SessionId,
        now: Timestamp,
    ) -> impl Future<Output = Result<Option<Record>, StoreError>> + Send;

    /// Stores a new record, unless there is one of this id (expired or not), or all sessions of its
    /// owner were revoked at or after its `authenticated_at`. A taken id is
    /// [`CreateOutcome::Exists`], also if the owner was revoked.
    ///
    /// # Errors
    /// If the store can't answer: the record may or may not be there.
    fn create(
        &self,
        id: SessionId,
        record: Record,
        now: Timestamp,
    ) -> impl Future<Output = Result<CreateOutcome, StoreError>> + Send;

    /// Applies a delta to a live record whose current secret is `secret`: all or nothing, in one
    /// atomic step. Never creates a record. [`Record::apply`] says what each outcome means.
    ///
    /// # Errors
    /// If the store can't answer: the delta may or may not have been done.
    fn apply(
        &self,
        id: SessionId,
        secret: &SecretHash,
        delta: &Delta,
        at: Instants,
    ) -> impl Future<Output = Result<ApplyOutcome, StoreError>> + Send;

    /// Removes a record: with a secret only if it is the record's current one (a user's logout),
    /// without one in any case (an administrator's revocation). [`Record::removal`] decides both: a
    /// logout ends also a session that is expired at `at`, since a clock may be wrong.
    ///
    /// # Errors
    /// If the store can't answer: the record may or may not be gone.
    fn remove(
        &self,
        id: SessionId,
        secret: Option<&SecretHash>,
        at: Instants,
    ) -> impl Future<Output = Result<RemoveOutcome, StoreError>> + Send;

    /// Removes records as [`remove`](Self::remove) does without a secret, and returns what became
    /// of each. The layer asks for at most 16 at a time.
    ///
    /// By default it removes one after the other. Override it if the store can do it in one trip.
    ///
    /// # Errors
    /// If the store can't answer: some records may be gone.
    fn remove_each(
        &self,
        ids: &[SessionId],
        at: Instants,
    ) -> impl Future<Output = Result<Vec<RemoveOutcome>, StoreError>> + Send {
        async move {
            let mut outcomes = Vec::with_capacity(ids.len());
            for id in ids {
                outcomes.push(self.remove(*id, None, at).await?);
            }
            Ok(outcomes)
        }
    }

    /// Returns the live sessions of a user, the oldest first, including all that were stored before
    /// the call.
    ///
    /// # Errors
    /// If the store can't answer.
    fn list(
        &self,
        owner: &Owner,
        now: Timestamp,
    ) -> impl Future<Output = Result<Vec<SessionSummary>, StoreError>> + Send;

    /// Returns up to `most` live sessions of a user: all that were stored before the call, or any
    /// of them if there are more. With it the layer keeps the limit of sessions after each sign-in
    /// ([`SessionLayer::max_sessions_per_owner`](crate::SessionLayer::max_sessions_per_owner)).
    ///
    /// By default it takes them from the whole [`list`](Self::list). Override it if the store can
    /// do it at a cost that depends on `most` alone.
    ///
    /// # Errors
    /// If the store can't answer.
    fn list_up_to(
        &self,
        owner: &Owner,
        most: usize,
        now: Timestamp,
    ) -> impl Future<Output = Result<Vec<SessionSummary>, StoreError>> + Send {
        async move {
            let mut sessions = self.list(owner, now).await?;
            sessions.truncate(most);
            Ok(sessions)
        }
    }

    /// Removes all sessions of a user but `except`, including those whose sign-in is on its way:
    /// one that was checked at or before `now` and reaches the store later is answered with
    /// [`ApplyOutcome::Revoked`] or [`CreateOutcome::Revoked`]. Returns how many live sessions were
    /// removed.
    ///
    /// # Errors
    /// If the store can't answer: some sessions may be gone already; call again.
    fn remove_owned(
        &self,
        owner: &Owner,
        except: Option<SessionId>,
        now: Timestamp,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Returns up to about `most` live sessions of all users and of nobody, after those of the
    /// pages before, and where the next page begins.
    ///
    /// By default the store can't.
    ///
    /// # Errors
    /// [`StoreError::Unsupported`] if the store has no way to go through its sessions without
    /// holding up all others; [`StoreError::InvalidCursor`] for the cursor of another store; or if
    /// it can't answer.
    fn page(
        &self,
        after: Option<&Cursor>,
        most: usize,
        now: Timestamp,
    ) -> impl Future<Output = Result<Page, StoreError>> + Send {
        let _ = (after, most, now);
        async { Err(StoreError::Unsupported("go through all sessions")) }
    }

    /// Returns how many sessions live, or `None` if the store has no quicker way than to go through
    /// all [pages](Self::page): the default.
    ///
    /// # Errors
    /// If the store can't answer.
    fn count(
        &self,
        now: Timestamp,
    ) -> impl Future<Output = Result<Option<u64>, StoreError>> + Send {
        let _ = now;
        async { Ok(None) }
    }

    /// Returns the largest session that the store can hold, in bytes of keys and values; `None` if
    /// it has no limit. A layer that allows more fails its check at the start.
    fn largest_session(&self) -> Option<u64> {
        None
    }
}

/// The outcome of [`SessionStore::create`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CreateOutcome {
    /// The record is stored.
    Created,
    /// Nothing was done: there is a record of this id.
    Exists,
    /// Nothing was done: all sessions of the owner were revoked at or after the time of the
    /// sign-in.
    Revoked,
}

/// A session in the list of a user's sessions. It holds nothing that opens a session.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionSummary {
    /// The public id.
    pub id: SessionId,
    /// The user who signed in.
    pub owner: Option<Owner>,
    /// What the user calls the session, if the application gave it a name at the sign-in.
    pub label: Option<Label>,
    /// When the session began.
    pub created_at: Timestamp,
    /// When the user last proved who they are.
    pub authenticated_at: Option<Timestamp>,
    /// When the session was last used, as precisely as the touch interval.
    pub last_used_at: Timestamp,
    /// Until when the session certainly lives without a further request.
    pub expires_at: Timestamp,
    /// Whether the session is bound to a device.
    #[cfg(feature = "device-bound")]
    pub device: DeviceState,
}

impl SessionSummary {
    /// Creates the summary of a record.
    #[must_use]
    pub fn new(id: SessionId, record: &Record, now: Timestamp) -> Self {
        Self {
            id,
            owner: record.owner.clone(),
            label: record.label.as_deref().cloned(),
            created_at: record.created_at,
            authenticated_at: record.authenticated_at,
            last_used_at: record.last_used_at(now),
            expires_at: record.expires_at(now),
            #[cfg(feature = "device-bound")]
            device: DeviceState::of(record),
        }
    }
}
