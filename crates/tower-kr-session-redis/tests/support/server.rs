//! One `redis-server` process.

use std::{
    env, fs,
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

const START_WITHIN: Duration = Duration::from_secs(20);

/// What a user of the server must be allowed, as the guide says.
pub(crate) const RIGHTS: &str = "~kr:* -@all +evalsha +eval +script|load +hget +hgetall +hset +hdel +hmget +hkeys \
    +exists +del +pexpire +persist +ping +role +info";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Server,
    Sentinel,
}

/// A server that is killed, and its folder removed, when this is dropped.
pub(crate) struct Server {
    kind: Kind,
    port: u16,
    folder: PathBuf,
    options: Vec<String>,
    child: Child,
}

impl Server {
    /// Whether there is a `redis-server` to run.
    pub(crate) fn is_installed() -> bool {
        let found = Command::new("redis-server").arg("--version").output();
        found.is_ok_and(|output| output.status.success())
    }

    /// Starts a server with these options (as on its command line) and waits until it answers.
    pub(crate) fn start(options: &[&str]) -> Self {
        Self::launch(Kind::Server, options)
    }

    /// Starts a sentinel with these lines of configuration and waits until it answers.
    pub(crate) fn start_sentinel(lines: &[&str]) -> Self {
        Self::launch(Kind::Sentinel, lines)
    }

    fn launch(kind: Kind, options: &[&str]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = env::temp_dir().join(format!("kr-redis-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder for the server");
        let options: Vec<String> = options.iter().map(ToString::to_string).collect();
        let port = free_port();
        let child = spawn(kind, port, &folder, &options);
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

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn folder(&self) -> &PathBuf {
        &self.folder
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// A connection of the test's own, for looking behind the store's back.
    pub(crate) fn admin(&self) -> redis::Connection {
        self.try_admin().expect("a connection to the server")
    }

    pub(crate) fn try_admin(&self) -> redis::RedisResult<redis::Connection> {
        let client = redis::Client::open(self.url())?;
        let connection = client.get_connection_with_timeout(Duration::from_secs(5))?;
        connection.set_read_timeout(Some(Duration::from_secs(10)))?;
        Ok(connection)
    }

    /// Runs a command of words and reads its answer.
    pub(crate) fn ask<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let answer = command(words).query(&mut self.admin());
        answer.unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    pub(crate) fn try_ask(&self, words: &[&str]) -> redis::RedisResult<redis::Value> {
        command(words).query(&mut self.try_admin()?)
    }

    /// Waits until the server answers, also after it has read its files; that it wants a password is an answer too.
    pub(crate) fn wait_until_ready(&self) {
        let start = Instant::now();
        let answers = || match self.try_ask(&["PING"]) {
            Ok(_) => true,
            Err(error) => error.code() == Some("NOAUTH"),
        };
        while !answers() {
            assert!(start.elapsed() < START_WITHIN, "{}", self.log());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// SIGSTOP: the process is there, its connections are open, nothing answers.
    pub(crate) fn freeze(&self) {
        self.signal("STOP");
    }

    pub(crate) fn thaw(&self) {
        self.signal("CONT");
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("kill the server");
        self.child.wait().expect("the end of the server");
    }

    /// Starts it again on the same port with the same files.
    pub(crate) fn restart(&mut self) {
        self.child = spawn(self.kind, self.port, &self.folder, &self.options);
    }

    fn signal(&self, name: &str) {
        let signal = Command::new("kill")
            .args(["-s", name, &self.child.id().to_string()])
            .status();
        assert!(signal.expect("kill").success());
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn command(words: &[&str]) -> redis::Cmd {
    let mut command = redis::cmd(words[0]);
    for word in &words[1..] {
        command.arg(*word);
    }
    command
}

fn spawn(kind: Kind, port: u16, folder: &PathBuf, options: &[String]) -> Child {
    let log = fs::File::options()
        .create(true)
        .append(true)
        .open(folder.join("log"))
        .expect("the server's log");
    let mut command = Command::new("redis-server");
    if kind == Kind::Sentinel {
        // It keeps what it learns in its configuration.
        let file = folder.join("sentinel.conf");
        if !file.exists() {
            let text = format!("port {port}\n{}\n", options.join("\n"));
            fs::write(&file, text).expect("the sentinel's configuration");
        }
        command.arg(file).arg("--sentinel");
    } else {
        command
            .args(["--port", &port.to_string()])
            .args(["--bind", "127.0.0.1", "--save", ""])
            .arg("--dir")
            .arg(folder)
            .args(options);
    }
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("the log"))
        .stderr(log)
        .spawn()
        .expect("start the server")
}

/// A port that nobody listens on at the moment.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("its address").port()
}
