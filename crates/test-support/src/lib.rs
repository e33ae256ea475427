//! Shared parts of the workspace's tests: servers to test against, a harness, a cookie jar.
//!
//! A test that fails panics, so the functions here panic too: with what went wrong, and the log of
//! the server if there is one.

mod harness;
mod jar;
mod port;
mod postgres;
mod program;
mod redis;
mod scratch;
mod signal;
mod wait;

pub use {
    harness::{Check, run, run_in_threads},
    jar::Jar,
    port::free_port,
    postgres::{PASSWORD, PostgresServer, USER},
    program::Program,
    redis::RedisServer,
    scratch::Scratch,
    signal::send_signal,
    wait::{block_on, eventually, wait_until},
};
