//! Sets up a store: its settings, their checks, and the first connection.

use std::{error::Error, fmt, path::PathBuf, sync::Arc, time::Duration};

use redis::{ClientTlsConfig, ConnectionInfo, RedisConnectionInfo, TlsCertificates};
use rustls::crypto::{CryptoProvider, ring};
use tokio::time::timeout;

use crate::{
    connect_error::ConnectError,
    database::Database,
    servers::{
        Servers,
        address::{Target, uses_tls},
        cluster::Cluster,
        connector::Connector,
        credentials::Credentials,
        settings::Settings,
    },
    store::RedisStore,
};

const DEFAULT_PREFIX: &str = "kr:";
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a start in the background waits for what the first attempt comes to.
const FIRST_ANSWER: Duration = Duration::from_millis(500);

/// A time further ahead could pass the clock's end.
const LONGEST_TIMEOUT: Duration = Duration::from_millis(i32::MAX as u64);

impl RedisStore {
    /// Connects to the servers that the URL names, with the default settings.
    ///
    /// Call it within the Tokio runtime that serves requests: a task there keeps the connection.
    ///
    /// # Errors
    /// If the URL is wrong, there is no server, it denies access, or it can't keep sessions.
    pub async fn connect(url: &str) -> Result<Self, ConnectError> {
        Self::builder(url).connect().await
    }

    /// Sets up a store on the servers that the URL names:
    ///
    /// | URL | servers |
    /// |---|---|
    /// | `redis://[[user]:password@]host[:port][/database]` | a single server |
    /// | `unix:///path/to/redis.sock` | a single server, through a socket |
    /// | `redis+sentinel://[[user]:password@]host[:port],host[:port]/master[/database]` | the master that these sentinels name |
    /// | `redis+cluster://[[user]:password@]host[:port],host[:port]` | a cluster with these nodes, among others |
    ///
    /// With `rediss` instead of `redis`, connections are encrypted (TLS) and certificates are
    /// checked.
    pub fn builder(url: &str) -> RedisStoreBuilder {
        RedisStoreBuilder::with_target(Target::parse(url))
    }

    /// Sets up a store on the server of a client that the application already has.
    ///
    /// The store takes the client's address, credentials and certificates, and opens a connection
    /// of its own.
    pub fn from_client(client: &redis::Client) -> RedisStoreBuilder {
        RedisStoreBuilder::with_target(Ok(Target::server(client.get_connection_info().clone())))
    }
}

/// Sets up a [`RedisStore`].
#[must_use]
pub struct RedisStoreBuilder {
    target: Result<Target, ConnectError>,
    key_prefix: String,
    connect_timeout: Duration,
    response_timeout: Duration,
    root_certificates: Option<Vec<u8>>,
    client_certificate: Option<(Vec<u8>, Vec<u8>)>,
    credentials: Option<Credentials>,
    sentinel_credentials: Option<(String, String)>,
}

impl RedisStoreBuilder {
    fn with_target(target: Result<Target, ConnectError>) -> Self {
        Self {
            target,
            key_prefix: DEFAULT_PREFIX.to_owned(),
            connect_timeout: DEFAULT_TIMEOUT,
            response_timeout: DEFAULT_TIMEOUT,
            root_certificates: None,
            client_certificate: None,
            credentials: None,
            sentinel_credentials: None,
        }
    }

