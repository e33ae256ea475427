//! A Redis cluster of three primaries, each with a replica.

use test_support::{Check, Program, RedisCluster};

use crate::{
    figures::Loses,
    run::{Fault, Target},
};

/// How long a node may be silent, in milliseconds.
const NODE_TIMEOUT: u32 = 2_000;

struct Nodes {
    cluster: RedisCluster,
    /// The primary before the last fault.
    old: usize,
    /// How many faults there were.
    faults: usize,
}

pub(crate) fn check() -> Check {
    Check::new("cluster", || TARGET.run()).needs(Program::Redis)
}

const TARGET: Target<Nodes> = Target {
    name: "Redis Cluster",
    start: || Nodes {
        cluster: RedisCluster::start(NODE_TIMEOUT),
        old: 0,
        faults: 0,
    },
    url: |nodes| nodes.cluster.url(),
    faults: &[
        Fault {
            name: "a primary killed",
            strike: |nodes| take_over(nodes, |cluster, primary, _| cluster.nodes[primary].kill()),
            loses: Loses::UntilItIsOver,
            repair: |nodes| {
                nodes.cluster.nodes[nodes.old].restart();
                nodes.cluster.nodes[nodes.old].wait_until_ready();
                nodes.cluster.wait_until_whole();
            },
        },
        Fault {
            name: "planned fail-over",
            strike: |nodes| {
                take_over(nodes, |cluster, _, replica| {
                    cluster.nodes[replica].ask(&["CLUSTER", "FAILOVER"]);
                });
            },
            // The primary waits until its replica has everything.
            loses: Loses::Nothing,
            repair: |nodes| nodes.cluster.wait_until_whole(),
        },
        Fault {
            name: "a primary cut off from the other nodes, not from the processes",
            strike: |nodes| {
                take_over(nodes, |cluster, primary, _| cluster.cut_off(primary));
            },
            loses: Loses::UntilItIsOver,
            repair: |nodes| {
                nodes.cluster.mend();
                nodes.cluster.wait_until_whole();
            },
        },
        Fault {
            name: "a primary frozen",
            strike: |nodes| {
                take_over(nodes, |cluster, primary, _| cluster.nodes[primary].freeze());
                nodes.cluster.nodes[nodes.old].thaw();
            },
            loses: Loses::UntilItIsOver,
            repair: |nodes| nodes.cluster.wait_until_whole(),
        },
    ],
};

/// Does something to a primary and its replica, and waits until the replica is the primary.
fn take_over(nodes: &mut Nodes, strike: impl FnOnce(&mut RedisCluster, usize, usize)) {
    let (primary, replica) = nodes.cluster.pair(nodes.faults);
    nodes.old = primary;
    nodes.faults += 1;
    strike(&mut nodes.cluster, primary, replica);
    nodes.cluster.wait_until_promoted(replica, primary);
}
