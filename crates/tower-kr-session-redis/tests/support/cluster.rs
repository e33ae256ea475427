//! Three servers that form a cluster.

use std::{
    process::Command,
    thread,
    time::{Duration, Instant},
};

use test_support::free_port;

use super::server::Server;

pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Server>,
}

impl Cluster {
    pub(crate) fn start() -> Self {
        let nodes: Vec<Server> = (0..3).map(|_| node()).collect();
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

    /// A fourth server that copies the first one.
    pub(crate) fn add_replica(&self) -> Server {
        let replica = node();
        let primary = &self.nodes[0];
        let id: String = primary.ask(&["CLUSTER", "MYID"]);
        let bus: Vec<String> = primary.ask(&["CONFIG", "GET", "cluster-port"]);
        let meeting = ["CLUSTER", "MEET", "127.0.0.1"];
        let ports = [primary.port().to_string(), bus[1].clone()];
        let words = [&meeting[..], &[&ports[0], &ports[1]]].concat();
        let _: String = replica.ask(&words);
        let start = Instant::now();
        // It has to hear of its primary first.
        while replica.try_ask(&["CLUSTER", "REPLICATE", &id]).is_err() || !self.know(4) {
            assert!(start.elapsed() < Duration::from_secs(20), "no replica");
            thread::sleep(Duration::from_millis(20));
        }
        replica
    }

    fn know(&self, count: usize) -> bool {
        let known = format!("cluster_known_nodes:{count}\r\n");
        self.nodes.iter().all(|node| {
            let info: String = node.ask(&["CLUSTER", "INFO"]);
            info.contains("cluster_state:ok") && info.contains(&known)
        })
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
        while !self.know(3) {
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "the cluster is not ready"
            );
            thread::sleep(Duration::from_millis(20));
        }
    }
}

fn node() -> Server {
    let bus = free_port().to_string();
    Server::start(&[
        "--cluster-enabled",
        "yes",
        "--cluster-port",
        &bus,
        "--cluster-node-timeout",
        "2000",
    ])
}
