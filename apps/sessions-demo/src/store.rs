//! Where the sessions are kept.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use tower_kr_session::{MemoryStore, SessionLayer};

use crate::error::StartError;

/// The stores in this binary.
const BUILT_IN: &[&str] = &["memory"];

/// The stores that a binary may have.
const KNOWN: &[&str] = &["memory", "redis", "rediss", "sqlite", "postgres"];

/// Which store to use: `memory`, or a URL. It may hold a password, so nothing but its scheme is ever shown.
#[derive(Clone)]
pub struct StoreUrl(String);

impl StoreUrl {
    /// A session layer, all at its defaults, over this store.
    ///
    /// # Errors
    ///
    /// When no such store is built in, or it can not be reached.
    pub async fn open(&self) -> Result<SessionLayer, StartError> {
        match self.scheme() {
            Some("memory") => Ok(SessionLayer::new(MemoryStore::new())),
            Some(scheme) if KNOWN.contains(&scheme) => {
                Err(wrong(format!("'{scheme}' is not built in")))
            }
            Some(_) | None => Err(wrong("names no store".to_owned())),
        }
    }

    /// The part before `://`; for the memory store it may stand alone.
    fn scheme(&self) -> Option<&str> {
        match self.0.split_once("://") {
            Some((scheme, _)) => Some(scheme),
            None => (self.0 == "memory").then_some("memory"),
        }
    }
}

impl FromStr for StoreUrl {
    type Err = Infallible;

    // Never an error here: clap would show the whole text.
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.scheme().filter(|scheme| KNOWN.contains(scheme));
        f.debug_tuple("StoreUrl")
            .field(&known.unwrap_or("unknown"))
            .finish()
    }
}

fn wrong(why: String) -> StartError {
    StartError::option(
        "--store",
        format!("{why}; built in: {}", BUILT_IN.join(", ")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_the_scheme_alone() {
        for (text, shown) in [
            ("memory", "StoreUrl(\"memory\")"),
            ("redis://user:hunter2@localhost", "StoreUrl(\"redis\")"),
            ("hunter2://localhost", "StoreUrl(\"unknown\")"),
            ("redis:hunter2", "StoreUrl(\"unknown\")"),
        ] {
            let url: StoreUrl = text.parse().unwrap();
            assert_eq!(format!("{url:?}"), shown);
        }
    }
}
