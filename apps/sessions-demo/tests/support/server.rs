//! Starting the server, reading what it says, ending it.

use std::{
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, channel},
    },
    thread,
    time::Duration,
};

use test_support::{send_signal, wait_until};

const PROGRAM: &str = env!("CARGO_BIN_EXE_sessions-demo");

/// Far more than the start takes.
const DEADLINE: Duration = Duration::from_secs(30);

/// The variables that would change the server's options.
pub(crate) const VARIABLES: &[&str] = &[
    "NO_COLOR",
    "PORT",
    "RUST_LOG",
    "SESSION_ABSOLUTE_TIMEOUT",
    "SESSION_BIND",
    "SESSION_COOKIE_NAME",
    "SESSION_DEVICE_BINDING",
    "SESSION_HTTP",
    "SESSION_IDLE_TIMEOUT",
    "SESSION_IO_TIMEOUT",
    "SESSION_LOG_FORMAT",
    "SESSION_MAX_CONNECTIONS",
    "SESSION_MAX_PER_OWNER",
    "SESSION_READ_TIMEOUT",
    "SESSION_REDIS_CA",
    "SESSION_REDIS_PASSWORD_FILE",
    "SESSION_REDIS_SENTINEL_PASSWORD_FILE",
    "SESSION_REDIS_SENTINEL_USER",
    "SESSION_SAME_SITE",
    "SESSION_SECURE_POLICY",
    "SESSION_SHUTDOWN_TIMEOUT",
    "SESSION_STORE",
    "SESSION_TLS_CERT",
    "SESSION_TLS_KEY",
];

/// A running server, killed when dropped.
pub(crate) struct Server {
    child: Child,
    /// For the message of a test that waits in vain.
    what: String,
    lines: Receiver<String>,
    log: Arc<Mutex<String>>,
    /// As the server says it: `https://127.0.0.1:43210`.
    pub(crate) base: String,
}

