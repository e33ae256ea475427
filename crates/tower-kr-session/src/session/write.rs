//! Changes of values that are noted, and stored in the commit.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;

use super::{
    Session,
    notes::{MAX_CHANGES, Notes},
};
use crate::{
    error::SessionError,
    key::{InsertKey, KeyBuf, KeyName},
};

impl Session {
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
        let size = notes.values.size_with(&key, &value);
        if size > self.inner.shared.max_session_bytes {
            return Err(self.inner.shared.too_large(size));
        }
        note(&mut notes, key, Some(value))
    }

    /// Notes that the value at `key` goes.
    ///
    /// # Errors
    /// If the key is invalid, or the response head has left (see [`detach`](Self::detach)).
    pub fn remove(&self, key: impl KeyName) -> Result<(), SessionError> {
        let key = key.to_key()?;
        note(&mut *self.write()?, key, None)
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
}

pub(super) fn encode<T: Serialize + ?Sized>(
    key: &KeyBuf,
    value: &T,
) -> Result<Bytes, SessionError> {
    serde_json::to_vec(value)
        .map(Bytes::from)
        .map_err(|source| SessionError::Encode {
            key: key.clone(),
            source: Arc::new(source),
        })
}

fn note(notes: &mut Notes, key: KeyBuf, value: Option<Bytes>) -> Result<(), SessionError> {
    if notes.values.is_full_for(&key) {
        return Err(SessionError::TooManyChanges { limit: MAX_CHANGES });
    }
    notes.values.change(key, value);
    Ok(())
}
