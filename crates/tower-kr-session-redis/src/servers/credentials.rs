//! Asks the application for the credentials of a new connection.

use std::{error::Error, fmt, fs, future::Future, path::PathBuf, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use redis::ConnectionInfo;
use tokio::{task::spawn_blocking, time::timeout};

use crate::connect_error::ConnectError;

type BoxError = Box<dyn Error + Send + Sync>;

/// A user name, which may be empty, and a password.
type UserAndPassword = (String, String);

/// What the application is asked.
#[derive(Clone)]
pub(crate) struct Credentials(
    Arc<dyn Fn() -> BoxFuture<'static, Result<UserAndPassword, BoxError>> + Send + Sync>,
);

impl Credentials {
    pub(crate) fn new<F, A, E>(ask: F) -> Self
    where
        F: Fn() -> A + Send + Sync + 'static,
        A: Future<Output = Result<UserAndPassword, E>> + Send + 'static,
        E: Into<BoxError>,
    {
        Self(Arc::new(move || {
            let answer = ask();
            Box::pin(async move { answer.await.map_err(Into::into) })
        }))
    }

    /// The password is the first line of a file.
    pub(crate) fn file(path: PathBuf) -> Self {
        let path = Arc::new(path);
        Self::new(move || {
            let path = Arc::clone(&path);
            async move {
                let read = spawn_blocking(move || {
                    let text = fs::read_to_string(&*path)
                        .map_err(|error| format!("{}: {error}", path.display()))?;
                    match text.lines().next() {
                        Some(password) if !password.is_empty() => Ok(password.to_owned()),
                        _ => Err(format!("{}: the first line is empty", path.display())),
                    }
                });
                Ok::<_, BoxError>((String::new(), read.await??))
            }
        })
    }

    /// The same connection with the credentials of now. An empty user name leaves the one of the
    /// URL.
    pub(super) async fn put_into(
        &self,
        info: &ConnectionInfo,
        within: Duration,
    ) -> Result<ConnectionInfo, ConnectError> {
        let answer = timeout(within, (self.0)()).await;
        let answer = answer.unwrap_or_else(|_| Err(format!("no answer within {within:?}").into()));
        let (user, password) = answer.map_err(|error| ConnectError::NoCredentials {
            server: info.addr().to_string(),
            reason: error.to_string(),
        })?;
        let mut settings = info.redis_settings().clone().set_password(password);
        if !user.is_empty() {
            settings = settings.set_username(user);
        }
        Ok(info.clone().set_redis_settings(settings))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}
