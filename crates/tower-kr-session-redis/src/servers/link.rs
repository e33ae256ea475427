//! Keeps a link to one server, supervised by a task.
//!
//! All calls share its connections, and calls that wait at the same time share a message. There are
//! two lanes, each a connection: answers that may be large take one of their own, so that short
//! ones don't wait behind them. The link is *up*, or known to be *down*. Whoever notices first that
//! it is down tells all: pending calls end at once, and new ones fail without being sent, until the
//! supervisor has a new connection. Calls don't wait for that, except for a moment right after a
//! connection broke, since most servers are back within milliseconds.

use std::{
    array,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use redis::{Cmd, Value, aio::MultiplexedConnection};
use tokio::{
    sync::{
        Notify,
        mpsc::{UnboundedReceiver, UnboundedSender, error::SendError, unbounded_channel},
        oneshot, watch,
    },
    task::{AbortHandle, JoinSet},
    time::{sleep, timeout_at},
};

use super::{
    connector::Connector,
    dispatch::{self, Call},
    lane::{LANES, Lane},
    patience::Patience,
};
use crate::{
    connect_error::ConnectError,
    failure::{Failure, reason},
};

/// A call waits this long for a connection that has just broken.
const GRACE: Duration = Duration::from_millis(25);

const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A connection that breaks sooner is no recovery: the pauses between attempts keep growing.
const STABLE_AFTER: Duration = Duration::from_secs(1);

/// An idle connection is checked this often: a firewall may have dropped it silently.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// The connection to one server.
pub(crate) struct Link {
    shared: Arc<Shared>,
    supervisor: AbortHandle,
}

struct Shared {
    /// The server's name in messages, with its address once it is known.
    server: Mutex<Arc<str>>,
    state: watch::Sender<State>,
    patience: Patience,
    connect_timeout: Duration,
    /// Whether another server may have taken over.
    may_move: bool,
}

#[derive(Clone)]
enum State {
    /// Not tried yet.
    New,
    Up {
        generation: u64,
        lanes: [UnboundedSender<Call>; LANES],
    },
    Down {
        since: Instant,
        reason: Arc<str>,
    },
}

impl State {
    fn is(&self, of: u64) -> bool {
        matches!(self, Self::Up { generation, .. } if *generation == of)
    }
}

impl Link {
    /// Starts the supervisor, which connects in the background. Panics outside a Tokio runtime.
    pub(crate) fn start(connector: Connector) -> Self {
        let shared = Arc::new(Shared {
            server: Mutex::new(connector.name().into()),
            state: watch::Sender::new(State::New),
            patience: Patience::new(connector.settings().response_timeout),
            connect_timeout: connector.settings().connect_timeout,
            may_move: connector.may_move(),
        });
        let supervisor = tokio::spawn(supervise(Arc::clone(&shared), connector)).abort_handle();
        Self { shared, supervisor }
    }

    pub(crate) fn server(&self) -> Arc<str> {
        self.shared.server()
    }

    /// Waits for the first connection.
    pub(crate) async fn ready(&self) -> Result<(), Failure> {
        self.shared.up().await
    }

    /// Whether calls fail without being sent.
    pub(crate) fn is_down(&self) -> bool {
        matches!(*self.shared.state.borrow(), State::Down { .. })
    }

    /// Sends a command, once.
    pub(crate) fn call(
        &self,
        command: Cmd,
        lane: Lane,
    ) -> impl Future<Output = Result<Value, Failure>> {
        self.exchange(command, lane, false)
    }

    /// Sends a command to a server that is about to take over its slot.
    pub(crate) fn call_asking(
        &self,
        command: Cmd,
        lane: Lane,
    ) -> impl Future<Output = Result<Value, Failure>> {
        self.exchange(command, lane, true)
    }

    async fn exchange(&self, command: Cmd, lane: Lane, asking: bool) -> Result<Value, Failure> {
        let shared = &*self.shared;
        let (answer, answered) = oneshot::channel();
        let call = Call {
            command,
            asking,
            answer,
        };
        let generation = match shared.enqueue(call, lane) {
            Ok(generation) => generation,
            // Boxed, so that a usual call stays small.
            Err(call) => Box::pin(shared.enqueue_later(call, lane)).await?,
        };
        let mut given_up = GivenUp(Some(&shared.patience));
        let reply = answered.await;
        given_up.0 = None;
        // Answers come in order: if an earlier call got none, neither will this one.
        let reply = match reply.map_err(|_| shared.unknown())? {
            error @ Value::ServerError(_) => error.extract_error(),
            // No command or script of ours answers with a nested error.
            value => return Ok(value),
        };
        reply.map_err(|error| {
            if shared.distrusts(error.code()) {
                shared.fail(generation, error.to_string().into());
            }
            Failure::Refused {
                server: shared.server(),
                error,
            }
        })
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.supervisor.abort();
    }
}

impl Shared {
    fn server(&self) -> Arc<str> {
        let server = self.server.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&server)
    }

    /// Queues a call and returns the connection's generation; hands the call back if there is none.
    fn enqueue(&self, call: Call, lane: Lane) -> Result<u64, Call> {
        match &*self.state.borrow() {
            State::Up { generation, lanes } => match lanes[lane as usize].send(call) {
                Ok(()) => Ok(*generation),
                Err(SendError(call)) => Err(call),
            },
            _ => Err(call),
        }
    }

    async fn enqueue_later(&self, mut call: Call, lane: Lane) -> Result<u64, Failure> {
        loop {
            self.up().await?;
            match self.enqueue(call, lane) {
                Ok(generation) => return Ok(generation),
                Err(back) => call = back,
            }
        }
    }

    /// Whether the server that refused a call with this code is to be left, since it is no primary
    /// any more, or wants another password. A primary without replicas is one that was cut off, if
    /// another may have taken over.
    fn distrusts(&self, code: Option<&str>) -> bool {
        match code {
            Some("READONLY" | "NOAUTH" | "MASTERDOWN") => true,
            Some("NOREPLICAS") => self.may_move,
            _ => false,
        }
    }

    /// Waits briefly for a connection.
    async fn up(&self) -> Result<(), Failure> {
        let first_attempt = Instant::now() + self.connect_timeout + GRACE;
        let mut states = self.state.subscribe();
        loop {
            let deadline = match &*states.borrow_and_update() {
                State::Up { lanes, .. } if !lanes.iter().any(UnboundedSender::is_closed) => {
                    return Ok(());
                }
                // Lost, but not reported yet.
                State::Up { .. } => Instant::now() + GRACE,
                State::New => first_attempt,
                State::Down { since, reason } => {
                    let deadline = *since + GRACE;
                    if deadline <= Instant::now() {
                        return Err(self.down(reason));
                    }
                    deadline
                }
            };
            // The state says what to answer, even when the time is up.
            let waited = timeout_at(deadline.into(), states.changed()).await;
            if waited.is_err() && !matches!(*states.borrow(), State::Down { .. }) {
                return Err(self.down(&"no connection yet".into()));
            }
        }
    }

    /// Reports that the connection of this generation is lost; only the first report counts.
    fn fail(&self, generation: u64, reason: Arc<str>) {
        let told = self.state.send_if_modified(|state| {
            let first = state.is(generation);
            if first {
                *state = State::Down {
                    since: Instant::now(),
                    reason: Arc::clone(&reason),
                };
            }
            first
        });
        if told {
            tracing::warn!(server = %self.server(), %reason, "the session store is down");
        }
    }

    /// Reports that no connection could be opened. What waiting doesn't mend is logged although the
    /// server was known to be down.
    fn no_connection(&self, error: &ConnectError) {
        let reason: Arc<str> = error.to_string().into();
        let (mut first, mut news) = (true, true);
        self.state.send_modify(|state| {
            let mut since = Instant::now();
            if let State::Down {
                since: then,
                reason: old,
            } = state
            {
                (first, news, since) = (false, *old != reason, *then);
            }
            let reason = Arc::clone(&reason);
            *state = State::Down { since, reason };
        });
        let server = self.server();
        if error.lasts() && news {
            tracing::error!(%server, %reason, "the session store can't be used");
        } else if first {
            tracing::warn!(%server, %reason, "the session store is down");
        }
    }

    fn down(&self, reason: &Arc<str>) -> Failure {
        Failure::Down {
            server: self.server(),
            reason: Arc::clone(reason),
        }
    }

    fn unknown(&self) -> Failure {
        let reason = match &*self.state.borrow() {
            State::Down { reason, .. } => Arc::clone(reason),
            _ => "the connection was lost".into(),
        };
        Failure::Unknown {
            server: self.server(),
            reason,
        }
    }
}

