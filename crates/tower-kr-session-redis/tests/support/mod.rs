//! Real Redis servers of the tests' own: on free ports, in folders that go with them.
#![allow(dead_code, unused_imports, reason = "each test binary uses a part")]

mod cluster;
mod harness;
mod server;

pub(crate) use {
    cluster::Cluster,
    harness::{Check, block_on, eventually, run},
    server::Server,
};
