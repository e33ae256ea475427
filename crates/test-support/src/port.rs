//! Ports for servers that can't choose one themselves.

use std::{
    hash::{BuildHasher, RandomState},
    net::TcpListener,
};

/// Below the ports that systems give to outgoing connections, so that none takes the port of a
/// server while it restarts.
const PORTS: std::ops::Range<u16> = 10_000..30_000;

/// A port of this machine on which nobody listens at the moment.
///
/// # Panics
/// If a thousand random ports are taken.
pub fn free_port() -> u16 {
    let random = RandomState::new();
    let ports = (0..1_000_u32).map(|number| {
        let offset = random.hash_one(number) % u64::from(PORTS.end - PORTS.start);
        PORTS.start + u16::try_from(offset).expect("less than the range's length")
    });
    let mut free = ports.filter(|&port| TcpListener::bind(("127.0.0.1", port)).is_ok());
    free.next().expect("a free port")
}
