//! Real Redis servers of the tests' own: on free ports, in folders that go with them.
#![allow(dead_code, unused_imports, reason = "each test binary uses a part")]

mod cluster;
mod monitor;
mod proxy;
mod server;
pub(crate) mod session;
mod stage;
mod throttle;

use std::process::ExitCode;

use test_support::Program;
pub(crate) use test_support::{Check, block_on, eventually, free_port};

pub(crate) use self::{
    cluster::Cluster,
    monitor::Monitor,
    proxy::{Fate, Proxy},
    server::{RIGHTS, Server},
    stage::Stage,
    throttle::throttle,
};

pub(crate) fn run(checks: Vec<Check>) -> ExitCode {
    test_support::run(checks.into_iter().map(|check| check.needs(Program::Redis)))
}
