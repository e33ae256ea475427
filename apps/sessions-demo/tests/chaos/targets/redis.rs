//! One Redis server that acknowledges a write once it is on the disk.

use test_support::{Check, Network, Program, RedisServer, Wire};

use super::{SLOW, long_pause, short_pause};
use crate::{
    figures::Loses,
    run::{Fault, Target},
};

struct Single {
    server: RedisServer,
    network: Network,
    wire: Wire,
}

pub(crate) fn check() -> Check {
    Check::new("redis", || TARGET.run()).needs(Program::Redis)
}

const TARGET: Target<Single> = Target {
    name: "Redis",
    start: || {
        let server = RedisServer::start(&["--appendonly", "yes", "--appendfsync", "always"]);
        let network = Network::default();
        let wire = network.wire(server.port());
        Single {
            server,
            network,
            wire,
        }
    },
    url: |single| format!("redis://127.0.0.1:{}", single.wire.port()),
    faults: &[
        Fault {
            name: "killed",
            strike: |single| {
                single.server.kill();
                short_pause();
                single.server.restart();
                single.server.wait_until_ready();
            },
            loses: Loses::Nothing,
            repair: |_| {},
        },
        Fault {
            name: "frozen",
            strike: |single| {
                single.server.freeze();
                long_pause();
                single.server.thaw();
            },
            loses: Loses::Nothing,
            repair: |_| {},
        },
        Fault {
            name: "cut off",
            strike: |single| {
                single.network.cut(single.server.port());
                long_pause();
                single.network.mend();
            },
            loses: Loses::Nothing,
            repair: |_| {},
        },
        Fault {
            name: "slow",
            strike: |single| {
                single.network.slow(SLOW);
                long_pause();
                single.network.mend();
            },
            loses: Loses::Nothing,
            repair: |_| {},
        },
    ],
};
