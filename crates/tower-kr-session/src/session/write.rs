//! Changes of values that are noted, and stored in the commit.

use std::{io, sync::Arc};

use bytes::Bytes;
use serde::Serialize;

use super::{
    Session,
    notes::{MAX_CHANGES, Notes},
};
use crate::{
    error::SessionError,
    model::key::{InsertKey, KeyBuf, KeyName},
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
    let mut scratch = Scratch::default();
    serde_json::to_writer(&mut scratch, value).map_err(|source| SessionError::Encode {
        key: key.clone(),
        source: Arc::new(source),
    })?;
    Ok(scratch.into_bytes())
}

/// Where a value is written. Most are short: on the stack first, they take one allocation of their own size.
struct Scratch {
    short: [u8; 256],
    length: usize,
    /// All of it, if it is longer than `short`.
    long: Vec<u8>,
}

impl Default for Scratch {
    fn default() -> Self {
        Self {
            short: [0; 256],
            length: 0,
            long: Vec::new(),
        }
    }
}

impl Scratch {
    fn into_bytes(self) -> Bytes {
        if self.long.is_empty() {
            Bytes::copy_from_slice(&self.short[..self.length])
        } else {
            Bytes::from(self.long)
        }
    }
}

impl io::Write for Scratch {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let end = self.length + text.len();
        match self.short.get_mut(self.length..end) {
            Some(room) if self.long.is_empty() => {
                room.copy_from_slice(text);
                self.length = end;
            }
            _ => {
                if self.long.is_empty() {
                    self.long.reserve(2 * end);
                    self.long.extend_from_slice(&self.short[..self.length]);
                }
                self.long.extend_from_slice(text);
            }
        }
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn note(notes: &mut Notes, key: KeyBuf, value: Option<Bytes>) -> Result<(), SessionError> {
    if notes.values.is_full_for(&key) {
        return Err(SessionError::TooManyChanges { limit: MAX_CHANGES });
    }
    notes.values.change(key, value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_any_length_are_written_whole() {
        let key = KeyBuf::new("key").unwrap();
        for length in 0..400 {
            let parts = ["é".repeat(length), "x".repeat(length / 3)];
            let expected = serde_json::to_vec(&parts).unwrap();
            assert_eq!(encode(&key, &parts).unwrap(), expected);
        }
    }
}
