//! Ports for servers that can't choose one themselves.

use std::{
    hash::{BuildHasher, RandomState},
    net::{TcpListener, UdpSocket},
    sync::{Mutex, PoisonError},
};

/// Below the ports that systems give to outgoing connections, so that none takes the port of a
/// server while it restarts.
const PORTS: std::ops::Range<u16> = 10_000..30_000;

/// What keeps the ports that this process chose from every other test: UDP sockets of the same
/// number, which live as long as the process. A test may start its server late, or kill it and
/// start it again.
static RESERVED: Mutex<Vec<UdpSocket>> = Mutex::new(Vec::new());

/// A port of this machine on which nobody listens at the moment, and that no test gets as long as
/// this process runs.
///
/// # Panics
/// If a thousand random ports are taken.
pub fn free_port() -> u16 {
    let random = RandomState::new();
    let ports = (0..1_000_u32).map(|number| {
        let offset = random.hash_one(number) % u64::from(PORTS.end - PORTS.start);
        PORTS.start + u16::try_from(offset).expect("less than the range's length")
    });
    let mut free = ports.filter(|&port| reserve(port));
    free.next().expect("a free port")
}

/// Reserves a port, unless a test has it or a server listens on it.
fn reserve(port: u16) -> bool {
    let Ok(reservation) = UdpSocket::bind(("127.0.0.1", port)) else {
        return false;
    };
    let free = TcpListener::bind(("127.0.0.1", port)).is_ok();
    if free {
        let mut reserved = RESERVED.lock().unwrap_or_else(PoisonError::into_inner);
        reserved.push(reservation);
    }
    free
}

#[cfg(test)]
mod tests {
    use super::{free_port, reserve};

    #[test]
    fn a_port_is_given_once() {
        let port = free_port();
        assert!(!reserve(port));
    }
}
