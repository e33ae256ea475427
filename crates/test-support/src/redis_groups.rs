//! Redis servers that watch over each other: behind sentinels, and in a cluster.

use std::process::Command;

use crate::{Network, RedisServer, Wire, free_port, wait_until};

/// The name by which the sentinels know the master.
const MASTER: &str = "main";

/// The rights of the sentinels, as Redis documents them, and of the replicas. By these users the
/// network knows them from clients.
const USERS: [&str; 2] = [
    "ACL SETUSER sentinel on >sesame allchannels +multi +slaveof +ping +exec +subscribe \
     +config|rewrite +role +publish +info +client|setname +client|kill +script|kill",
    "ACL SETUSER replica on >sesame +psync +replconf +ping",
];

/// A master and two replicas, and three sentinels that watch over them. Everybody reaches the
/// servers over a network that can break.
#[derive(Debug)]
pub struct RedisSentinels {
    /// The servers; the first one begins as the master.
    pub servers: Vec<RedisServer>,
    /// The sentinels.
    pub sentinels: Vec<RedisServer>,
    /// The network.
    pub network: Network,
    /// The way to each server.
    wires: Vec<Wire>,
}

impl RedisSentinels {
    /// Options of a master that takes writes only with a replica that lags behind by a second at
    /// most. By default a new master would wait 5 s for more replicas before it feeds the first.
    pub const REPLICA_NEEDED: [&str; 6] = [
        "--min-replicas-to-write",
        "1",
        "--min-replicas-max-lag",
        "1",
        "--repl-diskless-sync-delay",
        "0",
    ];

    /// Starts the servers with these options and waits until everybody knows everybody. A server
    /// that doesn't answer for `down_after` milliseconds counts as down.
    ///
    /// # Panics
    /// If they don't in time.
    pub fn start(options: &[&str], down_after: u32) -> Self {
        let network = Network::default();
        let (mut servers, mut wires) = (Vec::new(), Vec::<Wire>::new());
        for _ in 0..3 {
            let wire = network.wire(0);
            let known_as = wire.port().to_string();
            let mut all = vec!["--masteruser", "replica", "--masterauth", "sesame"];
            all.extend(["--replica-announce-port", &known_as]);
            let master = wires.first().map(|wire| wire.port().to_string());
            if let Some(master) = &master {
                all.extend(["--replicaof", "127.0.0.1", master]);
            }
            all.extend(options);
            let server = RedisServer::start(&all);
            server.tell(&USERS);
            wire.lead_to(server.port());
            wire.belongs_to(wire.port());
            servers.push(server);
            wires.push(wire);
        }
        let lines = [
            &format!("sentinel monitor {MASTER} 127.0.0.1 {} 2", wires[0].port()),
            &format!("sentinel auth-user {MASTER} sentinel"),
            &format!("sentinel auth-pass {MASTER} sesame"),
            &format!("sentinel down-after-milliseconds {MASTER} {down_after}"),
            &format!("sentinel failover-timeout {MASTER} 10000"),
        ];
        let lines = lines.map(String::as_str);
        let sentinels = [(); 3].map(|()| RedisServer::start_sentinel(&lines));
        let group = Self {
            servers,
            sentinels: sentinels.into(),
            network,
            wires,
        };
        group.wait_until_whole();
        group
    }

    /// The URL of a store that asks the sentinels for the master.
    pub fn url(&self) -> String {
        let hosts = self.sentinels.iter();
        let hosts: Vec<String> = hosts
            .map(|sentinel| format!("127.0.0.1:{}", sentinel.port()))
            .collect();
        format!("redis+sentinel://{}/{MASTER}", hosts.join(","))
    }

