//! Shared parts of the workspace's tests: servers to test against, a harness, a cookie jar.
//!
//! A test that fails panics, so the functions here panic too: with what went wrong, and the log of
//! the server if there is one.

mod database;
mod harness;
mod jar;
mod mariadb;
mod network;
mod port;
mod postgres;
mod program;
mod redis;
mod redis_groups;
mod scratch;
mod signal;
mod unprivileged;
mod wait;

pub use {
    database::DatabaseServer,
    harness::{Check, run, run_in_threads},
    jar::Jar,
    mariadb::MariadbServer,
    network::{Network, Wire},
    port::free_port,
    postgres::{PASSWORD, PostgresServer, USER},
    program::{Program, axe_script},
    redis::RedisServer,
    redis_groups::{RedisCluster, RedisSentinels},
    scratch::Scratch,
    signal::send_signal,
    wait::{block_on, eventually, wait_until},
};
