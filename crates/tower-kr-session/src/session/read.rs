//! Reading values.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::{Session, notes::Noted, state::State, with_state};
use crate::{
    error::SessionError,
    model::{
        Instants,
        key::{Key, KeyBuf, KeyName},
    },
};

impl Session {
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
        with_state!(self, |state, at| self.list_keys(state, at))
    }

    async fn list_keys(
        &self,
        state: &mut State,
        at: Instants,
    ) -> Result<Vec<String>, SessionError> {
        state.load(&self.inner.shared, at).await?;
        self.leave_other_owner(state);
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
        found: impl Fn(Option<&[u8]>) -> R,
    ) -> Result<R, SessionError> {
        let mut result = None;
        let answer = self.find_now(name, &mut |value| result = Some(found(value)));
        if let Some(answer) = answer {
            answer?;
        }
        if let Some(result) = result {
            return Ok(result);
        }
        let waiting = async {
            let (mut state, at) = self.begin().await?;
            self.find(&mut state, at, name, found).await
        };
        Box::pin(waiting).await
    }

    pub(super) async fn find<R>(
        &self,
        state: &mut State,
        at: Instants,
        name: &str,
        found: impl FnOnce(Option<&[u8]>) -> R,
    ) -> Result<R, SessionError> {
        self.know(state, name, at).await?;
        // The caller's closure runs without the lock.
        let noted = match self.inner.notes().value(name) {
            Noted::Value(value) => Some(value.cloned()),
            Noted::Nothing => None,
        };
        if let Some(value) = noted {
            return Ok(found(value.as_deref()));
        }
        Ok(found(state.stored(name).flatten()))
    }

    /// Makes sure that the value of this key is here.
    pub(super) async fn know(
        &self,
        state: &mut State,
        name: &str,
        at: Instants,
    ) -> Result<(), SessionError> {
        let (noted, signing_in) = {
            let notes = self.inner.notes();
            let noted = matches!(notes.value(name), Noted::Value(_));
            (noted, notes.identity.sign_in.is_some())
        };
        if noted {
            return Ok(());
        }
        // Whose session it is decides whether its values still count.
        if state.stored(name).is_none() || (signing_in && state.record().is_none()) {
            state.load(&self.inner.shared, at).await?;
        }
        if signing_in {
            self.leave_other_owner(state);
        }
        Ok(())
    }

    /// Signing in on a session of somebody else ends that one: none of its values is seen from then on.
    pub(super) fn leave_other_owner(&self, state: &State) {
        let mut notes = self.inner.notes();
        if state.is_of_other_owner(notes.identity.sign_in.as_ref()) {
            notes.identity.destroy = true;
        }
    }
}

pub(super) fn decode<T: DeserializeOwned>(
    key: &str,
    value: Option<&[u8]>,
) -> Result<Option<T>, SessionError> {
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