    /// Waits until all sentinels see one master and two replicas that copy it.
    ///
    /// # Panics
    /// If they don't in time.
    pub fn wait_until_whole(&self) {
        wait_until("everybody knows everybody", || {
            let masters: Vec<u16> = self.sentinels.iter().filter_map(names).collect();
            let agree = masters.len() == 3 && masters.iter().all(|master| *master == masters[0]);
            (agree && self.sentinels.iter().all(sees_all)).then_some(())
        });
    }

    /// Which of the servers is the master, as most sentinels say.
    ///
    /// # Panics
    /// If they don't agree in time.
    pub fn master(&self) -> usize {
        wait_until("most sentinels name one master", || self.named())
    }

    /// Waits until most sentinels name another master than this one.
    ///
    /// # Panics
    /// If they don't in time.
    pub fn wait_until_switched(&self, from: usize) {
        wait_until("most sentinels name another master", || {
            self.named().filter(|master| *master != from)
        });
    }

    fn named(&self) -> Option<usize> {
        let masters: Vec<u16> = self.sentinels.iter().filter_map(names).collect();
        let votes = |wire: &Wire| {
            let votes = masters.iter().filter(|master| **master == wire.port());
            votes.count()
        };
        self.wires.iter().position(|wire| votes(wire) >= 2)
    }

    /// Has the sentinels hand over to a replica: a planned fail-over.
    ///
    /// # Panics
    /// If they refuse for too long.
    pub fn hand_over(&self) {
        wait_until("the sentinels hand over", || {
            let answer = self.sentinels[0].ask(&["SENTINEL", "FAILOVER", MASTER]);
            (answer == "OK").then_some(())
        });
    }

    /// Cuts a server off from the sentinels and the replicas, but not from clients, until the
    /// network is mended. Bytes stand still, and no connection is closed.
    pub fn cut_off(&self, server: usize) {
        self.network.cut_from_peers(self.wires[server].port());
    }

    /// Starts a server again that was killed.
    ///
    /// # Panics
    /// If it doesn't answer.
    pub fn restart(&mut self, server: usize) {
        let server = &mut self.servers[server];
        server.restart();
        server.wait_until_ready();
        server.tell(&USERS);
    }
}

/// The port of the master that a sentinel names.
fn names(sentinel: &RedisServer) -> Option<u16> {
    let answer = sentinel.ask(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER]);
    answer.lines().nth(1)?.parse().ok()
}

fn sees_all(sentinel: &RedisServer) -> bool {
    let (master, replicas) = (
        sentinel.ask(&["SENTINEL", "MASTER", MASTER]),
        sentinel.ask(&["SENTINEL", "REPLICAS", MASTER]),
    );
    let count = |answer: &str, name: &str, value: &str| {
        let lines: Vec<&str> = answer.lines().collect();
        let pairs = lines.windows(2).filter(|pair| *pair == [name, value]);
        pairs.count()
    };
    count(&master, "num-other-sentinels", "2") == 1
        && count(&master, "num-slaves", "2") == 1
        && count(&master, "flags", "master") == 1
        && count(&replicas, "flags", "slave") == 2
        && count(&replicas, "master-link-status", "ok") == 2
}

/// Three primaries with a replica each, as a cluster. They reach each other over a network that can
/// break; clients reach them without it.
#[derive(Debug)]
pub struct RedisCluster {
    /// Primaries and replicas.
    pub nodes: Vec<RedisServer>,
    network: Network,
    _wires: Vec<Wire>,
}

