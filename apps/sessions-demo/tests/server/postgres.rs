//! Processes on one PostgreSQL server, which is the test's own.

use std::ffi::OsStr;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::curl::Browser;
use crate::dir::Dir;
use crate::processes;

crate::tests!(
    a_session_goes_on_at_the_other_process_and_ends_at_both,
    two_processes_lose_no_count,
    two_processes_keep_the_limit_of_a_users_sessions,
    what_was_acknowledged_survives_a_kill_of_the_database,
);

pub(crate) fn is_installed() -> bool {
    programs().is_some()
}

fn a_session_goes_on_at_the_other_process_and_ends_at_both() {
    let dir = Dir::new("postgres-both");
    let postgres = Postgres::start();
    processes::share_a_session(&dir, &postgres.url());
}

fn two_processes_lose_no_count() {
    let dir = Dir::new("postgres-count");
    let postgres = Postgres::start();
    processes::lose_no_count(&dir, &postgres.url());
}

fn two_processes_keep_the_limit_of_a_users_sessions() {
    let postgres = Postgres::start();
    processes::keep_the_limit_of_a_users_sessions(&postgres.url());
}

/// The server dies without a word, 503 follows with the cookie kept, and after its restart all goes on by itself.
fn what_was_acknowledged_survives_a_kill_of_the_database() {
    let dir = Dir::new("postgres-kill");
    let mut postgres = Postgres::start();
    let demo = processes::demo(&postgres.url());
    let browser = Browser::new(&demo, &dir, "jar");
    for count in 1..=20 {
        let counted = format!(r#"{{"message":"Counter incremented","counter":{count}}}"#);
        browser.get("/session/counter").is(200, &counted);
    }
    postgres.kill();
    let answer = browser.get("/session/counter");
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
    assert_eq!(answer.header("set-cookie"), None, "{answer:?}");
    assert_eq!(browser.get("/hello").status, 200);
    postgres.run();
    let start = Instant::now();
    while browser.get("/session/whoami").status == 503 {
        assert!(start.elapsed() < Duration::from_secs(30));
        thread::sleep(Duration::from_millis(50));
    }
    browser
        .get("/session/counter")
        .is(200, r#"{"message":"Counter incremented","counter":21}"#);
}

/// A server in a folder of its own, killed when dropped.
struct Postgres {
    folder: PathBuf,
    port: u16,
    child: Option<Child>,
}

impl Postgres {
    fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        // Not in a folder of the test's: the server runs as somebody who can't enter that.
        let folder = std::env::temp_dir().join(format!("kr-demo-postgres-{port}"));
        std::fs::create_dir(&folder).unwrap();
        if is_root() {
            succeed(Command::new("chown").arg("nobody:nogroup").arg(&folder));
        }
        succeed(
            as_server(&programs().unwrap().join("initdb"))
                .args(["--no-sync", "--no-locale", "--auth=trust", "-U", "demo"])
                .arg("-D")
                .arg(folder.join("data")),
        );
        let mut postgres = Self {
            folder,
            port,
            child: None,
        };
        postgres.run();
        postgres
    }

    fn run(&mut self) {
        let program = programs().unwrap().join("postgres");
        let child = as_server(&program)
            .arg("-D")
            .arg(self.folder.join("data"))
            .arg("-k")
            .arg(&self.folder)
            .args(["-c", "listen_addresses=127.0.0.1", "-p"])
            .arg(self.port.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
        let start = Instant::now();
        while !self.is_ready() {
            assert!(start.elapsed() < Duration::from_secs(30), "no PostgreSQL");
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn is_ready(&self) -> bool {
        let port = self.port.to_string();
        Command::new(programs().unwrap().join("pg_isready"))
            .args(["-q", "-h", "127.0.0.1", "-p", &port])
            .status()
            .unwrap()
            .success()
    }

    /// The postmaster dies at once; what served connections goes when it notices.
    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // `setpriv` becomes the server, so this is the postmaster.
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    fn url(&self) -> String {
        format!("postgres://demo@127.0.0.1:{}/postgres", self.port)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Where Debian keeps the server's programs, which are not on the path, or else the path.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql");
    let mut folders: Vec<_> = versions
        .into_iter()
        .flatten()
        .flatten()
        .map(|version| version.path().join("bin"))
        .collect();
    let path = std::env::var_os("PATH").unwrap_or_default();
    folders.extend(std::env::split_paths(&path));
    folders
        .into_iter()
        .find(|folder| folder.join("initdb").exists())
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|id| id.stdout == b"0\n")
}

/// The server refuses to run as root.
fn as_server(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    let nobody = ["--reuid=nobody", "--regid=nogroup", "--clear-groups"];
    command.args(nobody.map(OsStr::new)).arg(program);
    command
}

fn succeed(command: &mut Command) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}
