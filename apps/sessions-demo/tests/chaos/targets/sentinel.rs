//! A Redis master with two replicas that three sentinels watch over, set up as the guide says.

use std::time::Duration;

use test_support::{Check, Program, RedisSentinels};

use super::{SLOW, long_pause};
use crate::{
    figures::Loses,
    run::{Fault, Target},
};

/// How long a server may be silent, in milliseconds.
const DOWN_AFTER: u32 = 2_000;

/// How long a master goes on without its replicas: their lag that is allowed, a second since it
/// counts whole ones, and another one until it looks again.
const MOST_LAG: Duration = Duration::from_secs(3);

struct Group {
    servers: RedisSentinels,
    /// The master before the last fault.
    old: usize,
}

pub(crate) fn check() -> Check {
    Check::new("sentinel", || TARGET.run()).needs(Program::Redis)
}

const TARGET: Target<Group> = Target {
    name: "Redis Sentinel",
    start: || Group {
        servers: RedisSentinels::start(&RedisSentinels::REPLICA_NEEDED, DOWN_AFTER),
        old: 0,
    },
    url: |group| group.servers.url(),
    faults: &[
        Fault {
            name: "planned fail-over",
            strike: |group| switch(group, |servers, _| servers.hand_over()),
            loses: Loses::UntilItIsOver,
            repair: |group| group.servers.wait_until_whole(),
        },
        Fault {
            name: "the master killed",
            strike: |group| switch(group, |servers, master| servers.servers[master].kill()),
            loses: Loses::UntilItIsOver,
            repair: |group| {
                group.servers.restart(group.old);
                group.servers.wait_until_whole();
            },
        },
        Fault {
            name: "the master cut off from sentinels and replicas, not from the processes",
            strike: |group| switch(group, |servers, master| servers.cut_off(master)),
            // Then it misses its replicas.
            loses: Loses::For(MOST_LAG),
            repair: |group| {
                group.servers.network.mend();
                group.servers.wait_until_whole();
            },
        },
        Fault {
            name: "the master frozen",
            strike: |group| {
                switch(group, |servers, master| servers.servers[master].freeze());
                group.servers.servers[group.old].thaw();
            },
            loses: Loses::UntilItIsOver,
            repair: |group| group.servers.wait_until_whole(),
        },
        Fault {
            name: "slow",
            strike: |group| {
                group.servers.network.slow(SLOW);
                long_pause();
                group.servers.network.mend();
            },
            loses: Loses::Nothing,
            repair: |_| {},
        },
    ],
};

/// Does something to the master, and waits until the sentinels name another one.
fn switch(group: &mut Group, strike: impl FnOnce(&mut RedisSentinels, usize)) {
    group.old = group.servers.master();
    strike(&mut group.servers, group.old);
    group.servers.wait_until_switched(group.old);
}
