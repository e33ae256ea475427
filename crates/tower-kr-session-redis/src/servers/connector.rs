//! Opens connections that can serve sessions: to a named server, or to the master that sentinels name.

use std::{future::pending, sync::Arc};

use redis::{ConnectionInfo, Value, aio::MultiplexedConnection};
use tokio::sync::Notify;

use super::{
    address::{self, Target},
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
    pub(crate) connection: MultiplexedConnection,
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

    /// Opens a connection with all scripts loaded. `closed` is notified when it ends.
    pub(crate) async fn connect(&self, closed: &Arc<Notify>) -> Result<Connected, ConnectError> {
        let (connection, master) = match &self.place {
            Place::Node(info) => {
                let mut connection = self.settings.open_server(info, Some(closed)).await?;
                self.load_scripts(info, &mut connection).await?;
                (connection, None)
            }
            Place::Primary(info) => (self.connect_primary(info, closed).await?, None),
            Place::Master(sentinels, server) => {
                let master = sentinels.find(&self.settings).await?;
                let info = address::at(server, &master.0, master.1);
                (self.connect_primary(&info, closed).await?, Some(master))
            }
        };
        let name = match &master {
            Some((host, port)) => format!("{host}:{port}, {}", self.name()),
            None => self.name(),
        };
        Ok(Connected {
            connection,
            master,
            name,
        })
    }

    async fn connect_primary(
        &self,
        info: &ConnectionInfo,
        closed: &Arc<Notify>,
    ) -> Result<MultiplexedConnection, ConnectError> {
        let mut connection = self.settings.open_server(info, Some(closed)).await?;
        let role = connection.send_packed_command(&redis::cmd("ROLE")).await;
        match role.and_then(Value::extract_error) {
            Ok(Value::Array(role)) if role.first().is_some_and(is_replica) => {
                return Err(ConnectError::Unsuitable {
                    server: info.addr().to_string(),
                    reason: "it is a read-only replica; name its primary".to_owned(),
                });
            }
            Ok(_) => {}
            // The user may not ask. The first write will tell.
            Err(error) if error.code() == Some("NOPERM") => {}
            Err(error) => return Err(self.settings.explain(info, &error)),
        }
        self.load_scripts(info, &mut connection).await?;
        Ok(connection)
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
