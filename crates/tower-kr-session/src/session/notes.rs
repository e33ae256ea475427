//! What a request noted and did not send yet.

use std::ops::{Deref, DerefMut};

use bytes::Bytes;

use crate::{
    error::SessionError,
    model::{Delta, LimitsChange, SignIn, Values, change, key::KeyBuf},
};

/// How many keys may be noted at a time. They stand in a sorted list: a client that makes a handler note very many of them must not
/// hold up the others.
pub(super) const MAX_CHANGES: usize = 4_096;

/// Noted changes, until a commit or an immediate operation takes them along.
#[derive(Default)]
pub(super) struct Notes {
    pub(super) values: ValueNotes,
    pub(super) identity: Identity,
    /// The request ended without a commit.
    pub(super) abandoned: bool,
    /// Why changes that were noted can't be stored any more; for a handle that outlives the request and saves.
    pub(super) lost: Option<Box<SessionError>>,
    /// The response head has left, or never will.
    pub(super) head_sent: bool,
    /// The visitor has not consented to a cookie, so no session starts.
    pub(super) withheld: bool,
}

/// Changes of values: they may ride on any operation.
#[derive(Clone, Default)]
pub(super) struct ValueNotes {
    pub(super) clear: bool,
    /// Sorted by key, no key twice.
    changes: Vec<(KeyBuf, Option<Bytes>)>,
    /// The bytes of the keys and values that are to be set.
    bytes: u64,
}

/// Changes of who the session is: they need a cookie, so they always wait for the commit.
#[derive(Default)]
pub(super) struct IdentityNotes {
    pub(super) destroy: bool,
    pub(super) rotate: bool,
    pub(super) sign_in: Option<SignIn>,
    pub(super) limits: LimitsChange,
}

/// [`IdentityNotes`], apart: few requests have any, and each pays for what its handle holds.
#[derive(Default)]
pub(super) struct Identity(Option<Box<IdentityNotes>>);

impl Deref for Identity {
    type Target = IdentityNotes;

    fn deref(&self) -> &IdentityNotes {
        static NONE: IdentityNotes = IdentityNotes {
            destroy: false,
            rotate: false,
            sign_in: None,
            limits: LimitsChange {
                idle: None,
                absolute_timeout: None,
                persistent: None,
            },
        };
        self.0.as_deref().unwrap_or(&NONE)
    }
}

impl DerefMut for Identity {
    fn deref_mut(&mut self) -> &mut IdentityNotes {
        self.0.get_or_insert_default()
    }
}

/// What the notes say about one key.
pub(super) enum Noted<'a> {
    /// Nothing: what the store has counts.
    Nothing,
    /// This is its value, whatever the store has; `None`: removed.
    Value(Option<&'a Bytes>),
}

impl<'a> Noted<'a> {
    /// The value, where no record stands behind the notes.
    pub(super) const fn or_absent(self) -> Option<&'a Bytes> {
        match self {
            Self::Value(value) => value,
            Self::Nothing => None,
        }
    }
}

impl Notes {
    pub(super) fn value(&self, key: &str) -> Noted<'_> {
        match self.values.find(key) {
            Ok(index) => Noted::Value(self.values.changes[index].1.as_ref()),
            Err(_) if self.hides_stored() => Noted::Value(None),
            Err(_) => Noted::Nothing,
        }
    }

    /// Puts values that were taken and not stored back under the ones noted since, unless the request they belong to is gone.
    pub(super) fn put_back(&mut self, taken: ValueNotes) {
        if !self.abandoned {
            self.values.put_back(taken);
        } else if !taken.is_empty() {
            self.lose(SessionError::Interrupted);
        }
    }

    /// Forgets what is noted; a later `save` says why.
    pub(super) fn lose(&mut self, error: SessionError) {
        self.values = ValueNotes::default();
        self.identity = Identity::default();
        self.lost = Some(Box::new(error));
    }

    /// Whether no value of the store counts any more.
    pub(super) fn hides_stored(&self) -> bool {
        self.values.clear || self.identity.destroy
    }

    pub(super) fn starts_session(&self) -> bool {
        starts_session(&self.values, &self.identity)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.values.is_empty() && self.identity.is_empty()
    }

    /// Ends the session: what was noted for it goes with it.
    pub(super) fn destroy(&mut self) {
        self.values = ValueNotes::default();
        self.identity = Identity::default();
        self.identity.destroy = true;
    }
}

