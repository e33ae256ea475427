//! Redis servers.

use std::{
    fs,
    io::{self, BufRead, BufReader, Read, Write},
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

    /// Waits until the server has read its files and answers, even if only to ask for a password.
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

    /// Sends a command without quotes, whose answer must be `+OK`.
    ///
    /// # Panics
    /// If it is another.
    pub fn order(&self, command: &str) {
        let answer = self.exchange::<5>(command);
        assert_eq!(
            answer.as_deref().ok(),
            Some("+OK\r\n"),
            "{command}: {answer:?}"
        );
    }

    /// Sends a command without quotes. Its answer may be anything.
    ///
    /// # Panics
    /// If there is none.
    pub fn send(&self, command: &str) {
        self.exchange::<1>(command).expect("an answer");
    }

    /// Sends a command of these words and returns its answer, an element a line. An error of the
    /// server is an answer too.
    ///
    /// # Panics
    /// If there is no server to ask.
    pub fn ask(&self, words: &[&str]) -> String {
        let output = Command::new("redis-cli")
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string()])
            .args(words)
            .output()
            .expect("redis-cli");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {errors}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Sends commands over one connection, since the first ones may shut further ones out.
    ///
    /// # Panics
    /// If there is no answer to each.
    pub fn tell(&self, commands: &[&str]) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("a connection");
        let timeout = Some(Duration::from_secs(5));
        stream.set_read_timeout(timeout).expect("a read timeout");
        let mut answers = BufReader::new(stream.try_clone().expect("the connection"));
        for command in commands {
            let command = format!("{command}\r\n");
            stream.write_all(command.as_bytes()).expect("a command");
            let mut answer = String::new();
            answers.read_line(&mut answer).expect("an answer");
        }
    }

    /// The first bytes of the answer to a `PING`.
    fn ping(&self) -> io::Result<String> {
        self.exchange::<7>("PING")
    }

    /// The first bytes of the answer to a command.
    fn exchange<const LENGTH: usize>(&self, command: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(format!("{command}\r\n").as_bytes())?;
        let mut answer = [0; LENGTH];
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
