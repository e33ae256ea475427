//! One server or many: who gets a call.

use redis::{Cmd, Value};

use crate::{
    address::Target,
    cluster::Cluster,
    connect_error::ConnectError,
    connector::{Connector, Settings},
    failure::Failure,
    link::Link,
    scripts::Program,
};

pub(crate) enum Servers {
    /// A single server, or the master of sentinels.
    One(Link),
    Cluster(Cluster),
}

impl Servers {
    /// Starts to connect in the background.
    pub(crate) fn start(target: Target, settings: Settings) -> Self {
        match target {
            Target::Cluster(nodes) => Self::Cluster(Cluster::start(nodes, settings)),
            target => Self::One(Link::start(Connector::new(target, settings))),
        }
    }

    /// Waits until calls can be sent; for the start, when an error is to be told.
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

    /// Sends a command about this key.
    pub(crate) async fn call(&self, key: &[u8], command: Cmd) -> Result<Value, Failure> {
        match self {
            Self::One(link) => link.call(command).await,
            // Boxed: it would make the calls to a single server larger.
            Self::Cluster(cluster) => Box::pin(cluster.call(key, &command)).await,
        }
    }

    /// Runs a script on this key: one round trip, unless the server has forgotten the script and says so.
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
