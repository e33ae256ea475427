//! Where the sessions are kept.

use std::any::Any;
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use tower_kr_session::{MemoryStore, MokaStore, SessionLayer};

use crate::error::StartError;
use crate::redis_options::RedisOptions;

/// The stores in this binary.
const BUILT_IN: &[&str] = &[
    "moka",
    "memory",
    #[cfg(feature = "redis")]
    "redis",
    #[cfg(feature = "sqlite")]
    "sqlite",
    #[cfg(feature = "postgres")]
    "postgres",
];

/// What a URL of a store may begin with, and the store that this means.
const SCHEMES: &[(&str, &str)] = &[
    ("moka", "moka"),
    ("memory", "memory"),
    ("redis", "redis"),
    ("rediss", "redis"),
    ("redis+sentinel", "redis"),
    ("rediss+sentinel", "redis"),
    ("redis+cluster", "redis"),
    ("rediss+cluster", "redis"),
    ("sqlite", "sqlite"),
    ("postgres", "postgres"),
    ("postgresql", "postgres"),
];

/// Which store to use: `moka`, `memory`, or a URL. It may hold a password, so nothing but its scheme is ever shown.
#[derive(Clone)]
pub struct StoreUrl(String);

/// What works beside the requests as long as a store is in use. It stops when this is dropped.
#[derive(Default)]
pub struct Housekeeping(
    #[expect(dead_code, reason = "held for what happens when it is dropped")]
    Option<Box<dyn Any + Send>>,
);

impl StoreUrl {
    /// A session layer, all at its defaults, over this store; each call to it will be given up after `io_timeout`.
    ///
    /// # Errors
    ///
    /// When no such store is built in, it can not be reached, or an option is for another one.
    #[cfg_attr(
        not(any(feature = "redis", feature = "sqlite", feature = "postgres")),
        expect(
            clippy::unused_async,
            unused_variables,
            reason = "other stores need both"
        )
    )]
    pub async fn open(
        &self,
        io_timeout: Duration,
        redis: &RedisOptions,
    ) -> Result<(SessionLayer, Housekeeping), StartError> {
        if let Some(option) = redis.given().filter(|_| self.store() != Some("redis")) {
            return Err(StartError::option(option, "needs a --store in Redis"));
        }
        match self.store() {
            Some("moka") => {
                let layer = SessionLayer::new(MokaStore::new());
                Ok((layer, Housekeeping::default()))
            }
            Some("memory") => {
                let layer = SessionLayer::new(MemoryStore::new());
                Ok((layer, Housekeeping::default()))
            }
            #[cfg(feature = "redis")]
            Some("redis") => {
                let layer = self.open_redis(io_timeout, redis).await?;
                Ok((layer, Housekeeping::default()))
            }
            #[cfg(feature = "sqlite")]
            Some("sqlite") => {
                let builder = tower_kr_session_sqlx::SqliteStore::builder();
                let builder = within(io_timeout, builder);
                ready(builder.connect(&self.0).await).await
            }
            #[cfg(feature = "postgres")]
            Some("postgres") => {
                let builder = tower_kr_session_sqlx::PostgresStore::builder();
                let builder = within(io_timeout, builder);
                ready(builder.connect(&self.0).await).await
            }
            Some(store) => Err(wrong(format!("'{store}' is not built in"))),
            None => Err(wrong("names no store".to_owned())),
        }
    }

    #[cfg(feature = "redis")]
    async fn open_redis(
        &self,
        io_timeout: Duration,
        options: &RedisOptions,
    ) -> Result<SessionLayer, StartError> {
        // A sign-in takes four answers, and all of them have to come within the layer's timeout.
        let timeout = (io_timeout / 4).min(Duration::from_secs(2));
        let builder = tower_kr_session_redis::RedisStore::builder(&self.0)
            .connect_timeout(timeout)
            .response_timeout(timeout);
        let store =
            options.apply(builder)?.connect().await.map_err(|error| {
                StartError::option("--store", format!("can't be used: {error}"))
            })?;
        Ok(SessionLayer::new(store))
    }

    /// The store that is meant.
    fn store(&self) -> Option<&'static str> {
        let scheme = self.scheme()?;
        let known = SCHEMES.iter().find(|(known, _)| *known == scheme)?;
        Some(known.1)
    }

    /// The store's name.
    pub(crate) fn name(&self) -> &'static str {
        self.store().unwrap_or("unknown")
    }

    /// The part before `://`; the name of a store in memory may stand alone.
    fn scheme(&self) -> Option<&str> {
        match self.0.split_once("://") {
            Some((scheme, _)) => Some(scheme),
            None => ["moka", "memory"].into_iter().find(|name| *name == self.0),
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

/// Waiting for a connection and then for a lock has to end within the layer's timeout.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
fn within<D: tower_kr_session_sqlx::Dialect>(
    io_timeout: Duration,
    builder: tower_kr_session_sqlx::SqlStoreBuilder<D>,
) -> tower_kr_session_sqlx::SqlStoreBuilder<D> {
    let timeout = io_timeout / 5 * 2;
    builder.acquire_timeout(timeout).lock_timeout(timeout)
}

/// Makes the tables if they are not there, and starts to delete expired sessions.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
async fn ready<D: tower_kr_session_sqlx::Dialect>(
    store: Result<tower_kr_session_sqlx::SqlStore<D>, tower_kr_session_sqlx::SetupError>,
) -> Result<(SessionLayer, Housekeeping), StartError> {
    let unusable = |error| StartError::option("--store", format!("can't be used: {error}"));
    let store = store.map_err(unusable)?;
    store.migrate().await.map_err(unusable)?;
    let cleanup = store.spawn_cleanup(tower_kr_session_sqlx::Cleanup::new());
    Ok((
        SessionLayer::new(store),
        Housekeeping(Some(Box::new(cleanup))),
    ))
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
