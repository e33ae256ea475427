//! What a server was told by its clients.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    time::Duration,
};

use super::server::Server;

/// A connection in `MONITOR` mode.
pub(crate) struct Monitor<'a> {
    server: &'a Server,
    lines: BufReader<TcpStream>,
    marks: u32,
}

impl<'a> Monitor<'a> {
    pub(crate) fn start(server: &'a Server) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port())).expect("connect");
        let timeout = Some(Duration::from_secs(10));
        stream.set_read_timeout(timeout).expect("a read timeout");
        stream.write_all(b"MONITOR\r\n").expect("MONITOR");
        let mut lines = BufReader::new(stream);
        let mut line = String::new();
        lines.read_line(&mut line).expect("an answer");
        assert_eq!(line.trim(), "+OK");
        Self {
            server,
            lines,
            marks: 0,
        }
    }

    /// The commands since the last call, without those that scripts issued and the store's own
    /// heartbeats.
    pub(crate) fn commands(&mut self) -> Vec<String> {
        self.marks += 1;
        let mark = format!("mark {}", self.marks);
        let _: String = self.server.ask(&["ECHO", &mark]);
        let mut commands = Vec::new();
        loop {
            let mut line = Vec::new();
            self.lines.read_until(b'\n', &mut line).expect("a line");
            let line = String::from_utf8_lossy(&line).into_owned();
            if line.contains(&mark) {
                return commands;
            }
            let is_admins = ["\"ECHO\"", "\"CLIENT\"", "\"HELLO\"", "\"PING\""]
                .iter()
                .any(|word| line.contains(word));
            if !line.contains(" lua] ") && !is_admins {
                let (_, command) = line.split_once("] ").expect("time, client, command");
                commands.push(command.trim().to_owned());
            }
        }
    }
}
