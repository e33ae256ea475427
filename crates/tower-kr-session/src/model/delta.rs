//! What one request changed, as the store is told: never the whole session, so that requests in parallel don't undo each other.

use std::mem;

use bytes::Bytes;

use super::{clock::Timestamp, id::SecretHash, key::KeyBuf, limits::LimitsChange, owner::Owner};

/// The changes that one [`apply`](crate::SessionStore::apply) makes, all or none.
///
/// In this order: [`clear`](Self::clear), then [`changes`](Self::changes), then [`operation`](Self::operation). A delta without
/// any change is a *touch*: it only moves the idle deadline.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Delta {
    /// Removes all values that the session has at that moment.
    pub clear: bool,
    /// The value to set at a key, or `None` to remove it; sorted by key, no key twice.
    changes: Vec<(KeyBuf, Option<Bytes>)>,
    /// One atomic operation on one key.
    pub operation: Option<(KeyBuf, Operation)>,
    /// Replaces the secret hash; the old one is kept as *retired* for [`RETIRED_FOR`](crate::model::RETIRED_FOR).
    pub rotate: Option<SecretHash>,
    /// Gives the session an owner, and a fresh absolute deadline.
    pub sign_in: Option<SignIn>,
    /// Changes the limits that the record carries.
    pub limits: LimitsChange,
    /// The largest size that the values may have afterwards, in bytes.
    pub max_bytes: u64,
}

impl Delta {
    /// A delta that changes nothing yet.
    #[must_use]
    pub const fn new(max_bytes: u64) -> Self {
        Self {
            clear: false,
            changes: Vec::new(),
            operation: None,
            rotate: None,
            sign_in: None,
            limits: LimitsChange {
                idle: None,
                absolute_timeout: None,
                persistent: None,
            },
            max_bytes,
        }
    }

    /// Whether the delta only moves the idle deadline.
    #[must_use]
    pub fn is_touch(&self) -> bool {
        !self.clear
            && self.changes.is_empty()
            && self.operation.is_none()
            && self.rotate.is_none()
            && self.sign_in.is_none()
            && self.limits == LimitsChange::default()
    }

    /// What happens to single keys: the value to set, or `None` to remove; sorted by key, no key twice.
    #[must_use]
    pub fn changes(&self) -> &[(KeyBuf, Option<Bytes>)] {
        &self.changes
    }

    /// What the delta does to this key; `None` if it does nothing to it.
    pub(crate) fn noted(&self, key: &str) -> Option<Option<&Bytes>> {
        let index = find(&self.changes, key).ok()?;
        Some(self.changes[index].1.as_ref())
    }

    /// Takes the changes of values along, as a delta of their own.
    pub(crate) fn take_values(&mut self) -> Self {
        Self {
            clear: mem::take(&mut self.clear),
            changes: mem::take(&mut self.changes),
            ..Self::new(self.max_bytes)
        }
    }

    /// Puts the changes of values of another delta in the place of its own.
    pub(crate) fn put_values(&mut self, values: Self) {
        self.clear = values.clear;
        self.changes = values.changes;
    }

    pub(crate) fn into_changes(self) -> Vec<(KeyBuf, Option<Bytes>)> {
        self.changes
    }

    /// Sets or removes one key, instead of what was noted for it before.
    pub fn change(&mut self, key: KeyBuf, value: Option<Bytes>) {
        change(&mut self.changes, key, value);
    }
}

/// Notes a change in a list that is sorted by key, no key twice.
pub(crate) fn change(
    changes: &mut Vec<(KeyBuf, Option<Bytes>)>,
    key: KeyBuf,
    value: Option<Bytes>,
) {
    match find(changes, key.as_str()) {
        Ok(index) => changes[index].1 = value,
        Err(index) => changes.insert(index, (key, value)),
    }
}

/// Where a key stands in such a list, or where it would.
pub(crate) fn find(changes: &[(KeyBuf, Option<Bytes>)], key: &str) -> Result<usize, usize> {
    changes.binary_search_by(|(noted, _)| noted.as_str().cmp(key))
}

/// An operation on the value that the store has at that moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation {
    /// Adds to an integer (ASCII digits, as serde_json writes an `i64`); an absent value counts as 0.
    Increment(i64),
    /// Sets (or with `None`, removes) the value if it is still the expected one (`None`: absent).
    CompareAndSet {
        /// What the value must be.
        expected: Option<Bytes>,
        /// What it becomes.
        new: Option<Bytes>,
    },
}

/// A user's sign-in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SignIn {
    /// The user.
    pub owner: Owner,
    /// When his credentials were checked.
    pub authenticated_at: Timestamp,
}

impl SignIn {
    /// A sign-in of this user at this time.
    #[must_use]
    pub const fn new(owner: Owner, authenticated_at: Timestamp) -> Self {
        Self {
            owner,
            authenticated_at,
        }
    }
}

/// The times at which a request is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instants {
    /// When the request first used the session: the idle deadline is judged at this time, so that a slow request doesn't lose
    /// what it did because it took long.
    pub first_contact: Timestamp,
    /// The time now: the absolute deadline is judged at this time.
    pub now: Timestamp,
}

impl Instants {
    /// A request whose first contact is now.
    #[must_use]
    pub const fn at(now: Timestamp) -> Self {
        Self {
            first_contact: now,
            now,
        }
    }
}
