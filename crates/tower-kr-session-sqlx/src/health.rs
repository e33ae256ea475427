//! Knows whether the database answers, so that calls need not wait for one that doesn't.
//!
//! The database is up, or known to be down. A call that waits for long, or whose connection breaks,
//! raises a suspicion. The supervisor then opens a connection of its own. If it can't, the database
//! is down: calls that wait end, and new ones fail at once, until one of the supervisor's attempts
//! succeeds.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
    time::{Duration, Instant},
};

use sqlx::{Connection, Pool, pool::PoolConnection};
use tokio::{
    runtime::Handle,
    sync::{Notify, watch},
    task::AbortHandle,
    time::{sleep, timeout},
};

use crate::{
    dialect::{Dialect, Server},
    error::{DatabaseFailure, code},
};

/// A call that waits for longer makes the supervisor look after the database.
const PATIENCE: Duration = Duration::from_millis(500);

/// A connection that doesn't answer a ping within this time is dead.
const PING_TIMEOUT: Duration = Duration::from_millis(300);

/// A database to which no connection can be made within this time is down.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// The pause between two attempts while the database is down, and between two looks while it is up.
const PROBE_PAUSE: Duration = Duration::from_millis(250);

/// Idle connections are pinged this often: a firewall may have dropped them silently, or is about
/// to.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// What is known of a database, for its calls and its supervisor.
pub(crate) struct Health {
    /// Host and port, a socket or a file, for errors.
    place: String,
    /// Whether it is a server. A file is always up.
    is_server: bool,
    state: watch::Sender<State>,
    suspicion: Notify,
    started: Instant,
    /// Connections last used before this time, in milliseconds since the start, may be dead.
    distrusted: AtomicU64,
}

enum State {
    /// With the last error of the server that is no sign of its being down, such as too many
    /// clients.
    Up {
        complaint: Option<DatabaseFailure>,
    },
    Down(DatabaseFailure),
}

impl Health {
    pub(crate) fn new<D: Dialect>(options: &<D::Connection as Connection>::Options) -> Arc<Self> {
        Arc::new(Self {
            place: D::place(options),
            is_server: D::IS_SERVER,
            state: watch::Sender::new(State::Up { complaint: None }),
            suspicion: Notify::new(),
            started: Instant::now(),
            distrusted: AtomicU64::new(0),
        })
    }

    /// Where the database is, for the log.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    /// Fails at once if the database is known to be down.
    pub(crate) fn check(&self) -> Result<(), DatabaseFailure> {
        match &*self.state.borrow() {
            State::Up { .. } => Ok(()),
            State::Down(failure) => Err(failure.clone()),
        }
    }

