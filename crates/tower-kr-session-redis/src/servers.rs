//! One server or many: who gets a call.

use redis::{Cmd, Value};

use crate::{cluster::Cluster, failure::Failure, link::Link, scripts::Program};

pub(crate) enum Servers {
    /// A single server, or the master of sentinels.
    One(Link),
    Cluster(Cluster),
}

impl Servers {
    /// Sends a command about this key.
    pub(crate) async fn call(&self, key: &[u8], command: &Cmd) -> Result<Value, Failure> {
        match self {
            Self::One(link) => link.call(command).await,
            Self::Cluster(cluster) => cluster.call(key, command).await,
        }
    }

    /// Runs a script on this key: one round trip, unless the server has forgotten the script and says so.
    pub(crate) async fn run(
        &self,
        program: &Program,
        key: &[u8],
        arguments: &[&[u8]],
    ) -> Result<Value, Failure> {
        match self.call(key, &program.by_hash(key, arguments)).await {
            Err(failure) if failure.code() == Some("NOSCRIPT") => {
                self.call(key, &program.by_text(key, arguments)).await
            }
            reply => reply,
        }
    }
}