impl ValueNotes {
    fn find(&self, key: &str) -> Result<usize, usize> {
        self.changes
            .binary_search_by(|(noted, _)| noted.as_str().cmp(key))
    }

    pub(super) fn changes(&self) -> &[(KeyBuf, Option<Bytes>)] {
        &self.changes
    }

    pub(super) fn change(&mut self, key: KeyBuf, value: Option<Bytes>) {
        self.bytes += size(&key, value.as_ref());
        if let Some((key, replaced)) = change(&mut self.changes, key, value) {
            self.bytes -= size(&key, replaced.as_ref());
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self {
            clear: true,
            ..Self::default()
        };
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.clear && self.changes.is_empty()
    }

    fn has_value(&self) -> bool {
        self.changes.iter().any(|(_, value)| value.is_some())
    }

    /// The bytes that the noted values would have with this one.
    pub(super) fn size_with(&self, key: &KeyBuf, value: &Bytes) -> u64 {
        let replaced = match self.find(key.as_str()) {
            Ok(index) => size(key, self.changes[index].1.as_ref()),
            Err(_) => 0,
        };
        self.bytes - replaced + size(key, Some(value))
    }

    /// Whether no further key can be noted.
    pub(super) fn is_full_for(&self, key: &KeyBuf) -> bool {
        self.changes.len() >= MAX_CHANGES && self.find(key.as_str()).is_err()
    }

    /// Puts notes that were taken and not done back under the ones made since.
    pub(super) fn put_back(&mut self, taken: Self) {
        if self.clear {
            return;
        }
        let newer = std::mem::replace(self, taken);
        for (key, value) in newer.changes {
            self.change(key, value);
        }
    }

    /// The values of a session that starts with these notes.
    pub(super) fn to_values(&self) -> Values {
        let edits: Vec<_> = self
            .changes
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_deref()))
            .collect();
        Values::default().edited(true, &edits)
    }

    /// The notes that [`into_delta`](Self::into_delta) made a delta of.
    pub(super) fn of_delta(delta: Delta) -> Self {
        let mut notes = Self {
            clear: delta.clear,
            ..Self::default()
        };
        for (key, value) in delta.into_changes() {
            notes.change(key, value);
        }
        notes
    }

    pub(super) fn into_delta(self, max_bytes: u64) -> Delta {
        let mut delta = Delta::new(max_bytes);
        delta.clear = self.clear;
        delta.set_changes(self.changes);
        delta
    }
}

/// Whether the notes, without any record, start a session.
pub(super) fn starts_session(values: &ValueNotes, identity: &IdentityNotes) -> bool {
    identity.sign_in.is_some() || values.has_value()
}

fn size(key: &KeyBuf, value: Option<&Bytes>) -> u64 {
    value.map_or(0, |value| (key.as_str().len() + value.len()) as u64)
}

impl IdentityNotes {
    pub(super) fn is_empty(&self) -> bool {
        !self.destroy && !self.needs_token()
    }

    /// Whether a new token goes with it. New limits need one too: a persistent cookie carries its age.
    pub(super) fn needs_token(&self) -> bool {
        self.rotate || self.sign_in.is_some() || self.limits != LimitsChange::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> KeyBuf {
        KeyBuf::new(name).unwrap()
    }

    fn listed(notes: &ValueNotes) -> Vec<(&str, Option<&[u8]>)> {
        let changes = notes.changes().iter();
        changes
            .map(|(key, value)| (key.as_str(), value.as_deref()))
            .collect()
    }

    #[test]
    fn what_is_put_back_lies_under_what_came_since() {
        let mut taken = ValueNotes::default();
        taken.clear();
        taken.change(key("a"), Some(Bytes::from_static(b"old")));
        taken.change(key("b"), Some(Bytes::from_static(b"old")));
        let mut notes = ValueNotes::default();
        notes.change(key("b"), None);
        notes.change(key("c"), Some(Bytes::from_static(b"new")));
        notes.put_back(taken);
        assert!(notes.clear);
        let expected = [("a", Some(&b"old"[..])), ("b", None), ("c", Some(b"new"))];
        assert_eq!(listed(&notes), expected);

        let mut cleared = ValueNotes::default();
        cleared.clear();
        cleared.put_back(notes);
        assert_eq!(listed(&cleared), []);
    }
}
