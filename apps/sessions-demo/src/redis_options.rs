//! Options of a store in Redis, beside its URL.

#[cfg(feature = "redis")]
use std::path::Path;
use std::path::PathBuf;

use clap::Args;

#[cfg(feature = "redis")]
use crate::error::StartError;

/// What a URL of Redis can't say, or shouldn't.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Store in Redis")]
pub struct RedisOptions {
    /// Authorities of the servers.
    ///
    /// They sign the servers' certificates. It is a PEM file; without it, the public ones count.
    #[arg(long, env = "SESSION_REDIS_CA", value_name = "FILE")]
    pub redis_ca: Option<PathBuf>,

    /// Password of the servers.
    ///
    /// It is the first line of this file, which is read for each new connection.
    #[arg(long, env = "SESSION_REDIS_PASSWORD_FILE", value_name = "FILE")]
    pub redis_password_file: Option<PathBuf>,

    /// User name for the sentinels.
    #[arg(long, env = "SESSION_REDIS_SENTINEL_USER", value_name = "NAME")]
    pub redis_sentinel_user: Option<String>,

    /// Password of the sentinels.
    ///
    /// It is the first line of this file.
    #[arg(
        long,
        env = "SESSION_REDIS_SENTINEL_PASSWORD_FILE",
        value_name = "FILE"
    )]
    pub redis_sentinel_password_file: Option<PathBuf>,
}

impl RedisOptions {
    /// The first option that is given.
    pub(crate) fn given(&self) -> Option<&'static str> {
        [
            ("--redis-ca", self.redis_ca.is_some()),
            ("--redis-password-file", self.redis_password_file.is_some()),
            ("--redis-sentinel-user", self.redis_sentinel_user.is_some()),
            (
                "--redis-sentinel-password-file",
                self.redis_sentinel_password_file.is_some(),
            ),
        ]
        .into_iter()
        .find_map(|(name, given)| given.then_some(name))
    }

    #[cfg(feature = "redis")]
    pub(crate) fn apply(
        &self,
        mut builder: tower_kr_session_redis::RedisStoreBuilder,
    ) -> Result<tower_kr_session_redis::RedisStoreBuilder, StartError> {
        if let Some(path) = &self.redis_ca {
            builder = builder.root_certificates(read("--redis-ca", path)?);
        }
        if let Some(path) = &self.redis_password_file {
            read("--redis-password-file", path)?;
            builder = builder.password_file(path);
        }
        if self.redis_sentinel_user.is_some() && self.redis_sentinel_password_file.is_none() {
            return Err(StartError::option(
                "--redis-sentinel-user",
                "needs a password: add --redis-sentinel-password-file",
            ));
        }
        if let Some(path) = &self.redis_sentinel_password_file {
            let text = read("--redis-sentinel-password-file", path)?;
            let password = text.lines().next().unwrap_or_default();
            let user = self.redis_sentinel_user.as_deref().unwrap_or_default();
            builder = builder.sentinel_credentials(user, password);
        }
        Ok(builder)
    }
}

#[cfg(feature = "redis")]
fn read(option: &'static str, path: &Path) -> Result<String, StartError> {
    std::fs::read_to_string(path).map_err(|error| StartError::File {
        option: option.to_owned(),
        path: path.to_owned(),
        why: error.to_string(),
    })
}
