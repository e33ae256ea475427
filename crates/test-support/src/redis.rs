//! Redis servers.

use std::{
    fs,
    io::{self, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::{Scratch, free_port, send_signal, wait::poll};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Server,
    Sentinel,
}

/// A `redis-server` process on a free port, with a folder of its own; killed when dropped.
#[derive(Debug)]
pub struct RedisServer {
    kind: Kind,
    port: u16,
    folder: Scratch,
    options: Vec<String>,
    child: Child,
}

impl RedisServer {
    /// Starts a server with these options of its command line and waits until it answers.
    ///
    /// # Panics
    /// If it doesn't.
    pub fn start(options: &[&str]) -> Self {
        Self::launch(Kind::Server, options)
    }

    /// Starts a sentinel with these lines of configuration and waits until it answers.
    ///
    /// # Panics
    /// If it doesn't.
    pub fn start_sentinel(lines: &[&str]) -> Self {
        Self::launch(Kind::Sentinel, lines)
    }

    fn launch(kind: Kind, options: &[&str]) -> Self {
        let folder = Scratch::new();
        let options: Vec<String> = options.iter().map(ToString::to_string).collect();
        let port = free_port();
        let child = spawn(kind, port, folder.path(), &options);
        let server = Self {
            kind,
            port,
            folder,
            options,
            child,
        };
        server.wait_until_ready();
        server
    }

    /// The port without TLS.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder of its files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// `redis://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// What it wrote to its log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder().join("log")).unwrap_or_default()
    }

    /// Waits until the server has read its files and answers, be it that it asks for a password.
    ///
    /// # Panics
    /// If it doesn't answer in time: with its log.
    pub fn wait_until_ready(&self) {
        let answers = || {
            let answer = self.ping().unwrap_or_default();
            (answer == "+PONG\r\n" || answer == "-NOAUTH").then_some(())
        };
        poll(answers).unwrap_or_else(|| panic!("redis-server doesn't answer: {}", self.log()));
    }

    /// The first bytes of the answer to a `PING`.
    fn ping(&self) -> io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"PING\r\n")?;
        let mut answer = [0; 7];
        stream.read_exact(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    /// Stops the process (SIGSTOP): its connections stay open, and nothing answers.
    pub fn freeze(&self) {
        assert!(send_signal(self.child.id(), "STOP"));
    }

    /// Lets a stopped process go on.
    pub fn thaw(&self) {
        assert!(send_signal(self.child.id(), "CONT"));
    }

    /// Kills the process (SIGKILL) and waits for its end.
    ///
    /// # Panics
    /// If that fails.
    pub fn kill(&mut self) {
        self.child.kill().expect("kill the server");
        self.child.wait().expect("the end of the server");
    }

    /// Starts it again with the same port and files, and doesn't wait until it answers.
    ///
    /// # Panics
    /// If there is no program to start.
    pub fn restart(&mut self) {
        self.child = spawn(self.kind, self.port, self.folder.path(), &self.options);
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(kind: Kind, port: u16, folder: &Path, options: &[String]) -> Child {
    let log = fs::File::options()
        .create(true)
        .append(true)
        .open(folder.join("log"))
        .expect("the server's log");
    let mut command = Command::new("redis-server");
    match kind {
        Kind::Server => {
            command
                .args(["--port", &port.to_string()])
                .args(["--bind", "127.0.0.1", "--save", ""])
                .arg("--dir")
                .arg(folder)
                .args(options);
        }
        Kind::Sentinel => {
            // It writes what it learns into its configuration: a restart goes on with that.
            let file = folder.join("sentinel.conf");
            if !file.exists() {
                let text = format!("port {port}\n{}\n", options.join("\n"));
                fs::write(&file, text).expect("the sentinel's configuration");
            }
            command.arg(file).arg("--sentinel");
        }
    }
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("the log"))
        .stderr(log)
        .spawn()
        .expect("start redis-server")
}
