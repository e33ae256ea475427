//! A client of the processes: of all of them through a proxy, or of one.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    thread,
    time::Duration,
};

use test_support::{Network, Wire, wait_until};

use crate::support::NAME;

/// Longer than any call of a store may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// Where the processes listen, and a proxy that hands requests to them in turns.
pub(crate) struct Processes {
    ports: Vec<u16>,
    proxy: Wire,
}

/// What a process answered.
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// The token of a cookie that it set.
    pub(crate) token: Option<String>,
    pub(crate) body: String,
}

impl Processes {
    pub(crate) fn new(ports: &[u16]) -> Self {
        Self {
            ports: ports.to_vec(),
            proxy: Network::default().wire_to(ports.to_vec()),
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.ports.len()
    }

    /// Sends a request, once. An error leaves it open whether it was served.
    pub(crate) fn get(&self, path: &str, token: Option<&str>) -> io::Result<Reply> {
        send(self.proxy.port(), "GET", path, token)
    }

    pub(crate) fn post(&self, path: &str, token: Option<&str>) -> io::Result<Reply> {
        send(self.proxy.port(), "POST", path, token)
    }

    /// Sends a request to this process.
    pub(crate) fn get_at(
        &self,
        index: usize,
        path: &str,
        token: Option<&str>,
    ) -> io::Result<Reply> {
        send(self.ports[index], "GET", path, token)
    }

    pub(crate) fn wait_until_ready(&self) {
        for index in 0..self.count() {
            wait_until("the process is ready", || {
                let reply = self.get_at(index, "/readyz", None);
                reply.is_ok_and(|reply| reply.status == 200).then_some(())
            });
        }
    }
}

impl Reply {
    /// Whether the request may be sent again: nothing was decided about it.
    fn is_open(&self) -> bool {
        matches!(self.status, 500..)
    }
}

/// Sends a request until there is an answer that isn't a failure of the server.
pub(crate) fn persist(what: &str, send: impl Fn() -> io::Result<Reply>) -> Reply {
    wait_until(what, || {
        let reply = send().ok().filter(|reply| !reply.is_open());
        if reply.is_none() {
            // A server that fails at once fails for a while.
            thread::sleep(Duration::from_millis(10));
        }
        reply
    })
}

fn send(port: u16, method: &str, path: &str, token: Option<&str>) -> io::Result<Reply> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let cookie = token.map_or_else(String::new, |token| format!("Cookie: {NAME}={token}\r\n"));
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n{cookie}\r\n"
    )?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    read(&text).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

fn read(text: &str) -> Option<Reply> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let cookie = format!("{NAME}=");
    let token = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        let value = value.strip_prefix(&cookie)?;
        name.eq_ignore_ascii_case("set-cookie")
            .then(|| value.split(';').next().unwrap_or_default().to_owned())
    });
    Some(Reply {
        status: head.split(' ').nth(1)?.parse().ok()?,
        token: token.filter(|token| !token.is_empty()),
        body: body.to_owned(),
    })
}
