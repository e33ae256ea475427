//! What a request brings along to show that it comes from the session's device.

use http::HeaderMap;

use super::{
    headers::Skipped,
    secret::{CHARACTERS, cookie_hash},
};
use crate::model::SecretHash;

/// The most bound cookies of a request that are looked at. A browser has one.
const MOST: usize = 4;

/// The proofs of a request.
#[derive(Default)]
pub(crate) struct Carried {
    /// The hashes of its bound cookies.
    pub(crate) secrets: Vec<SecretHash>,
    /// Why there is no fresh one, if the browser says so.
    pub(crate) skipped: Option<Skipped>,
}

impl Carried {
    /// Reads what a request carries; `None` if that is nothing, as in most requests.
    pub(crate) fn read(headers: &HeaderMap, cookie_name: &str) -> Option<Self> {
        let named = kr_cookie::cookies(headers)
            .filter(|cookie| cookie.name == cookie_name.as_bytes())
            .filter(|cookie| cookie.value.len() == CHARACTERS)
            .take(MOST);
        let carried = Self {
            secrets: named
                .map(|cookie| cookie_hash(cookie.value, cookie_name))
                .collect(),
            skipped: Skipped::read(headers),
        };
        let nothing = carried.secrets.is_empty() && carried.skipped.is_none();
        (!nothing).then_some(carried)
    }
}