impl RedisCluster {
    /// Starts the servers with this node timeout, in milliseconds, and waits until they serve.
    ///
    /// # Panics
    /// If they don't in time.
    pub fn start(node_timeout: u32) -> Self {
        let network = Network::default();
        let (mut nodes, mut wires) = (Vec::new(), Vec::new());
        for _ in 0..6 {
            let bus = free_port();
            let wire = network.wire(bus);
            nodes.push(RedisServer::start(&[
                "--cluster-enabled",
                "yes",
                "--cluster-port",
                &bus.to_string(),
                "--cluster-announce-bus-port",
                &wire.port().to_string(),
                "--cluster-node-timeout",
                &node_timeout.to_string(),
            ]));
            wires.push(wire);
        }
        let hosts = nodes
            .iter()
            .map(|node| format!("127.0.0.1:{}", node.port()));
        let created = Command::new("redis-cli")
            .args(["--cluster", "create"])
            .args(hosts)
            .args(["--cluster-replicas", "1", "--cluster-yes"])
            .output()
            .expect("redis-cli");
        let output = String::from_utf8_lossy(&created.stdout);
        assert!(created.status.success(), "{output}");
        for (node, wire) in nodes.iter().zip(&wires) {
            wire.belongs_to(node.port());
        }
        let cluster = Self {
            nodes,
            network,
            _wires: wires,
        };
        cluster.wait_until_whole();
        cluster
    }

    /// The URL of a store in it.
    pub fn url(&self) -> String {
        let hosts = self.nodes.iter();
        let hosts: Vec<String> = hosts
            .map(|node| format!("127.0.0.1:{}", node.port()))
            .collect();
        format!("redis+cluster://{}", hosts.join(","))
    }

    /// Waits until each node sees three primaries and three replicas that copy them.
    ///
    /// # Panics
    /// If they don't in time.
    pub fn wait_until_whole(&self) {
        wait_until("a cluster that is whole", || {
            self.nodes.iter().all(sees_whole_cluster).then_some(())
        });
    }

    /// Which nodes are a primary and its replica: of the three pairs, this one, counted in turns.
    ///
    /// # Panics
    /// If there is no such pair in time.
    pub fn pair(&self, turn: usize) -> (usize, usize) {
        wait_until("a primary with a replica", || {
            let nodes = (0..self.nodes.len())
                .cycle()
                .skip(turn)
                .take(self.nodes.len());
            let replica = |node: &usize| self.nodes[*node].ask(&["ROLE"]).starts_with("slave");
            let replica = nodes.into_iter().find(replica)?;
            let role = self.nodes[replica].ask(&["ROLE"]);
            let port: u16 = role.lines().nth(2)?.parse().ok()?;
            let primary = self.nodes.iter().position(|node| node.port() == port)?;
            Some((primary, replica))
        })
    }

    /// Waits until this node is a primary, and the others know it.
    ///
    /// # Panics
    /// If they don't in time.
    pub fn wait_until_promoted(&self, node: usize, except: usize) {
        let port = format!(":{}@", self.nodes[node].port());
        wait_until("the replica has taken over", || {
            let others = self.nodes.iter().enumerate();
            let mut others = others.filter(|(other, _)| *other != except);
            let knows = |(_, other): (usize, &RedisServer)| {
                let nodes = other.ask(&["CLUSTER", "NODES"]);
                let mut lines = nodes.lines().filter(|line| line.contains(&port));
                lines.any(|line| line.contains("master") && line.contains('-'))
            };
            others.all(knows).then_some(())
        });
    }

    /// Cuts a node off from the other nodes, but not from clients and replicas.
    pub fn cut_off(&self, node: usize) {
        self.network.cut(self.nodes[node].port());
    }

    /// Mends the network.
    pub fn mend(&self) {
        self.network.mend();
    }
}

fn sees_whole_cluster(node: &RedisServer) -> bool {
    let state = node.ask(&["CLUSTER", "INFO"]);
    let nodes = node.ask(&["CLUSTER", "NODES"]);
    let linked = nodes
        .lines()
        .filter(|line| line.contains("connected") && !line.contains("fail"));
    let replicas = nodes.lines().filter(|line| line.contains("slave"));
    let replication = node.ask(&["INFO", "replication"]);
    let copies = replication.contains("role:master") && replication.contains("state=online")
        || replication.contains("master_link_status:up");
    state.contains("cluster_state:ok") && linked.count() == 6 && replicas.count() == 3 && copies
}
