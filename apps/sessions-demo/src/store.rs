//! Where the sessions are kept.

use std::{any::Any, convert::Infallible, fmt, str::FromStr, time::Duration};

#[cfg(any(feature = "redis", feature = "postgres", feature = "mysql"))]
use tower_kr_session::{Clock, SessionId, SessionStore, SystemClock};
use tower_kr_session::{MemoryStore, MokaStore, SessionLayer};

use crate::{error::StartError, redis_options::RedisOptions};

/// The stores in this binary.
const BUILT_IN: &[&str] = &[
    "moka",
    "memory",
    #[cfg(feature = "sqlite")]
    "sqlite",
    #[cfg(feature = "postgres")]
    "postgres",
    #[cfg(feature = "mysql")]
    "mysql",
    #[cfg(feature = "redis")]
    "redis",
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
    ("mysql", "mysql"),
    ("mariadb", "mysql"),
];

/// How the URL of each store looks that needs one.
const ADDRESSES: &[(&str, &str)] = &[
    ("redis", "redis://127.0.0.1:6379"),
    ("sqlite", "sqlite://sessions.db"),
    ("postgres", "postgres://user@127.0.0.1/database"),
    ("mysql", "mysql://user@127.0.0.1/database"),
];

/// Which store to use: `moka`, `memory`, or a URL. It may hold a password, so nothing but its
/// scheme is ever shown.
#[derive(Clone)]
pub struct StoreUrl(String);

/// What works beside the requests as long as a store is in use. It stops when this is dropped.
#[derive(Default)]
pub struct Housekeeping(
    #[expect(dead_code, reason = "held for what happens when it is dropped")]
    Option<Box<dyn Any + Send>>,
);