    /// Sets the prefix of all keys, so that applications can share a server. Default: `kr:`.
    pub fn key_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.key_prefix = prefix.into();
        self
    }

    /// Sets how long a connection may take until it serves. Default: 2 seconds. More than 24 days
    /// are cut to that.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout.min(LONGEST_TIMEOUT);
        self
    }

    /// Sets how long an answer may take. After that the server counts as frozen, and calls fail at
    /// once until it is back. Default: 2 seconds. Keep it at most a quarter of the layer's I/O
    /// timeout, since a sign-in takes four answers. More than 24 days are cut to that.
    pub fn response_timeout(mut self, timeout: Duration) -> Self {
        self.response_timeout = timeout.min(LONGEST_TIMEOUT);
        self
    }

    /// Sets the certificates (PEM) of the authorities that sign the servers' certificates. Default:
    /// the public authorities.
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.root_certificates = Some(pem.into());
        self
    }

    /// Sets a certificate (PEM) and its private key (PEM), for servers that ask for one.
    pub fn client_certificate(
        mut self,
        certificate: impl Into<Vec<u8>>,
        key: impl Into<Vec<u8>>,
    ) -> Self {
        self.client_certificate = Some((certificate.into(), key.into()));
        self
    }

    /// Asks for the user name and the password at each new connection to a server, instead of
    /// taking those of the URL. For credentials that change while the application runs, such as
    /// tokens that expire. An empty user name leaves the one of the URL.
    ///
    /// The store doesn't close a connection when its credentials end. If the server does, the store
    /// asks and connects anew.
    ///
    /// ```no_run
    /// use tower_kr_session_redis::RedisStore;
    ///
    /// async fn fresh_token() -> Result<String, std::io::Error> {
    ///     // Ask the cloud or the vault here.
    /// #   Ok(String::new())
    /// }
    ///
    /// # async fn connect() -> Result<(), Box<dyn std::error::Error>> {
    /// let store = RedisStore::builder("rediss://redis.internal")
    ///     .credentials(|| async {
    ///         let token = fresh_token().await?;
    ///         Ok::<_, std::io::Error>(("app".to_owned(), token))
    ///     })
    ///     .connect()
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn credentials<F, A, E>(mut self, ask: F) -> Self
    where
        F: Fn() -> A + Send + Sync + 'static,
        A: Future<Output = Result<(String, String), E>> + Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        self.credentials = Some(Credentials::new(ask));
        self
    }

    /// Reads the password from the first line of this file at each new connection to a server,
    /// instead of taking that of the URL. The user name is the URL's.
    pub fn password_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.credentials = Some(Credentials::file(path.into()));
        self
    }

    /// Sets the user (may be empty) and password of the sentinels. Default: none, since the
    /// credentials in the URL are the servers'.
    pub fn sentinel_credentials(
        mut self,
        user: impl Into<String>,
        password: impl Into<String>,
    ) -> Self {
        self.sentinel_credentials = Some((user.into(), password.into()));
        self
    }

    /// Connects, and checks that the servers can keep sessions.
    ///
    /// Call it within the Tokio runtime that serves requests: a task there keeps the connection.
    ///
    /// # Errors
    /// If a setting is wrong, there is no server, it denies access, or it can't keep sessions.
    pub async fn connect(self) -> Result<RedisStore, ConnectError> {
        let (target, settings) = self.check()?;
        try_out(&target, &settings).await?;
        let description = addresses(target.servers());
        let servers = Servers::start(target, settings);
        servers.ready(&description).await?;
        Ok(self.store(servers, description))
    }

    /// Returns a store whether or not the servers are there, for an application that may start
    /// before them.
    ///
    /// Until there is a connection, calls fail as they do when the server is down, and the layer
    /// answers 503. What waiting doesn't mend, such as a wrong password, is logged (ERROR) once,
    /// and the store goes on trying.
    ///
    /// It waits for a first answer for half a second at most. So what is wrong is usually known
    /// here. Call it within the Tokio runtime that serves requests: a task there keeps the
    /// connection.
    ///
    /// # Errors
    /// If a setting is wrong, or the server answers in that time and denies access, or can't keep
    /// sessions.
    pub async fn connect_in_background(self) -> Result<RedisStore, ConnectError> {
        let (target, settings) = self.check()?;
        let tried = timeout(FIRST_ANSWER, try_out(&target, &settings)).await;
        if let Ok(Err(error)) = tried
            && error.lasts()
        {
            return Err(error);
        }
        let description = addresses(target.servers());
        let servers = Servers::start(target, settings);
        Ok(self.store(servers, description))
    }

    fn check(&self) -> Result<(Target, Settings), ConnectError> {
        let mut target = self.target.clone()?;
        if self.connect_timeout.is_zero() || self.response_timeout.is_zero() {
            return Err(ConnectError::InvalidSetting {
                reason: "a timeout of zero leaves no time for any answer",
            });
        }
        if let Target::Sentinel { sentinels, .. } = &mut target {
            for sentinel in sentinels {
                *sentinel = self.as_sentinel(sentinel);
            }
        }
        let certificates = self.certificates();
        let tls = target.servers().iter().any(uses_tls);
        if certificates.is_some() && !tls {
            return Err(ConnectError::InvalidSetting {
                reason: "certificates are given, but the URL asks for no encryption: use rediss",
            });
        }
        if tls {
            choose_cryptography();
        }
        let settings = Settings {
            connect_timeout: self.connect_timeout,
            response_timeout: self.response_timeout,
            certificates,
            credentials: self.credentials.clone(),
        };
        for info in target.servers() {
            settings.client(info)?;
        }
        Ok((target, settings))
    }

    /// A sentinel has no databases, and credentials of its own.
    fn as_sentinel(&self, info: &ConnectionInfo) -> ConnectionInfo {
        let mut settings = RedisConnectionInfo::default();
        if let Some((user, password)) = &self.sentinel_credentials {
            settings = settings.set_password(password);
            if !user.is_empty() {
                settings = settings.set_username(user);
            }
        }
        info.clone().set_redis_settings(settings)
    }

    fn certificates(&self) -> Option<TlsCertificates> {
        let client_tls = self.client_certificate.clone();
        let client_tls = client_tls.map(|(client_cert, client_key)| ClientTlsConfig {
            client_cert,
            client_key,
        });
        let root_cert = self.root_certificates.clone();
        (client_tls.is_some() || root_cert.is_some()).then_some(TlsCertificates {
            client_tls,
            root_cert,
        })
    }

    fn store(self, servers: Servers, description: String) -> RedisStore {
        RedisStore::new(Database::new(servers, self.key_prefix, description))
    }
}

impl fmt::Debug for RedisStoreBuilder {
    /// Shows no credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let servers = self
            .target
            .as_ref()
            .map(|target| addresses(target.servers()));
        f.debug_struct("RedisStoreBuilder")
            .field("servers", &servers)
            .field("key_prefix", &self.key_prefix)
            .field("connect_timeout", &self.connect_timeout)
            .field("response_timeout", &self.response_timeout)
            .finish_non_exhaustive()
    }
}

fn addresses(infos: &[ConnectionInfo]) -> String {
    let addresses: Vec<String> = infos.iter().map(|info| info.addr().to_string()).collect();
    addresses.join(",")
}

/// Connects once, so that what is wrong with a server is known at start and not at the first
/// session.
async fn try_out(target: &Target, settings: &Settings) -> Result<(), ConnectError> {
    match target {
        Target::Cluster(nodes) => Cluster::try_out(nodes.clone(), settings.clone()).await,
        _ => {
            let connector = Connector::new(target.clone(), settings.clone());
            connector.connect(&Arc::default()).await.map(drop)
        }
    }
}

/// Installs a cryptography provider for rustls, unless the application has chosen one.
fn choose_cryptography() {
    if CryptoProvider::get_default().is_none() {
        // Another thread may have been faster.
        let _ = ring::default_provider().install_default();
    }
}
