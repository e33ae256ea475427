//! Which layer of this process answers at which path.
//!
//! Layers don't know each other. Two that answer at one path, with cookies of different names,
//! would take each other's requests, so the second one fails at the start. Two that never meet, as
//! those of two sites, fail alike. Of layers that are merged side by side no request would ever
//! show the clash, only browsers that stay unbound; and another path is easily found.

use std::sync::{Arc, Mutex, PoisonError, Weak};

static CLAIMS: Mutex<Vec<Held>> = Mutex::new(Vec::new());

struct Held {
    path: String,
    cookie: String,
    holder: Weak<()>,
}

/// The right to answer at a path, until it is dropped.
#[derive(Clone)]
pub(crate) struct Claim(#[expect(dead_code, reason = "it is held")] Arc<()>);

impl Claim {
    /// Claims a path for the layer of this cookie.
    ///
    /// # Errors
    /// Returns the name of the other cookie if a layer with another one has the path.
    pub(crate) fn new(path: &str, cookie: &str) -> Result<Self, String> {
        let mut claims = CLAIMS.lock().unwrap_or_else(PoisonError::into_inner);
        claims.retain(|held| held.holder.strong_count() > 0);
        let other = claims
            .iter()
            .find(|held| held.path == path && held.cookie != cookie);
        if let Some(other) = other {
            return Err(other.cookie.clone());
        }
        let holder = Arc::new(());
        claims.push(Held {
            path: path.to_owned(),
            cookie: cookie.to_owned(),
            holder: Arc::downgrade(&holder),
        });
        Ok(Self(holder))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_that_of_one_cookie_until_its_layers_are_gone() {
        const PATH: &str = "/claims/test";
        let first = Claim::new(PATH, "a").unwrap_or_else(|other| panic!("{other}"));
        let again = Claim::new(PATH, "a").unwrap_or_else(|other| panic!("{other}"));
        assert_eq!(Claim::new(PATH, "b").err().as_deref(), Some("a"));
        assert!(Claim::new("/claims/other", "b").is_ok());
        drop(first);
        assert!(Claim::new(PATH, "b").is_err());
        drop(again);
        assert!(Claim::new(PATH, "b").is_ok());
    }
}
