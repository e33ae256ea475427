//! Databases on a server: how a store finds and reaches one.

mod connect;
mod password;
mod url;

use std::{error::Error, future::Future, path::PathBuf, sync::Arc, time::Duration};

use sqlx::{Connection, Pool, pool::PoolOptions};
use tokio::time::timeout;

pub(crate) use self::connect::probe;
use self::password::Passwords;
use crate::{
    background::Schema,
    builder::SqlStoreBuilder,
    dialect::{Dialect, Sealed, Server},
    error::{DatabaseFailure, SetupError},
    health::Health,
    store::SqlStore,
};

const DEFAULT_CONNECTIONS: u32 = 10;

/// How long a start in the background waits for what the first attempt comes to.
const FIRST_ANSWER: Duration = Duration::from_millis(500);

/// The connection options of a database.
pub(crate) type Options<D> = <<D as sqlx::Database>::Connection as Connection>::Options;

/// A database on a server: [`sqlx::Postgres`] or [`sqlx::MySql`]. Sealed.
pub trait ServerDialect: Dialect + Remote {}

/// How to reach a database on a server.
pub trait Remote: Sealed<Settings = ServerSettings> {
    /// The schemes of its URLs.
    const SCHEMES: [&'static str; 2];

    /// The parameters of a URL that sqlx reads. After one that ends in `[` anything may follow.
    const PARAMETERS: &'static [&'static str];

    /// Whether there are poolers that lend a connection for one transaction.
    const POOLERS: bool;

    fn with_password(
        options: <Self::Connection as Connection>::Options,
        password: &str,
    ) -> <Self::Connection as Connection>::Options;

    /// For a pooler that lends a connection for one transaction.
    fn for_pooler(
        options: <Self::Connection as Connection>::Options,
    ) -> <Self::Connection as Connection>::Options {
        options
    }

    /// Prepares a new connection, and asks what the server at its other end can do.
    fn server(
        connection: &mut Self::Connection,
    ) -> impl Future<Output = Result<Server, sqlx::Error>> + Send;
}

/// The settings for a database on a server.
#[derive(Clone, Debug, Default)]
pub struct ServerSettings {
    pub(crate) transaction_pooler: bool,
    passwords: Option<Passwords>,
}

impl ServerSettings {
    /// Has the pool use the password of now for new connections.
    pub(crate) async fn renew<D: ServerDialect>(
        &self,
        pool: &Pool<D>,
    ) -> Result<(), DatabaseFailure> {
        match &self.passwords {
            Some(passwords) => passwords.renew(pool).await,
            None => Ok(()),
        }
    }
}

/// On a server: PostgreSQL, MySQL or MariaDB.
impl<D: ServerDialect> SqlStore<D> {
    /// Returns a builder, to change the defaults.
    #[must_use]
    pub fn builder() -> SqlStoreBuilder<D> {
        SqlStoreBuilder::new(DEFAULT_CONNECTIONS)
    }

    /// Connects to the database of this URL, with a pool of its own and the default settings.
    ///
    /// # Errors
    /// If the URL can't be used, or the database can't be reached. No error repeats the URL.
    pub async fn connect(url: &str) -> Result<Self, SetupError> {
        Self::builder().connect(url).await
    }
}

/// On a server: PostgreSQL, MySQL or MariaDB.
impl<D: ServerDialect> SqlStoreBuilder<D> {
    /// Asks for the password instead of taking it from the URL: at the start, every 15 seconds, and
    /// when the server refuses the last one. So it can change while the store runs.
    ///
    /// Connections that are open keep working. The closure returns a password, or a token of a
    /// cloud that is valid for some minutes; the layer's I/O timeout limits it.
    ///
    /// ```no_run
    /// # async fn token() -> Result<String, std::io::Error> { Ok(String::new()) }
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use tower_kr_session_sqlx::PostgresStore;
    ///
    /// let store = PostgresStore::builder()
    ///     .password_with(|| async { token().await })
    ///     .connect("postgres://app@db.example.org/app")
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn password_with<F, E>(mut self, ask: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<String, E>> + Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        self.settings.passwords = Some(Passwords::new(ask));
        self
    }