    /// Waits for a call to the database, but no longer than it takes to find that it is down.
    pub(crate) async fn guard<T>(
        &self,
        call: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, Failure> {
        if !self.is_server {
            return call.await.map_err(Failure::Call);
        }
        let mut call = pin!(call);
        if let Ok(done) = timeout(PATIENCE, &mut call).await {
            return done.map_err(Failure::Call);
        }
        self.suspicion.notify_one();
        let mut state = self.state.subscribe();
        let mut down = pin!(state.wait_for(|state| matches!(state, State::Down(_))));
        poll_fn(|context| {
            if let Poll::Ready(done) = call.as_mut().poll(context) {
                return Poll::Ready(done.map_err(Failure::Call));
            }
            // The sender lives as long as `self`, so this is a state.
            down.as_mut()
                .poll(context)
                .map(|state| match state.as_deref() {
                    Ok(State::Down(failure)) => Err(Failure::Down(failure.clone())),
                    _ => Err(Failure::Call(sqlx::Error::PoolTimedOut)),
                })
        })
        .await
    }

    /// Describes an error of a call. An error of the connection also raises a suspicion.
    pub(crate) fn failure<D: Dialect>(&self, pool: &Pool<D>, error: Failure) -> DatabaseFailure {
        let error = match error {
            Failure::Down(failure) => return failure,
            Failure::Call(error) => error,
        };
        if is_of_the_connection(&error) {
            self.distrust();
        }
        if matches!(error, sqlx::Error::PoolTimedOut) {
            let most = pool.options().get_max_connections();
            if pool.num_idle() == 0 && pool.size() >= most {
                return DatabaseFailure::busy(most, &self.place);
            }
            if let State::Up {
                complaint: Some(complaint),
            } = &*self.state.borrow()
            {
                return complaint.clone();
            }
        }
        DatabaseFailure::new(error, Some(&self.place))
    }

    /// Describes why no pool could be opened. A pool tries again while the server refuses, and then
    /// only tells that the time is over.
    pub(crate) async fn reason<D: Dialect>(
        &self,
        options: &<D::Connection as Connection>::Options,
        error: sqlx::Error,
    ) -> DatabaseFailure {
        if matches!(error, sqlx::Error::PoolTimedOut)
            && let Some(failure) = self.obstacle::<D>(options).await
        {
            return failure;
        }
        DatabaseFailure::new(error, Some(&self.place))
    }

    /// Whether a connection answers a ping. One that doesn't makes all that were used before
    /// suspect.
    pub(crate) async fn answers(
        &self,
        ping: impl Future<Output = Result<(), sqlx::Error>>,
    ) -> bool {
        let answers = matches!(timeout(PING_TIMEOUT, ping).await, Ok(Ok(())));
        if !answers {
            self.distrust();
        }
        answers
    }

    /// Whether nothing has failed since a connection was last used.
    pub(crate) fn trusts(&self, idle_for: Duration) -> bool {
        let last_used = self.started.elapsed().saturating_sub(idle_for);
        last_used >= Duration::from_millis(self.distrusted.load(Ordering::Relaxed))
    }

    /// Makes all connections that are idle now suspect, and the supervisor look after the database.
    pub(crate) fn distrust(&self) {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        // Rounded up, so that it is after what was used in this millisecond.
        self.distrusted.fetch_max(now + 1, Ordering::Relaxed);
        self.suspicion.notify_one();
    }

    /// Why no connection that can serve could be opened just now, if so.
    pub(crate) async fn obstacle<D: Dialect>(
        &self,
        options: &<D::Connection as Connection>::Options,
    ) -> Option<DatabaseFailure> {
        match self.probe::<D>(options).await {
            State::Up { complaint } => complaint,
            State::Down(failure) => Some(failure),
        }
    }

    /// Opens a connection, to see whether the database can serve.
    async fn probe<D: Dialect>(&self, options: &<D::Connection as Connection>::Options) -> State {
        let place = self.place.as_str();
        match timeout(PROBE_TIMEOUT, D::probe(options)).await {
            Ok(Ok(Server::Writable)) => State::Up { complaint: None },
            Ok(Ok(Server::ReadOnly)) => State::Down(DatabaseFailure::read_only(place)),
            Ok(Err(error)) => {
                let answered = matches!(error, sqlx::Error::Database(_));
                let leaves = is_of_the_connection(&error);
                let failure = DatabaseFailure::new(error, Some(place));
                if answered && !leaves {
                    State::Up {
                        complaint: Some(failure),
                    }
                } else {
                    State::Down(failure)
                }
            }
            Err(_) => State::Down(DatabaseFailure::silent(PROBE_TIMEOUT, place)),
        }
    }
}

/// Why a call got no answer.
pub(crate) enum Failure {
    Call(sqlx::Error),
    /// The database is known to be down.
    Down(DatabaseFailure),
}

impl Failure {
    /// Whether the server refused the user or the password.
    pub(crate) fn is_refused_login(&self) -> bool {
        let Self::Call(sqlx::Error::Database(error)) = self else {
            return false;
        };
        // MySQL: access denied, by password or by another way.
        matches!(&*code(&**error), "28000" | "28P01" | "1045" | "1698")
    }

