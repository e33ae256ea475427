//! Real Redis servers of the tests' own: on free ports, in folders that go with them.
#![allow(dead_code, unused_imports, reason = "each test binary uses a part")]

mod cluster;
mod harness;
mod monitor;
mod proxy;
mod server;
pub(crate) mod session;

pub(crate) use {
    cluster::Cluster,
    harness::{Check, block_on, eventually, run},
    monitor::Monitor,
    proxy::{Fate, Proxy},
    server::{RIGHTS, Server, free_port},
};
