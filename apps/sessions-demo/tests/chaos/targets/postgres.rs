//! PostgreSQL with a standby that has what is acknowledged (`synchronous_standby_names`), and an
//! address that follows the primary.

use std::mem;

use test_support::{Check, DatabaseServer, Network, PostgresServer, Program, USER, Wire};

use super::{SLOW, long_pause, short_pause};
use crate::{
    figures::Loses,
    run::{Fault, Target},
};

struct Pair {
    primary: PostgresServer,
    standby: PostgresServer,
    network: Network,
    wire: Wire,
}

pub(crate) fn check() -> Check {
    Check::new("postgres", || TARGET.run()).needs(Program::Postgres)
}

const TARGET: Target<Pair> = Target {
    name: "PostgreSQL with a standby",
    start: || {
        let primary = PostgresServer::start_unsynced();
        let standby = primary.standby();
        let network = Network::default();
        let wire = network.wire(primary.port());
        Pair {
            primary,
            standby,
            network,
            wire,
        }
    },
    url: |pair| format!("postgres://{USER}@127.0.0.1:{}/postgres", pair.wire.port()),
    faults: &[
        Fault {
            name: "the primary killed, the standby promoted",
            strike: |pair| {
                pair.primary.kill();
                promote(pair);
            },
            loses: Loses::Nothing,
            repair: |_| {},
        },
        Fault {
            name: "planned fail-over",
            strike: |pair| {
                pair.primary.stop();
                promote(pair);
            },
            loses: Loses::Nothing,
            repair: |_| {},
        },
        Fault {
            name: "killed and restarted",
            strike: |pair| {
                pair.primary.kill();
                short_pause();
                pair.primary.restart();
            },
            loses: Loses::Nothing,
            repair: |_| {},
        },
        Fault {
            name: "frozen",
            strike: |pair| {
                pair.primary.freeze();
                long_pause();
                pair.primary.thaw();
            },
            loses: Loses::Nothing,
            repair: |_| {},
        },
        Fault {
            name: "cut off",
            strike: |pair| {
                pair.network.cut(pair.primary.port());
                long_pause();
                pair.network.mend();
            },
            loses: Loses::Nothing,
            repair: |_| {},
        },
        Fault {
            name: "slow",
            strike: |pair| {
                pair.network.slow(SLOW);
                long_pause();
                pair.network.mend();
            },
            loses: Loses::Nothing,
            repair: |_| {},
        },
    ],
};

/// Makes the standby the primary, and starts another standby: what is acknowledged has to be on two
/// machines again. The address leads to the standby before it is promoted.
fn promote(pair: &mut Pair) {
    pair.wire.lead_to(pair.standby.port());
    short_pause();
    pair.standby.promote();
    mem::swap(&mut pair.primary, &mut pair.standby);
    pair.standby = pair.primary.standby();
}