    /// Whether the database itself refused, over a connection that is as good as before.
    pub(crate) fn leaves_connection_usable(&self) -> bool {
        match self {
            Self::Call(error @ sqlx::Error::Database(_)) => !is_of_the_connection(error),
            Self::Call(_) | Self::Down(_) => false,
        }
    }
}

/// Whether an error says that the connection, or the server at its other end, is of no more use.
fn is_of_the_connection(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) => true,
        sqlx::Error::Database(error) => matches!(
            &*code(&**error),
            // Read-only; ended by an administrator or a crash; starting or stopping.
            "25006" | "57P01" | "57P02" | "57P03" |
            // The same in MySQL and MariaDB.
            "1290" | "1792" | "1836" | "1053" | "1927" | "4031"
        ),
        _ => false,
    }
}

/// The task that looks after a database, started by the first call and ended with the store.
#[derive(Default)]
pub(crate) struct Supervisor(Mutex<Option<AbortHandle>>);

impl Supervisor {
    /// Starts the task if it doesn't run. It ends if the runtime that it was started in does.
    pub(crate) fn watch<D: Dialect>(
        &self,
        pool: &Pool<D>,
        health: &Arc<Health>,
        settings: &D::Settings,
    ) {
        if !health.is_server {
            return;
        }
        let mut task = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if task.as_ref().is_none_or(AbortHandle::is_finished) {
            let watching = supervise(pool.clone(), Arc::clone(health), settings.clone());
            *task = Some(tokio::spawn(watching).abort_handle());
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        let task = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = task {
            task.abort();
        }
    }
}

async fn supervise<D: Dialect>(pool: Pool<D>, health: Arc<Health>, settings: D::Settings) {
    loop {
        if timeout(HEARTBEAT, health.suspicion.notified())
            .await
            .is_err()
        {
            renew(&pool, &settings).await;
            ping_idle(&pool, &health).await;
            continue;
        }
        loop {
            let state = health.probe::<D>(&pool.connect_options()).await;
            let down = matches!(state, State::Down(_));
            if down {
                health.distrust();
            }
            report(&health.state.send_replace(state), &health);
            sleep(PROBE_PAUSE).await;
            if !down {
                break;
            }
        }
    }
}

/// Logs that the database went down or came back, once.
fn report(before: &State, health: &Health) {
    match (before, &*health.state.borrow()) {
        (State::Up { .. }, State::Down(failure)) => {
            tracing::warn!(server = %health.place(), reason = %failure, "the session store is down");
        }
        (State::Down(_), State::Up { .. }) => {
            tracing::info!(server = %health.place(), "the session store is back");
        }
        _ => {}
    }
}

/// Fetches the credentials of now, before the old ones expire.
async fn renew<D: Dialect>(pool: &Pool<D>, settings: &D::Settings) {
    let renewed = timeout(HEARTBEAT, D::renew(pool, settings)).await;
    if let Ok(Err(failure)) = renewed {
        tracing::warn!(reason = %failure, "keeping the last password of the session store");
    }
}

/// Pings each idle connection, the one that was idle longest first.
async fn ping_idle<D: Dialect>(pool: &Pool<D>, health: &Health) {
    for _ in 0..pool.num_idle() {
        let Some(mut connection) = pool.try_acquire() else {
            return;
        };
        if !health.answers(connection.ping()).await {
            drop(connection.detach());
            return;
        }
        give_back(connection);
    }
}

/// Gives a connection back to its pool, which pings it first. Without a limit it would wait for the
/// answer as long as TCP does, a quarter of an hour, and the pool would be one connection short.
pub(crate) fn give_back<D: Dialect>(mut connection: PoolConnection<D>) {
    match Handle::try_current() {
        Ok(runtime) => {
            runtime.spawn(timeout(PROBE_TIMEOUT, connection.return_to_pool()));
        }
        // The runtime is gone, and the pool's connections with it.
        Err(_) => drop(connection.detach()),
    }
}