impl StoreUrl {
    /// A session layer, all at its defaults, over this store; each call to it will be given up
    /// after `io_timeout`.
    ///
    /// # Errors
    ///
    /// When no such store is built in, it can't be used, or an option is for another one. A server
    /// that can't be reached is no error: the store goes on trying.
    #[cfg_attr(
        not(any(
            feature = "redis",
            feature = "sqlite",
            feature = "postgres",
            feature = "mysql"
        )),
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
            return Err(StartError::option(
                option,
                "needs a --store in Redis, as in redis://127.0.0.1:6379",
            ));
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
            Some("sqlite") if self.0 == "sqlite://" => Err(no_file()),
            #[cfg(feature = "sqlite")]
            Some("sqlite") => {
                let builder = tower_kr_session_sqlx::SqliteStore::builder();
                let builder = within(io_timeout, builder);
                let store = builder.connect(&self.0).await.map_err(unusable_sql)?;
                store.migrate().await.map_err(unusable_sql)?;
                Ok(cleaned(store))
            }
            #[cfg(feature = "postgres")]
            Some("postgres") => {
                let builder = tower_kr_session_sqlx::PostgresStore::builder();
                self.open_sql_server(within(io_timeout, builder)).await
            }
            #[cfg(feature = "mysql")]
            Some("mysql") => {
                let builder = tower_kr_session_sqlx::MysqlStore::builder();
                self.open_sql_server(within(io_timeout, builder)).await
            }
            Some(_) => Err(self.unknown()),
            None => Err(self.no_store()),
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
        let store = options.apply(builder)?.connect_in_background().await;
        let store = store.map_err(unusable_redis)?;
        tell_if_down(store.clone());
        Ok(SessionLayer::new(store))
    }

    #[cfg(any(feature = "postgres", feature = "mysql"))]
    async fn open_sql_server<D: tower_kr_session_sqlx::ServerDialect>(
        &self,
        builder: tower_kr_session_sqlx::SqlStoreBuilder<D>,
    ) -> Result<(SessionLayer, Housekeeping), StartError> {
        let schema = tower_kr_session_sqlx::Schema::Migrate;
        let store = builder.connect_in_background(&self.0, schema).await;
        let store = store.map_err(unusable_sql)?;
        tell_if_down(store.clone());
        Ok(cleaned(store))
    }

    /// The store that is meant.
    fn store(&self) -> Option<&'static str> {
        let scheme = self.scheme()?;
        let known = SCHEMES.iter().find(|(known, _)| *known == scheme)?;
        Some(known.1)
    }

    /// Says what is wrong or missing, if this begins like the name or the URL of a store.
    fn no_store(&self) -> StartError {
        let begin = self.0.split(':').next().unwrap_or_default();
        let known = SCHEMES
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(begin));
        let Some((scheme, store)) = known.filter(|(_, store)| BUILT_IN.contains(store)) else {
            return self.unknown();
        };
        if *scheme != begin {
            return StartError::option("--store", format!("has capitals; write {scheme}"));
        }
        if self.0 == "sqlite::memory:" {
            return no_file();
        }
        match address(store) {
            Some(address) => {
                let why = format!("names no address; write {store} as in {address}");
                StartError::option("--store", why)
            }
            None => self.unknown(),
        }
    }

    /// Says which stores there are, and how one is written.
    fn unknown(&self) -> StartError {
        let example = BUILT_IN.iter().find_map(|store| address(store));
        let why = format!(
            "{} is no store of this build, which has {}; write one as in {}",
            self.shown(),
            BUILT_IN.join(", "),
            example.unwrap_or("moka"),
        );
        StartError::option("--store", why)
    }

    /// What was written, up to where a password can be.
    fn shown(&self) -> String {
        const MOST: usize = 40;
        let begin = self.0.split([':', '@']).next().unwrap_or_default();
        let rest = &self.0[begin.len()..];
        if begin.chars().count() > MOST || rest.starts_with('@') {
            return "'…'".to_owned();
        }
        let rest = match rest {
            "" => "",
            _ if rest.starts_with("://") => "://…",
            _ => ":…",
        };
        format!("'{}{rest}'", begin.escape_debug())
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
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
fn within<D: tower_kr_session_sqlx::Dialect>(
    io_timeout: Duration,
    builder: tower_kr_session_sqlx::SqlStoreBuilder<D>,
) -> tower_kr_session_sqlx::SqlStoreBuilder<D> {
    let timeout = io_timeout / 5 * 2;
    builder.acquire_timeout(timeout).lock_timeout(timeout)
}

/// Says that the server serves although its store doesn't answer yet. The store says why it
/// doesn't.
#[cfg(any(feature = "redis", feature = "postgres", feature = "mysql"))]
fn tell_if_down(store: impl SessionStore) {
    tokio::spawn(async move {
        let now = SystemClock.now();
        if store.load(SessionId::generate(now), now).await.is_err() {
            tracing::warn!(
                "serving anyway: requests that need a session get 503 until the store answers"
            );
        }
    });
}

/// Starts to delete expired sessions.
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
fn cleaned<D: tower_kr_session_sqlx::Dialect>(
    store: tower_kr_session_sqlx::SqlStore<D>,
) -> (SessionLayer, Housekeeping) {
    let cleanup = store.spawn_cleanup(tower_kr_session_sqlx::Cleanup::new());
    (
        SessionLayer::new(store),
        Housekeeping(Some(Box::new(cleanup))),
    )
}

#[cfg(feature = "redis")]
fn unusable_redis(error: tower_kr_session_redis::ConnectError) -> StartError {
    use tower_kr_session_redis::ConnectError;
    match error {
        ConnectError::InvalidUrl { reason } => wrong_url(&reason),
        ConnectError::InvalidSetting { reason } => wrong_url(reason),
        // The credentials are those of the URL, or of this file.
        ConnectError::NoCredentials { reason, .. } => {
            StartError::option("--redis-password-file", reason)
        }
        error => unusable(&error),
    }
}

#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
fn unusable_sql(error: tower_kr_session_sqlx::SetupError) -> StartError {
    use tower_kr_session_sqlx::SetupError;
    match error {
        SetupError::InvalidUrl { reason } => wrong_url(&reason),
        error => unusable(&error),
    }
}

#[cfg(any(
    feature = "redis",
    feature = "sqlite",
    feature = "postgres",
    feature = "mysql"
))]
fn wrong_url(reason: &str) -> StartError {
    StartError::option("--store", format!("can't be used: {reason}"))
}

#[cfg(any(
    feature = "redis",
    feature = "sqlite",
    feature = "postgres",
    feature = "mysql"
))]
fn unusable(error: &dyn fmt::Display) -> StartError {
    StartError::Store {
        option: "--store".to_owned(),
        why: error.to_string(),
    }
}

/// A URL of SQLite without a file would be a database in memory, and another one per connection.
fn no_file() -> StartError {
    let why = "names no file, as in sqlite://sessions.db; for sessions in memory write memory";
    StartError::option("--store", why)
}

/// The URL of a store that needs one, as an example.
fn address(store: &str) -> Option<&'static str> {
    let mut addresses = ADDRESSES.iter();
    addresses.find(|(of, _)| *of == store).map(|(_, url)| *url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_repeats_what_was_written_without_a_password() {
        for (text, shown) in [
            ("disk", "'disk'"),
            ("", "''"),
            ("a\nb", "'a\\nb'"),
            ("mongodb://max:hunter2@localhost", "'mongodb://…'"),
            ("localhost:6379", "'localhost:…'"),
            ("max:hunter2@localhost", "'max:…'"),
            ("hunter2@localhost", "'…'"),
        ] {
            let url: StoreUrl = text.parse().unwrap();
            assert_eq!(url.shown(), shown);
        }
        let long: StoreUrl = "ä".repeat(41).parse().unwrap();
        assert_eq!(long.shown(), "'…'");
    }

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
