//! One MariaDB server that acknowledges a write once it is on the disk.

use test_support::{Check, DatabaseServer, MariadbServer, Network, Program, Wire};

use super::{SLOW, long_pause, short_pause};
use crate::{
    figures::Loses,
    run::{Fault, Target},
};

struct Single {
    server: MariadbServer,
    network: Network,
    wire: Wire,
}

pub(crate) fn check() -> Check {
    Check::new("mariadb", || TARGET.run()).needs(Program::Mariadb)
}

const TARGET: Target<Single> = Target {
    name: "MariaDB",
    start: || {
        let server = MariadbServer::start();
        let network = Network::default();
        let wire = network.wire(server.port());
        Single {
            server,
            network,
            wire,
        }
    },
    url: |single| {
        let [server, wire] =
            [single.server.port(), single.wire.port()].map(|port| format!(":{port}/"));
        single.server.url().replace(&server, &wire)
    },
    faults: &[
        Fault {
            name: "killed and restarted",
            strike: |single| {
                single.server.kill();
                short_pause();
                single.server.restart();
            },
            loses: Loses::Nothing,
            repair: |_| {},
        },
        Fault {
            name: "stopped and restarted",
            strike: |single| {
                single.server.stop();
                short_pause();
                single.server.restart();
            },
            loses: Loses::Nothing,
            repair: |_| {},
        },
        Fault {
            name: "read-only",
            strike: |single| {
                single.server.run("SET GLOBAL read_only = ON");
                long_pause();
                single.server.run("SET GLOBAL read_only = OFF");
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
