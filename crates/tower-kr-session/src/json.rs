//! Values as JSON.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use crate::{error::SessionError, model::key::KeyBuf};

pub(crate) fn decode<T: DeserializeOwned>(
    key: &str,
    value: Option<&[u8]>,
) -> Result<Option<T>, SessionError> {
    let decoded = value.map(serde_json::from_slice).transpose();
    decoded.or_else(|source| {
        let (key, source) = (KeyBuf::new(key)?, Arc::new(source));
        Err(SessionError::Decode { key, source })
    })
}

pub(crate) fn encode<T: Serialize + ?Sized>(
    key: &KeyBuf,
    value: &T,
) -> Result<Bytes, SessionError> {
    let encoded = serde_json::to_vec(value).map(Bytes::from);
    encoded.map_err(|source| {
        let (key, source) = (key.clone(), Arc::new(source));
        SessionError::Encode { key, source }
    })
}
