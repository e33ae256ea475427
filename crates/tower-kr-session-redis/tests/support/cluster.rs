//! Three servers that form a cluster.

use std::{
    process::Command,
    thread,
    time::{Duration, Instant},
};

use super::server::{Server, free_port};

pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Server>,
}

impl Cluster {
    pub(crate) fn start() -> Self {
        let nodes: Vec<Server> = (0..3)
            .map(|_| {
                let bus = free_port().to_string();
                Server::start(&[
                    "--cluster-enabled",
                    "yes",
                    "--cluster-port",
                    &bus,
                    "--cluster-node-timeout",
                    "2000",
                ])
            })
            .collect();
        let created = Command::new("redis-cli")
            .args(["--cluster", "create"])
            .args(
                nodes
                    .iter()
                    .map(|node| format!("127.0.0.1:{}", node.port())),
            )
            .arg("--cluster-yes")
            .output()
            .expect("redis-cli");
        let output = String::from_utf8_lossy(&created.stdout);
        assert!(created.status.success(), "{output}");
        let cluster = Self { nodes };
        cluster.wait_until_ready();
        cluster
    }

    pub(crate) fn url(&self) -> String {
        let hosts = self
            .nodes
            .iter()
            .map(|node| format!("127.0.0.1:{}", node.port()));
        format!("redis+cluster://{}", hosts.collect::<Vec<_>>().join(","))
    }

    pub(crate) fn wait_until_ready(&self) {
        let start = Instant::now();
        let ready = |node: &Server| {
            let info: String = node.ask(&["CLUSTER", "INFO"]);
            info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")
        };
        while !self.nodes.iter().all(ready) {
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "the cluster is not ready"
            );
            thread::sleep(Duration::from_millis(20));
        }
    }
}
