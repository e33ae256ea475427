//! Opens connections that can serve sessions: to a named server, or to the master that sentinels
//! name.

use std::{future::pending, sync::Arc};

use redis::{ConnectionInfo, Value, aio::MultiplexedConnection};
use tokio::{sync::Notify, time::timeout};

use super::{
    address::{self, Target},
    lane::LANES,
    sentinels::{Address, Sentinels},
    settings::Settings,
};
use crate::{connect_error::ConnectError, scripts::PROGRAMS};

/// Opens connections to one server.
pub(crate) struct Connector {
    place: Place,
    settings: Settings,
}

enum Place {
    /// A server that must be a primary.
    Primary(ConnectionInfo),
    /// A node of a cluster, which redirects what it doesn't own.
    Node(ConnectionInfo),
    /// The master that sentinels name, and the settings to connect to it with.
    Master(Sentinels, ConnectionInfo),
}

/// A new connection.
pub(crate) struct Connected {
    pub(crate) lanes: [MultiplexedConnection; LANES],
    /// Where the sentinels' master is.
    master: Option<Address>,
    /// The server's name in messages.
    pub(crate) name: String,
}

impl Connector {
    /// Connects to the server, to the sentinels' master, or to the first named node of a cluster.
    pub(crate) fn new(target: Target, settings: Settings) -> Self {
        let place = match target {
            Target::Server(info) => Place::Primary(info),
            Target::Sentinel {
                sentinels,
                master,
                server,
            } => Place::Master(Sentinels::new(sentinels, master), server),
            Target::Cluster(mut nodes) => Place::Node(nodes.swap_remove(0)),
        };
        Self { place, settings }
    }

    /// Connects to one node of a cluster.
    pub(crate) fn node(info: ConnectionInfo, settings: Settings) -> Self {
        let place = Place::Node(info);
        Self { place, settings }
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The server's name in messages.
    pub(crate) fn name(&self) -> String {
        match &self.place {
            Place::Primary(info) | Place::Node(info) => info.addr().to_string(),
            Place::Master(sentinels, _) => {
                format!("the sentinels' master {:?}", sentinels.master())
            }
        }
    }

    /// Whether another server may have taken over.
    pub(crate) fn may_move(&self) -> bool {
        matches!(self.place, Place::Master(..))
    }

    /// Returns once the sentinels name another master than the connected one.
    pub(crate) async fn moved(&self, connected: &Connected) -> Address {
        match (&self.place, &connected.master) {
            (Place::Master(sentinels, _), Some(master)) => {
                sentinels.moved(&self.settings, master).await
            }
            _ => pending().await,
        }
    }

    /// Opens the connections of a link, with all scripts loaded. `closed` is notified when one
    /// ends.
    pub(crate) async fn connect(&self, closed: &Arc<Notify>) -> Result<Connected, ConnectError> {
        let (info, master) = match &self.place {
            Place::Node(info) | Place::Primary(info) => (info.clone(), None),
            Place::Master(sentinels, server) => {
                let master = sentinels.find(&self.settings).await?;
                (address::at(server, &master.0, master.1), Some(master))
            }
        };
        let within = self.settings.connect_timeout + self.settings.response_timeout;
        let opening = async {
            let open = || self.open_lane(&info, closed);
            let (mut small, large) = tokio::try_join!(open(), open())?;
            self.inspect(&info, &mut small).await?;
            self.load_scripts(&info, &mut small).await?;
            Ok([small, large])
        };
        let lanes = timeout(within, opening).await.unwrap_or_else(|_| {
            Err(ConnectError::Unreachable {
                server: info.addr().to_string(),
                reason: format!("no answer within {within:?}"),
            })
        })?;
        let name = match &master {
            Some((host, port)) => format!("{host}:{port}, {}", self.name()),
            None => self.name(),
        };
        Ok(Connected {
            lanes,
            master,
            name,
        })
    }

    /// Opens a connection to a server that serves writes.
    async fn open_lane(
        &self,
        info: &ConnectionInfo,
        closed: &Arc<Notify>,
    ) -> Result<MultiplexedConnection, ConnectError> {
        let mut connection = self.settings.open_server(info, Some(closed)).await?;
        if let Place::Node(_) = self.place {
            return Ok(connection);
        }
        let role = connection.send_packed_command(&redis::cmd("ROLE")).await;
        match role.and_then(Value::extract_error) {
            Ok(Value::Array(role)) if role.first().is_some_and(is_replica) => {
                Err(ConnectError::Replica {
                    server: info.addr().to_string(),
                })
            }
            Ok(_) => Ok(connection),
            // The user may not ask. The first write will tell.
            Err(error) if error.code() == Some("NOPERM") => Ok(connection),
            Err(error) => Err(self.settings.explain(info, &error)),
        }
    }

    /// Checks what would be found out by the first session otherwise.
    async fn inspect(
        &self,
        info: &ConnectionInfo,
        connection: &mut MultiplexedConnection,
    ) -> Result<(), ConnectError> {
        if let Place::Node(_) = self.place {
            return Ok(());
        }
        let answer = connection.send_packed_command(&redis::cmd("INFO")).await;
        // The user may not ask, so there is no advice.
        let Ok(Ok(answer)) = answer.map(redis::from_redis_value::<String>) else {
            return Ok(());
        };
        let field = |name: &str| {
            let line = answer.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.strip_prefix(':'))
        };
        let server = info.addr().to_string();
        if field("cluster_enabled") == Some("1") {
            return Err(ConnectError::Unsuitable {
                server,
                reason: "it is a node of a cluster; use a redis+cluster:// URL".to_owned(),
            });
        }
        if let Some(policy) = field("maxmemory_policy")
            && policy != "noeviction"
            && field("maxmemory") != Some("0")
        {
            tracing::warn!(%server, policy, "this Redis may drop live sessions when its memory is full: set maxmemory-policy noeviction");
        }
        Ok(())
    }

    async fn load_scripts(
        &self,
        info: &ConnectionInfo,
        connection: &mut MultiplexedConnection,
    ) -> Result<(), ConnectError> {
        let mut pipeline = redis::Pipeline::with_capacity(PROGRAMS.len());
        for program in PROGRAMS {
            pipeline.add_command(program.load());
        }
        connection
            .send_packed_commands(&pipeline, 0, PROGRAMS.len())
            .await
            .and_then(|replies| Value::Array(replies).extract_error())
            .map(drop)
            .map_err(|error| self.settings.explain(info, &error))
    }
}

fn is_replica(role: &Value) -> bool {
    matches!(role, Value::BulkString(name) if name == b"slave")
}
