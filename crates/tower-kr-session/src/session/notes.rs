//! What a request noted and has not sent to the store yet.

use bytes::Bytes;

use crate::{
    error::SessionError,
    model::{Delta, LimitsChange, SignIn, increment, integer_bytes, key::KeyBuf},
};

/// How many keys can be noted at a time: they stand in a sorted list, and a client that makes a
/// handler note very many of them must not slow down the others.
const MAX_CHANGES: usize = 4_096;

/// Noted changes, until a commit or an immediate operation sends them.
pub(super) struct Notes {
    /// Changes of values, the sign-in and the limits, as the store is to get them.
    pub(super) delta: Delta,
    pub(super) rotate: bool,
    pub(super) destroy: bool,
    /// The bytes of the noted keys and values.
    bytes: u64,
}

impl Notes {
    pub(super) const fn new(max_bytes: u64) -> Self {
        Self {
            delta: Delta::new(max_bytes),
            rotate: false,
            destroy: false,
            bytes: 0,
        }
    }

    /// What the notes say about one key: its value (`None`: removed), or nothing. They
    /// count before what the store has.
    pub(super) fn value(&self, key: &str) -> Option<Option<&Bytes>> {
        let hidden = self.hides_stored().then_some(None);
        self.delta.noted(key).or(hidden)
    }

    /// Whether no value of the store counts any more.
    pub(super) const fn hides_stored(&self) -> bool {
        self.delta.clear || self.destroy
    }

    pub(super) const fn sign_in(&self) -> Option<&SignIn> {
        self.delta.sign_in.as_ref()
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.has_values() && !self.destroy && !self.needs_token()
    }

    fn has_values(&self) -> bool {
        self.delta.clear || !self.delta.changes().is_empty()
    }

    /// Whether the session gets a new token. New limits need one too: a persistent cookie carries
    /// its age.
    pub(super) fn needs_token(&self) -> bool {
        self.rotate || self.delta.sign_in.is_some() || self.delta.limits != LimitsChange::default()
    }

    /// Whether a session starts where none is.
    pub(super) fn starts_session(&self) -> bool {
        let sets = |(_, value): &(_, Option<_>)| value.is_some();
        self.delta.sign_in.is_some() || self.delta.changes().iter().any(sets)
    }

    /// Notes a value, or its removal.
    ///
    /// # Errors
    /// If too many keys are noted already, or the noted values alone are too large.
    pub(super) fn change(&mut self, key: KeyBuf, value: Option<Bytes>) -> Result<(), SessionError> {
        let noted = self.delta.noted(key.as_str());
        if noted.is_none() && self.delta.changes().len() >= MAX_CHANGES {
            return Err(SessionError::TooManyChanges { limit: MAX_CHANGES });
        }
        let size = self.size_with(&key, value.as_ref());
        if value.is_some() && size > self.delta.max_bytes {
            let limit = self.delta.max_bytes;
            return Err(SessionError::TooLarge { size, limit });
        }
        self.put(key, value);
        Ok(())
    }

    /// Notes the result of an atomic operation; the commit judges its size.
    pub(super) fn put(&mut self, key: KeyBuf, value: Option<Bytes>) {
        self.bytes = self.size_with(&key, value.as_ref());
        self.delta.change(key, value);
    }

    /// The bytes of all noted values, with this one.
    fn size_with(&self, key: &KeyBuf, value: Option<&Bytes>) -> u64 {
        let replaced = self.delta.noted(key.as_str()).flatten();
        self.bytes - size(key, replaced) + size(key, value)
    }

    /// Adds to an integer that stands in the notes, or nowhere.
    pub(super) fn add(&mut self, key: &KeyBuf, by: i64) -> Result<i64, SessionError> {
        let noted = self.delta.noted(key.as_str()).flatten();
        let sum = increment(noted.map(|value| &value[..]), by)
            .map_err(|refused| SessionError::not_added(key, &refused))?;
        self.put(key.clone(), Some(integer_bytes(sum)));
        Ok(sum)
    }

    /// Notes that all values go.
    pub(super) fn clear(&mut self) {
        self.take_values();
        self.delta.clear = true;
    }

    /// Notes that the session ends: what was noted for it goes too.
    pub(super) fn destroy(&mut self) {
        *self = Self {
            destroy: true,
            ..Self::new(self.delta.max_bytes)
        };
    }

    /// Takes the changes of values along; they can ride on any operation.
    pub(super) fn take_values(&mut self) -> Delta {
        self.bytes = 0;
        self.delta.take_values()
    }

    /// Puts values that were taken and not stored back under those noted since. A `clear` or a
    /// `destroy` that came since has ended them.
    pub(super) fn put_back(&mut self, taken: Delta) {
        if self.hides_stored() {
            return;
        }
        let newer = self.delta.take_values();
        self.delta.put_values(taken);
        for (key, value) in newer.into_changes() {
            self.delta.change(key, value);
        }
        let changes = self.delta.changes().iter();
        self.bytes = changes.map(|(key, value)| size(key, value.as_ref())).sum();
    }
}

fn size(key: &KeyBuf, value: Option<&Bytes>) -> u64 {
    value.map_or(0, |value| (key.as_str().len() + value.len()) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> KeyBuf {
        KeyBuf::new(name).unwrap()
    }

    fn value(text: &'static str) -> Option<Bytes> {
        Some(Bytes::from_static(text.as_bytes()))
    }

    fn taken() -> Delta {
        let mut notes = Notes::new(100);
        notes.clear();
        notes.change(key("a"), value("old")).unwrap();
        notes.change(key("b"), value("old")).unwrap();
        notes.take_values()
    }

    #[test]
    fn values_that_are_put_back_lie_under_those_noted_since() {
        let mut notes = Notes::new(100);
        notes.change(key("b"), None).unwrap();
        notes.change(key("c"), value("new")).unwrap();
        notes.put_back(taken());
        assert!(notes.delta.clear);
        let expected = [
            (key("a"), value("old")),
            (key("b"), None),
            (key("c"), value("new")),
        ];
        assert_eq!(notes.delta.changes(), expected);
        assert_eq!(notes.bytes, 8);
    }

    #[test]
    fn a_clear_or_a_destroy_ends_what_was_taken_before() {
        for end in [Notes::clear, Notes::destroy] {
            let mut notes = Notes::new(100);
            end(&mut notes);
            notes.change(key("c"), value("new")).unwrap();
            notes.put_back(taken());
            assert_eq!(notes.delta.changes(), [(key("c"), value("new"))]);
        }
    }

    #[test]
    fn noted_values_are_bounded_by_size_and_number() {
        let mut notes = Notes::new(10);
        notes.change(key("a"), value("12345")).unwrap();
        let refused = notes.change(key("b"), value("12345")).unwrap_err();
        assert!(matches!(
            refused,
            SessionError::TooLarge {
                size: 12,
                limit: 10
            }
        ));
        notes.change(key("a"), value("123456789")).unwrap();
        notes.change(key("a"), None).unwrap();
        for number in 1..MAX_CHANGES {
            notes.change(key(&number.to_string()), None).unwrap();
        }
        let refused = notes.change(key("b"), None).unwrap_err();
        assert!(matches!(refused, SessionError::TooManyChanges { .. }));
        notes.change(key("a"), None).unwrap();
    }
}
