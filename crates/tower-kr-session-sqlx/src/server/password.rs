//! Passwords that change while the store runs.

use std::{error::Error, fmt, fs, future::Future, path::PathBuf, pin::Pin, sync::Arc};

use sqlx::Pool;

use super::ServerDialect;
use crate::error::DatabaseFailure;

type Answer = Pin<Box<dyn Future<Output = Result<String, Box<dyn Error + Send + Sync>>> + Send>>;

/// Where the password comes from, whenever one is needed.
#[derive(Clone)]
pub(super) struct Passwords(Arc<dyn Fn() -> Answer + Send + Sync>);

impl Passwords {
    pub(super) fn new<F, E>(ask: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<String, E>> + Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        Self(Arc::new(move || {
            let asked = ask();
            Box::pin(async move { asked.await.map_err(Into::into) })
        }))
    }

    /// The first line of a file.
    pub(super) fn file(path: PathBuf) -> Self {
        Self::new(move || {
            let text = fs::read_to_string(&path);
            async move { text.map(|text| text.lines().next().unwrap_or_default().to_owned()) }
        })
    }

    pub(super) async fn ask(&self) -> Result<String, DatabaseFailure> {
        (self.0)().await.map_err(DatabaseFailure::no_password)
    }

    /// Asks for the password, and has the pool use it for new connections.
    pub(super) async fn renew<D: ServerDialect>(
        &self,
        pool: &Pool<D>,
    ) -> Result<(), DatabaseFailure> {
        let password = self.ask().await?;
        let options = pool.connect_options();
        pool.set_connect_options(D::with_password(options.as_ref().clone(), &password));
        Ok(())
    }
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passwords")
    }
}
