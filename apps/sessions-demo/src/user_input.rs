//! What users write: their names, and keys, which are stored under a prefix that the demo's own
//! keys don't have.

use tower_kr_session::{key::MAX_KEY_BYTES, store::MAX_OWNER_BYTES};

use crate::failure::Failure;

pub(crate) struct UserKey(pub(crate) String);

impl UserKey {
    const PREFIX: &str = "user:";

    pub(crate) fn new(key: &str) -> Result<Self, Failure> {
        check("key", key, MAX_KEY_BYTES - Self::PREFIX.len())?;
        Ok(Self(format!("{}{key}", Self::PREFIX)))
    }
}

/// Checks the name of a user who signs in.
pub(crate) fn check_user(user: &str) -> Result<(), Failure> {
    check("user", user, MAX_OWNER_BYTES)
}

fn check(name: &str, text: &str, most: usize) -> Result<(), Failure> {
    if text.len() > most {
        let error = format!("The {name} is longer than {most} bytes");
        return Err(Failure::bad_request(error));
    }
    if text.chars().any(char::is_control) {
        let error = format!("The {name} contains a control character");
        return Err(Failure::bad_request(error));
    }
    Ok(())
}
