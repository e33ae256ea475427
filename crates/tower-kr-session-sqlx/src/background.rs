//! A start that doesn't need the database: the store is there at once, and sets itself up as soon
//! as the database can serve.

use std::time::Duration;

use tokio::{
    sync::oneshot,
    time::{sleep, timeout},
};

use crate::{
    dialect::Dialect,
    error::{DatabaseFailure, SetupError},
    store::{SqlStore, WeakStore},
};

/// The pause between two attempts.
const PAUSE: Duration = Duration::from_millis(250);

/// Whoever knows the password answers within this time.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a start in the background does about the tables, as soon as the database can serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schema {
    /// Creates them or brings them up to date, as [`migrate`](SqlStore::migrate) does.
    Migrate,
    /// Checks that they are up to date, as [`check`](SqlStore::check) does.
    Check,
}

impl<D: Dialect> SqlStore<D> {
    /// Sets the store up in the background. The receiver gets what the first attempt came to.
    pub(crate) fn set_up_in_background(
        &self,
        schema: Schema,
    ) -> oneshot::Receiver<Result<(), SetupError>> {
        self.start().begin();
        let (first, attempted) = oneshot::channel();
        tokio::spawn(keep_trying(self.downgrade(), schema, first));
        attempted
    }

    async fn set_up(&self, schema: Schema) -> Result<(), SetupError> {
        let silence = |_| DatabaseFailure::no_password(format_args!("no answer in {PATIENCE:?}"));
        timeout(PATIENCE, self.renew()).await.map_err(silence)??;
        let options = self.pool().connect_options();
        if let Some(failure) = self.health().obstacle::<D>(&options).await {
            return Err(failure.into());
        }
        match schema {
            Schema::Migrate => self.migrate().await,
            Schema::Check => self.check().await,
        }
    }
}

/// Tries until the store is set up, or dropped.
async fn keep_trying<D: Dialect>(
    store: WeakStore<D>,
    schema: Schema,
    first: oneshot::Sender<Result<(), SetupError>>,
) {
    let mut first = Some(first);
    while let Some(store) = store.upgrade() {
        let attempt = store.set_up(schema).await;
        let Err(error) = attempt else {
            store.start().end();
            match first.take() {
                // Nobody waits if it took long.
                Some(first) => drop(first.send(Ok(()))),
                None => {
                    let server = store.health().place();
                    tracing::info!(%server, "the session store is back");
                }
            }
            return;
        };
        let news = store.start().is_news(&error);
        let lasts = error.lasts();
        let reason = error.to_string();
        let told = first
            .take()
            .is_some_and(|first| first.send(Err(error)).is_ok());
        let server = store.health().place();
        match (news, lasts) {
            (true, true) if !told => {
                tracing::error!(%server, %reason, "the session store can't be used");
            }
            (true, false) => tracing::warn!(%server, %reason, "the session store is down"),
            _ => {}
        }
        drop(store);
        sleep(PAUSE).await;
    }
}
