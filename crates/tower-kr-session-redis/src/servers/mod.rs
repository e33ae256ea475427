//! Sends commands to the servers: to the only one, or to the cluster node that owns the key.

pub(crate) mod address;
mod cluster;
pub(crate) mod connector;
pub(crate) mod credentials;
mod dispatch;
mod link;
mod sentinels;
pub(crate) mod settings;
mod slot;

use redis::{Cmd, Value};

use self::{
    address::Target, cluster::Cluster, connector::Connector, link::Link, settings::Settings,
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

    /// Sends a command to the server that owns this key.
    pub(crate) async fn call(&self, key: &[u8], command: Cmd) -> Result<Value, Failure> {
        match self {
            Self::One(link) => link.call(command).await,
            // Boxed, so that calls to a single server stay small.
            Self::Cluster(cluster) => Box::pin(cluster.call(key, &command)).await,
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
