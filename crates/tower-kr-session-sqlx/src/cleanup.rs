//! Deletes expired sessions in the background.

use std::{future::Future, time::Duration};

use tokio::{sync::watch, task::JoinHandle, time::timeout};
use tower_kr_session::{Clock, StoreError, SystemClock, Timestamp};

use crate::{
    dialect::{Argument, Dialect},
    row,
    statements::REMEMBER_REVOCATION,
    store::SqlStore,
};

const DEFAULT_INTERVAL: Duration = Duration::from_secs(60);
const DEFAULT_BATCH: u32 = 500;

const STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);

/// The settings of the background cleanup, for [`SqlStore::spawn_cleanup`].
#[derive(Clone, Debug)]
pub struct Cleanup<C = SystemClock> {
    interval: Duration,
    batch: u32,
    clock: C,
}

impl Cleanup {
    /// A cleanup once a minute, of 500 rows a statement.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            interval: DEFAULT_INTERVAL,
            batch: DEFAULT_BATCH,
            clock: SystemClock,
        }
    }
}

impl<C> Cleanup<C> {
    /// The time between two passes, at least a millisecond. Default: a minute.
    #[must_use]
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval.max(Duration::from_millis(1));
        self
    }

    /// The most rows that one statement deletes, at least 1. Default: 500.
    #[must_use]
    pub fn batch(mut self, rows: u32) -> Self {
        self.batch = rows.max(1);
        self
    }

    /// The clock of the application. Default: the system's.
    ///
    /// Give it the layer's, if that one isn't the system's.
    #[must_use]
    pub fn clock<C2: Clock>(self, clock: C2) -> Cleanup<C2> {
        Cleanup {
            interval: self.interval,
            batch: self.batch,
            clock,
        }
    }
}

impl Default for Cleanup {
    fn default() -> Self {
        Self::new()
    }
}

impl<D: Dialect> SqlStore<D> {
    /// Deletes expired sessions from now on, until the handle is dropped.
    ///
    /// A pass that deletes rows logs how many (at level INFO). A pass that fails logs why (WARN),
    /// and the next one tries again. Several processes can clean the same table.
    ///
    /// # Panics
    /// If it isn't called within a Tokio runtime.
    #[must_use = "the cleanup stops when its handle is dropped"]
    pub fn spawn_cleanup<C: Clock>(&self, cleanup: Cleanup<C>) -> CleanupHandle {
        let (stop, stopped) = watch::channel(());
        let task = tokio::spawn(clean(self.clone(), cleanup, stopped));
        CleanupHandle { stop, task }
    }

    /// Deletes up to `batch` sessions that ended some time ago, in one statement, and returns how
    /// many there were. [`spawn_cleanup`](Self::spawn_cleanup) does this again and again.
    ///
    /// A session without an owner goes five to fifteen minutes after its end, one of a user who
    /// signed in a day later. It must be past by `now` and by the database's own clock: a clock
    /// that is ahead on one of them deletes nothing that is alive by the other. Where they are the
    /// same clock, the day keeps the users' sessions through a clock that is hours ahead.
    ///
    /// # Errors
    /// If the database can't answer.
    pub async fn reclaim(&self, now: Timestamp, batch: u32) -> Result<u64, StoreError> {
        let arguments =
            [row::past_slot(now), i64::from(batch)].map(|number| Argument::Integer(Some(number)));
        self.write(&self.statements().reclaim, &arguments).await
    }

    async fn forget_revocations(&self, now: Timestamp) -> Result<(), StoreError> {
        let before = now.as_unix_millis().saturating_sub(REMEMBER_REVOCATION);
        let arguments = [Argument::Integer(Some(before))];
        self.write(&self.statements().forget_revocations, &arguments)
            .await?;
        Ok(())
    }
}

/// Stops a running cleanup when it is dropped.
#[derive(Debug)]
pub struct CleanupHandle {
    stop: watch::Sender<()>,
    task: JoinHandle<()>,
}

impl CleanupHandle {
    /// Waits for the statement that is under way, and stops the cleanup.
    pub async fn shutdown(self) {
        drop(self.stop);
        // A panic of the task is a bug, and the panic hook has reported it by now.
        let _ = self.task.await;
    }
}

async fn clean<D: Dialect, C: Clock>(
    store: SqlStore<D>,
    cleanup: Cleanup<C>,
    mut stopped: watch::Receiver<()>,
) {
    loop {
        let mut removed = 0;
        let done = clean_once(&store, &cleanup, &stopped, &mut removed).await;
        let table = store.names();
        if removed > 0 {
            tracing::info!(%table, removed, "expired sessions are deleted");
        }
        // A database that is known to be down has been logged, with the reason.
        let known = store.start().check().and(store.health().check()).is_err();
        if let Err(error) = done
            && !known
        {
            tracing::warn!(%table, %error, "expired sessions can't be deleted now");
        }
        // Nothing is ever sent: the receiver wakes up when the handle is dropped.
        if timeout(cleanup.interval, stopped.changed()).await.is_ok() {
            return;
        }
    }
}

/// Deletes batches until one isn't full.
async fn clean_once<D: Dialect, C: Clock>(
    store: &SqlStore<D>,
    cleanup: &Cleanup<C>,
    stopped: &watch::Receiver<()>,
    removed: &mut u64,
) -> Result<(), StoreError> {
    let now = || cleanup.clock.now();
    loop {
        let rows = timed(store.reclaim(now(), cleanup.batch)).await?;
        *removed += rows;
        if stopped.has_changed().is_err() {
            return Ok(());
        }
        if rows < u64::from(cleanup.batch) {
            return timed(store.forget_revocations(now())).await;
        }
    }
}

/// Cuts a call off, so that a frozen server doesn't hold the cleanup for ever.
async fn timed<T>(call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    timeout(STATEMENT_TIMEOUT, call)
        .await
        .unwrap_or(Err(StoreError::TimedOut))
}
