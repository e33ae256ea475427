//! Keys that users choose, stored under a prefix that the demo's own keys don't have.

use tower_kr_session::key::MAX_KEY_BYTES;

use crate::failure::Failure;

pub(crate) struct UserKey(pub(crate) String);

impl UserKey {
    const PREFIX: &str = "user:";
    const MAX_BYTES: usize = MAX_KEY_BYTES - Self::PREFIX.len();

    pub(crate) fn new(key: &str) -> Result<Self, Failure> {
        if key.len() > Self::MAX_BYTES {
            return Err(Failure::bad_request(format!(
                "The 'key' query parameter is longer than {} bytes",
                Self::MAX_BYTES
            )));
        }
        no_control_characters("key", key)?;
        Ok(Self(format!("{}{key}", Self::PREFIX)))
    }
}

pub(crate) fn no_control_characters(name: &str, text: &str) -> Result<(), Failure> {
    if text.chars().any(char::is_control) {
        return Err(Failure::bad_request(format!(
            "The '{name}' query parameter contains a control character"
        )));
    }
    Ok(())
}