    /// Reads the password from the first line of this file, as often as
    /// [`password_with`](Self::password_with) asks.
    #[must_use]
    pub fn password_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.settings.passwords = Some(Passwords::file(path.into()));
        self
    }

    /// Builds a store on a pool of yours.
    ///
    /// Set the pool's `acquire_timeout` (30 seconds by default) below the layer's I/O timeout, and
    /// `after_connect` to a check that the server isn't a standby if it may be one. On MySQL and
    /// MariaDB, `autocommit` must be on, as it is by default.
    ///
    /// # Errors
    /// If the name of the table or the schema can't be used.
    pub fn build(self, pool: Pool<D>) -> Result<SqlStore<D>, SetupError> {
        let health = Health::new::<D>(&pool.connect_options());
        let behind_pooler = self.settings.transaction_pooler;
        self.store(pool, health, behind_pooler)
    }

    /// Connects to the database of this URL, with a pool of its own.
    ///
    /// Percent-encode the user and the password. Besides sqlx's parameters the URL can have
    /// `password_file=/run/secrets/db`, and on PostgreSQL `transaction_pooler=true`. Any other one
    /// is logged by its name and ignored.
    ///
    /// # Errors
    /// If a name or the URL can't be used, or the database can't be reached. No error repeats the
    /// URL.
    pub async fn connect(self, url: &str) -> Result<SqlStore<D>, SetupError> {
        let (builder, options) = self.read_url(url)?;
        builder.connect_with(options).await
    }

    /// Returns a store for the database of this URL, whether or not the database is there, for an
    /// application that may start before it.
    ///
    /// As soon as the database can serve, the store sees to the `schema`. Until then calls fail as
    /// they do when the database is down, and the layer answers 503. What waiting doesn't mend,
    /// such as a wrong password, is logged (ERROR) once, and the store goes on trying.
    ///
    /// It waits for a first answer for half a second at most. So what is wrong is usually known
    /// here.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use tower_kr_session_sqlx::{PostgresStore, Schema};
    ///
    /// let store = PostgresStore::builder()
    ///     .connect_in_background("postgres://app@db.example.org/app", Schema::Migrate)
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If a name or the URL can't be used, or the database answers in that time and refuses for a
    /// reason that waiting doesn't mend. No error repeats the URL.
    ///
    /// # Panics
    /// If it isn't called within a Tokio runtime.
    pub async fn connect_in_background(
        self,
        url: &str,
        schema: Schema,
    ) -> Result<SqlStore<D>, SetupError> {
        let (builder, options) = self.read_url(url)?;
        let (options, health) = builder.prepare(options)?;
        let pool = builder.pool_options(&health).connect_lazy_with(options);
        let store = builder.store(pool, health, builder.settings.transaction_pooler)?;
        let attempted = store.set_up_in_background(schema);
        match timeout(FIRST_ANSWER, attempted).await {
            Ok(Ok(Err(error))) if error.lasts() => Err(error),
            _ => Ok(store),
        }
    }

    /// Takes the settings of a URL.
    fn read_url(self, url: &str) -> Result<(Self, Options<D>), SetupError> {
        let url = url::read::<D>(url)?;
        let mut builder = self;
        if let Some(yes) = url.transaction_pooler {
            builder.settings.transaction_pooler = yes;
        }
        if let Some(path) = url.password_file {
            builder = builder.password_file(path);
        }
        Ok((builder, url.options))
    }

    /// Connects to the database of these options, with a pool of its own.
    ///
    /// # Errors
    /// If a name can't be used, or the database can't be reached.
    pub async fn connect_with(self, options: Options<D>) -> Result<SqlStore<D>, SetupError> {
        let (options, health) = self.prepare(options)?;
        let options = match &self.settings.passwords {
            Some(passwords) => D::with_password(options, &passwords.ask().await?),
            None => options,
        };
        let pool = self.pool_options(&health);
        let pool = match pool.connect_with(options.clone()).await {
            Ok(pool) => pool,
            Err(error) => return Err(health.reason::<D>(&options, error).await.into()),
        };
        let behind_pooler = self.settings.transaction_pooler;
        self.store(pool, health, behind_pooler)
    }

    fn prepare(&self, options: Options<D>) -> Result<(Options<D>, Arc<Health>), SetupError> {
        self.names()?;
        let options = if self.settings.transaction_pooler {
            D::for_pooler(options)
        } else {
            options
        };
        let health = Health::new::<D>(&options);
        Ok((options, health))
    }

    fn pool_options(&self, health: &Arc<Health>) -> PoolOptions<D> {
        connect::pool_options(self.max_connections, self.acquire_timeout, health)
    }
}
