//! Where the sessions are kept.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use tower_kr_session::{MemoryStore, SessionLayer};

use crate::error::StartError;

/// The stores in this binary.
const BUILT_IN: &[&str] = &[
    "memory",
    #[cfg(feature = "redis")]
    "redis",
];

/// What a URL of a store may begin with, and the store that this means.
const SCHEMES: &[(&str, &str)] = &[
    ("memory", "memory"),
    ("redis", "redis"),
    ("rediss", "redis"),
    ("redis+sentinel", "redis"),
    ("rediss+sentinel", "redis"),
    ("redis+cluster", "redis"),
    ("rediss+cluster", "redis"),
    ("sqlite", "sqlite"),
    ("postgres", "postgres"),
];

/// Which store to use: `memory`, or a URL. It may hold a password, so nothing but its scheme is ever shown.
#[derive(Clone)]
pub struct StoreUrl(String);

impl StoreUrl {
    /// A session layer, all at its defaults, over this store; each call to it will be given up after `io_timeout`.
    ///
    /// # Errors
    ///
    /// When no such store is built in, or it can not be reached.
    #[cfg_attr(
        not(feature = "redis"),
        expect(
            clippy::unused_async,
            unused_variables,
            reason = "other stores need both"
        )
    )]
    pub async fn open(&self, io_timeout: Duration) -> Result<SessionLayer, StartError> {
        match self.store() {
            Some("memory") => Ok(SessionLayer::new(MemoryStore::new())),
            #[cfg(feature = "redis")]
            Some("redis") => self.open_redis(io_timeout).await,
            Some(store) => Err(wrong(format!("'{store}' is not built in"))),
            None => Err(wrong("names no store".to_owned())),
        }
    }

    #[cfg(feature = "redis")]
    async fn open_redis(&self, io_timeout: Duration) -> Result<SessionLayer, StartError> {
        // A sign-in takes three answers, and all of them have to come within the layer's timeout.
        let timeout = (io_timeout / 3).min(Duration::from_secs(2));
        let store = tower_kr_session_redis::RedisStore::builder(&self.0)
            .connect_timeout(timeout)
            .response_timeout(timeout)
            .connect()
            .await
            .map_err(|error| StartError::option("--store", format!("can't be used: {error}")))?;
        Ok(SessionLayer::new(store))
    }

    /// The store that is meant.
    fn store(&self) -> Option<&'static str> {
        let scheme = self.scheme()?;
        let known = SCHEMES.iter().find(|(known, _)| *known == scheme)?;
        Some(known.1)
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
        f.debug_tuple("StoreUrl")
            .field(&self.store().unwrap_or("unknown"))
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