/// What a server that ended has left.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// Standard output, without the line that it started with.
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Server {
    /// Starts the server on a free port and waits until it listens.
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::start_with(&[("PORT", "0")], args)
    }

    pub(crate) fn start_with(env: &[(&str, &str)], args: &[&str]) -> Self {
        Self::spawn(env, args).listening()
    }

    fn listening(self) -> Self {
        let mut server = self;
        let line = server.line();
        server.base = line.strip_prefix("listening on ").expect(&line).to_owned();
        server
    }

    fn line(&self) -> String {
        self.lines
            .recv_timeout(DEADLINE)
            .unwrap_or_else(|_| panic!("the server does not listen: {}", self.log.lock().unwrap()))
    }

    /// Starts the server on a terminal, lets it end once it listens, and returns what the terminal
    /// shows.
    pub(crate) fn run_on_a_terminal(env: &[(&str, &str)], args: &[&str]) -> String {
        let mut command = Command::new("script");
        // The shell becomes the server, and keeps its process id.
        let server = [&[PROGRAM, "--port", "0"], args].concat().join(" ");
        let line = format!("echo $$; exec {server}");
        command.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
        let terminal = Self::spawn_as(command, env, &[]);
        let mut shown = vec![terminal.line()];
        let id = shown[0].trim_end().parse().unwrap();
        while !shown.last().unwrap().contains("listening on ") {
            shown.push(terminal.line());
        }
        assert!(send_signal(id, "TERM"));
        let ended = terminal.wait();
        assert!(ended.status.success(), "{}", ended.stdout);
        shown.push(ended.stdout);
        shown.join("\n")
    }

    /// Starts the server with at most so many open files, and waits until it listens.
    pub(crate) fn start_with_files(most: u32, args: &[&str]) -> Self {
        let mut command = Command::new("sh");
        let limit = format!("ulimit -n {most}; exec \"$0\" \"$@\"");
        command.args(["-c", &limit, PROGRAM]);
        Self::spawn_as(command, &[("PORT", "0")], args).listening()
    }

    /// Starts the server with a file system of its own at this folder, as large as `size` says, and
    /// waits until it listens. `None` if this machine lets nobody mount one.
    pub(crate) fn start_on_small_disk(folder: &Path, size: &str, args: &[&str]) -> Option<Self> {
        let apart = ["--user", "--map-root-user", "--mount", "sh", "-c"];
        let mount = |rest: &str| {
            let mut command = Command::new("unshare");
            let folder = folder.display();
            let script = format!("mount -t tmpfs -o size={size} none {folder} && {rest}");
            command.args(apart).args([&script, PROGRAM]);
            command
        };
        let possible = mount("true").stderr(Stdio::null()).status();
        possible.ok().filter(ExitStatus::success)?;
        let command = mount("exec \"$0\" \"$@\"");
        Some(Self::spawn_as(command, &[("PORT", "0")], args).listening())
    }

    /// Where the server itself finds this path: it may have file systems of its own.
    pub(crate) fn path(&self, path: &Path) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.child.id()));
        root.join(path.strip_prefix("/").unwrap_or(path))
    }

    fn spawn(env: &[(&str, &str)], args: &[&str]) -> Self {
        Self::spawn_as(Command::new(PROGRAM), env, args)
    }

    fn spawn_as(mut command: Command, env: &[(&str, &str)], args: &[&str]) -> Self {
        for name in VARIABLES {
            command.env_remove(name);
        }
        command.envs(env.iter().copied()).args(args);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();

        let (sender, lines) = channel();
        let stdout = child.stdout.take().unwrap();
        thread::spawn(move || {
            BufReader::new(stdout)
                .lines()
                .map_while(Result::ok)
                .try_for_each(|line| sender.send(line))
        });
        let log = Arc::new(Mutex::new(String::new()));
        let stderr = child.stderr.take().unwrap();
        thread::spawn({
            let log = Arc::clone(&log);
            move || collect(stderr, &log)
        });
        Self {
            what: format!("the end of the server with {env:?} {args:?}"),
            child,
            lines,
            log,
            base: String::new(),
        }
    }

    /// Where the server listens, without the scheme.
    pub(crate) fn address(&self) -> &str {
        self.base.split_once("://").unwrap().1
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, name: &str) {
        assert!(send_signal(self.child.id(), name));
    }

    /// Waits until the log contains `text`.
    pub(crate) fn wait_for_log(&self, text: &str) {
        wait_until(text, || {
            self.log.lock().unwrap().contains(text).then_some(())
        });
    }

    /// Waits for the end of the process.
    pub(crate) fn wait(mut self) -> Ended {
        let status = wait_until(&self.what, || self.child.try_wait().unwrap());
        // Both threads end with the pipes.
        let stdout: Vec<_> = self.lines.iter().collect();
        wait_until("the end of the log", || {
            (Arc::strong_count(&self.log) == 1).then_some(())
        });
        let stderr = self.log.lock().unwrap().clone();
        Ended {
            status,
            stdout: stdout.join("\n"),
            stderr,
        }
    }

    /// Asks the server to end, and waits for it.
    pub(crate) fn stop(self) -> Ended {
        self.signal("TERM");
        self.wait()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the server with options that should make it end by itself.
pub(crate) fn run(env: &[(&str, &str)], args: &[&str]) -> Ended {
    Server::spawn(env, args).wait()
}

/// As [`run`], by a line for a shell, which knows the server as `"$0"`.
pub(crate) fn run_by_shell(line: &str) -> Ended {
    let mut command = Command::new("sh");
    command.args(["-c", line, PROGRAM]);
    Server::spawn_as(command, &[], &[]).wait()
}

fn collect(mut from: impl Read, to: &Mutex<String>) {
    let mut buffer = [0; 8192];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        to.lock()
            .unwrap()
            .push_str(&String::from_utf8_lossy(&buffer[..length]));
    }
}
