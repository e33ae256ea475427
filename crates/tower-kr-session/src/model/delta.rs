//! The changes of one request. A store never gets the whole session, so parallel requests don't
//! undo each other.

use std::{mem, sync::Arc};

use bytes::Bytes;

use super::{
    clock::Timestamp, device::DeviceChange, id::SecretHash, key::KeyBuf, label::Label,
    limits::LimitsChange, owner::Owner, record::Record,
};

/// The changes that one [`apply`](crate::SessionStore::apply) makes, all or nothing.
///
/// Their order is [`clear`](Self::clear), [`changes`](Self::changes),
/// [`operation`](Self::operation). A delta without any change is a *touch*: it only moves the idle
/// deadline.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Delta {
    /// Whether to remove all values that the session has at that moment.
    pub clear: bool,
    /// The value to set at a key, or `None` to remove it. Sorted by key, without duplicates.
    changes: Vec<(KeyBuf, Option<Bytes>)>,
    /// One atomic operation on one key.
    pub operation: Option<(KeyBuf, Operation)>,
    /// Replaces the secret hash; the old one is kept as *retired* for
    /// [`RETIRED_FOR`](crate::model::RETIRED_FOR).
    pub rotate: Option<SecretHash>,
    /// Gives the session an owner, and a fresh absolute deadline.
    pub sign_in: Option<SignIn>,
    /// Changes the limits that the record carries.
    pub limits: LimitsChange,
    /// The largest size that the values may have afterwards, in bytes.
    pub max_bytes: u64,
    /// The record as this request has read it, if it has written nothing since. A store may apply
    /// the delta to a copy, and write that if its record still has the same
    /// [`revision`](Record::revision); any other store ignores it.
    pub seen: Option<Arc<Record>>,
    #[cfg(feature = "device-bound")]
    pub(crate) device: Option<Box<DeviceChange>>,
}

impl Delta {
    /// Creates a delta that changes nothing yet.
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
            seen: None,
            #[cfg(feature = "device-bound")]
            device: None,
        }
    }

    /// Returns whether the delta only moves the idle deadline.
    #[must_use]
    pub fn is_touch(&self) -> bool {
        !self.clear
            && self.changes.is_empty()
            && self.operation.is_none()
            && self.rotate.is_none()
            && self.sign_in.is_none()
            && self.limits == LimitsChange::default()
            && self.device().is_none()
    }

    /// Returns the change of what the record keeps of a device. If the record has other bytes than
    /// those [expected](DeviceChange::expected), the store does nothing and answers
    /// [`Conflict`](super::ApplyOutcome::Conflict).
    #[must_use]
    pub fn device(&self) -> Option<&DeviceChange> {
        #[cfg(feature = "device-bound")]
        return self.device.as_deref();
        #[cfg(not(feature = "device-bound"))]
        None
    }

    /// Returns the changes of single keys: the value to set, or `None` to remove it. Sorted by key,
    /// without duplicates.
    #[must_use]
    pub fn changes(&self) -> &[(KeyBuf, Option<Bytes>)] {
        &self.changes
    }

    /// Returns the change of this key, or `None` if there is none.
    pub(crate) fn noted(&self, key: &str) -> Option<Option<&Bytes>> {
        let index = find(&self.changes, key).ok()?;
        Some(self.changes[index].1.as_ref())
    }

    /// Takes the changes of values out, as a delta of their own.
    pub(crate) fn take_values(&mut self) -> Self {
        Self {
            clear: mem::take(&mut self.clear),
            changes: mem::take(&mut self.changes),
            ..Self::new(self.max_bytes)
        }
    }

    /// Replaces the changes of values by those of another delta.
    pub(crate) fn put_values(&mut self, values: Self) {
        self.clear = values.clear;
        self.changes = values.changes;
    }

    pub(crate) fn into_changes(self) -> Vec<(KeyBuf, Option<Bytes>)> {
        self.changes
    }

    /// Sets (or with `None`, removes) the value at one key, in place of an earlier change of that
    /// key.
    pub fn change(&mut self, key: KeyBuf, value: Option<Bytes>) {
        change(&mut self.changes, key, value);
    }
}

/// Puts a change into a list that is sorted by key, without duplicates.
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

/// Returns the place of a key in such a list, or the place where it would be.
pub(crate) fn find(changes: &[(KeyBuf, Option<Bytes>)], key: &str) -> Result<usize, usize> {
    changes.binary_search_by(|(noted, _)| noted.as_str().cmp(key))
}

/// An atomic operation on the value that the store has at that moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation {
    /// Adds to an integer (ASCII digits, as serde_json writes an `i64`); an absent value counts
    /// as 0.
    Increment(i64),
    /// Sets (or with `None`, removes) the value if it is still the expected one (`None`: absent).
    CompareAndSet {
        /// The expected value.
        expected: Option<Bytes>,
        /// The new value.
        new: Option<Bytes>,
    },
}

/// A user's sign-in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SignIn {
    /// The user.
    pub owner: Owner,
    /// When their credentials were checked.
    pub authenticated_at: Timestamp,
    /// What they call the session; `None` keeps what the record has.
    pub label: Option<Label>,
}

impl SignIn {
    /// Creates the sign-in of this user at this time.
    #[must_use]
    pub const fn new(owner: Owner, authenticated_at: Timestamp) -> Self {
        Self {
            owner,
            authenticated_at,
            label: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delta_is_a_touch_until_it_changes_anything() {
        let key = || KeyBuf::new("a").unwrap();
        let changes: [fn(&mut Delta, KeyBuf); 6] = [
            |delta, _| delta.clear = true,
            |delta, key| delta.change(key, None),
            |delta, key| delta.operation = Some((key, Operation::Increment(0))),
            |delta, _| delta.rotate = Some(SecretHash::from_bytes([1; 32])),
            |delta, _| {
                let owner = Owner::new("max").unwrap();
                delta.sign_in = Some(SignIn::new(owner, Timestamp::from_unix_millis(0)));
            },
            |delta, _| delta.limits.persistent = Some(false),
        ];
        assert!(Delta::new(0).is_touch());
        for (index, change) in changes.iter().enumerate() {
            let mut delta = Delta::new(0);
            change(&mut delta, key());
            assert!(!delta.is_touch(), "change {index}");
        }
    }
}
