//! Sends commands to the servers: to the only one, or to the cluster node that owns the key.

pub(crate) mod address;
pub(crate) mod cluster;
pub(crate) mod connector;
pub(crate) mod credentials;
mod dispatch;
mod lane;
mod link;
mod patience;
mod sentinels;
pub(crate) mod settings;
mod slot;
mod slot_map;

use redis::{Cmd, Value};

use self::{
    address::Target, cluster::Cluster, connector::Connector, lane::Lane, link::Link,
    settings::Settings,
};
use crate::{connect_error::ConnectError, failure::Failure, scripts::Program};

pub(crate) enum Servers {
    /// A single server, or the sentinels' master.
    One(Link),
    Cluster(Cluster),
}

impl Servers {
    /// Starts connecting in the background.
    pub(crate) fn start(target: Target, settings: Settings) -> Self {
        match target {
            Target::Cluster(nodes) => Self::Cluster(Cluster::start(nodes, settings)),
            target => Self::One(Link::start(Connector::new(target, settings))),
        }
    }

    /// Waits until calls can be sent, so that a start can report an error.
    pub(crate) async fn ready(&self, description: &str) -> Result<(), ConnectError> {
        match self {
            Self::One(link) => link
                .ready()
                .await
                .map_err(|failure| ConnectError::Unreachable {
                    server: description.to_owned(),
                    reason: failure.to_string(),
                }),
            Self::Cluster(cluster) => cluster.read_map().await,
        }
    }

    /// Sends a command with a short answer to the server that owns this key.
    pub(crate) fn call(
        &self,
        key: &[u8],
        command: Cmd,
    ) -> impl Future<Output = Result<Value, Failure>> {
        self.exchange(key, command, Lane::Small)
    }

    /// Sends a command whose answer may be large.
    pub(crate) fn call_for_much(
        &self,
        key: &[u8],
        command: Cmd,
    ) -> impl Future<Output = Result<Value, Failure>> {
        self.exchange(key, command, Lane::Large)
    }

    async fn exchange(&self, key: &[u8], command: Cmd, lane: Lane) -> Result<Value, Failure> {
        match self {
            Self::One(link) => link.call(command, lane).await,
            // Boxed, so that calls to a single server stay small.
            Self::Cluster(cluster) => Box::pin(cluster.call(key, &command, lane)).await,
        }
    }

    /// Sends a command to the first server at or after this place, for a walk through all of them.
    /// Returns the answer, and the place of the next server. A cluster's node is at its first slot.
    pub(crate) async fn call_at(
        &self,
        place: u16,
        command: Cmd,
    ) -> Result<(Value, Option<u16>), Failure> {
        match self {
            Self::One(link) => Ok((link.call(command, Lane::Large).await?, None)),
            Self::Cluster(cluster) => {
                let (link, next) = cluster.node_at(place)?;
                Ok((link.call(command, Lane::Large).await?, next))
            }
        }
    }

    /// Runs a script on this key: one round trip, or two if the server has forgotten the script.
    pub(crate) async fn run(
        &self,
        program: &Program,
        key: &[u8],
        arguments: &[&[u8]],
    ) -> Result<Value, Failure> {
        match self.call(key, program.by_hash(key, arguments)).await {
            Err(failure) if failure.code() == Some("NOSCRIPT") => {
                Box::pin(self.call(key, program.by_text(key, arguments))).await
            }
            reply => reply,
        }
    }
}