/// Raises suspicion when dropped: the caller's timeout may be shorter than ours.
struct GivenUp<'a>(Option<&'a Patience>);

impl Drop for GivenUp<'_> {
    fn drop(&mut self) {
        if let Some(patience) = self.0 {
            patience.raise_suspicion();
        }
    }
}

/// Keeps a connection for as long as the link lives.
async fn supervise(shared: Arc<Shared>, connector: Connector) {
    let mut pause = SHORTEST_PAUSE;
    for generation in 0.. {
        let closed = Arc::new(Notify::new());
        match connector.connect(&closed).await {
            Ok(connected) => {
                let name = Arc::from(connected.name.as_str());
                *shared.server.lock().unwrap_or_else(PoisonError::into_inner) = name;
                let again = matches!(*shared.state.borrow(), State::Down { .. });
                let channels: [_; LANES] = array::from_fn(|_| unbounded_channel());
                let lanes = channels.each_ref().map(|(calls, _)| calls.clone());
                shared.state.send_replace(State::Up { generation, lanes });
                // They end with these connections, which ends the calls that wait for an answer.
                let mut tasks = JoinSet::new();
                for (lane, (_, queue)) in channels.into_iter().enumerate() {
                    let (shared, connection) = (&shared, &connected.lanes[lane]);
                    tasks.spawn(watch(
                        Arc::clone(shared),
                        generation,
                        lane,
                        connection.clone(),
                    ));
                    tasks.spawn(dispatch(
                        Arc::clone(shared),
                        generation,
                        queue,
                        connection.clone(),
                    ));
                }
                if again {
                    tracing::info!(server = %shared.server(), "the session store is back");
                }
                let start = Instant::now();
                tokio::select! {
                    // A task that ends has said why, unless it panicked.
                    Some(_) = tasks.join_next() => {
                        shared.fail(generation, "a task of the connection ended".into());
                    }
                    () = closed.notified() => {
                        shared.fail(generation, "the connection was closed".into());
                    }
                    (host, port) = connector.moved(&connected) => {
                        let reason = format!("the sentinels name another master, {host}:{port}");
                        shared.fail(generation, reason.into());
                    }
                }
                if start.elapsed() >= STABLE_AFTER {
                    pause = SHORTEST_PAUSE;
                    continue;
                }
            }
            Err(error) => shared.no_connection(&error),
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Returns when the connection of this generation is known to be lost.
async fn loss(states: &mut watch::Receiver<State>, generation: u64) {
    // An error means that the link itself is gone.
    let _ = states.wait_for(|state| !state.is(generation)).await;
}

/// Sends the calls of a lane until its connection is lost.
async fn dispatch(
    shared: Arc<Shared>,
    generation: u64,
    queue: UnboundedReceiver<Call>,
    connection: MultiplexedConnection,
) {
    if let Err(error) = dispatch::run(queue, connection, &shared.patience).await {
        shared.fail(generation, reason(&error, shared.patience.limit()));
    }
}

/// Checks the connection of a lane on suspicion and when it idles. Returns once it is lost.
async fn watch(
    shared: Arc<Shared>,
    generation: u64,
    lane: usize,
    mut connection: MultiplexedConnection,
) {
    let mut states = shared.state.subscribe();
    loop {
        tokio::select! {
            () = loss(&mut states, generation) => return,
            () = shared.patience.suspicion(lane) => {}
            () = sleep(HEARTBEAT) => {}
        }
        let ping = redis::cmd("PING");
        tokio::select! {
            () = loss(&mut states, generation) => return,
            pong = shared.patience.wait(connection.send_packed_command(&ping)) => {
                if let Err(error) = pong {
                    shared.fail(generation, reason(&error, shared.patience.limit()));
                    return;
                }
            }
        }
    }
}
