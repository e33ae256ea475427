//! A PostgreSQL server of the tests' own: in a folder of its own, on a free port, without a password.

use std::{
    ffi::OsStr,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use sqlx::{
    Connection,
    postgres::{PgConnectOptions, PgConnection},
};

use crate::support::{DEADLINE, Scratch};

pub(crate) const USER: &str = "kr_user";
pub(crate) const PASSWORD: &str = "hunter2-is-secret";

/// Where Debian keeps the server's programs, which are not on the path; empty if they are.
pub(crate) fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let mut folders: Vec<PathBuf> = versions
        .flatten()
        .map(|version| version.path().join("bin"))
        .collect();
    folders.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    folders.extend(std::env::split_paths(&path));
    folders
        .into_iter()
        .find(|folder| folder.join("initdb").exists() && folder.join("postgres").exists())
}

pub(crate) struct Server {
    scratch: Scratch,
    port: u16,
    settings: &'static [&'static str],
    process: Option<Child>,
}

impl Server {
    /// A new, running server.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// A new, running server that waits for no disk.
    pub(crate) async fn start_quick() -> Self {
        Self::start_with(&["-c", "fsync=off", "-c", "synchronous_commit=off"]).await
    }

    async fn start_with(settings: &'static [&'static str]) -> Self {
        let scratch = Scratch::new();
        own(scratch.path());
        run(as_server(&"cp")
            .arg("-r")
            .arg(template())
            .arg(scratch.path().join("data")));
        let mut server = Self {
            scratch,
            port: TcpListener::bind("127.0.0.1:0")
                .unwrap()
                .local_addr()
                .unwrap()
                .port(),
            settings,
            process: None,
        };
        server.restart().await;
        server
    }

    /// Starts it (again) and waits until it serves.
    pub(crate) async fn restart(&mut self) {
        let process = as_server(&programs().unwrap().join("postgres"))
            .arg("-D")
            .arg(self.scratch.path().join("data"))
            .arg("-k")
            .arg(self.scratch.path())
            .args([
                "-c",
                "listen_addresses=127.0.0.1",
                "-c",
                "max_connections=60",
            ])
            .args(["-c", "shared_buffers=16MB", "-c", "autovacuum=off"])
            .args(["-p", &self.port.to_string()])
            .args(self.settings)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.process = Some(process);
        let deadline = Instant::now() + DEADLINE;
        while PgConnection::connect_with(&self.options()).await.is_err() {
            assert!(Instant::now() < deadline, "the server doesn't start");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn url(&self) -> String {
        format!(
            "postgres://{USER}:{PASSWORD}@127.0.0.1:{}/postgres",
            self.port
        )
    }

    pub(crate) fn options(&self) -> PgConnectOptions {
        self.url().parse().unwrap()
    }

    /// Ends it in good order: connections are cut, everything is written.
    pub(crate) fn stop(&mut self) {
        self.signal("INT", false);
        self.process.take().unwrap().wait().unwrap();
    }

    /// Ends it as a crash would: no process of it gets to do anything more.
    pub(crate) fn kill(&mut self) {
        self.signal("KILL", true);
        self.process.take().unwrap().wait().unwrap();
    }

    /// It stands still, with all its connections open.
    pub(crate) fn freeze(&self) {
        self.signal("STOP", true);
    }

    pub(crate) fn thaw(&self) {
        self.signal("CONT", true);
    }

    /// To the main process, and with `all` to those that serve its connections too.
    fn signal(&self, signal: &str, all: bool) {
        let main = self.process.as_ref().unwrap().id();
        let mut processes = vec![main];
        if all {
            processes.extend(children(main));
        }
        for process in processes {
            // A child may be gone by itself.
            let _ = Command::new("kill")
                .args(["-s", signal, &process.to_string()])
                .stderr(Stdio::null())
                .status();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.process.is_some() {
            self.kill();
        }
    }
}

fn children(parent: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|entry| {
            let process: u32 = entry.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            // After the name, which may hold anything: state, parent.
            let (_, rest) = stat.rsplit_once(") ")?;
            let of: u32 = rest.split(' ').nth(1)?.parse().ok()?;
            (of == parent).then_some(process)
        })
        .collect()
}

/// A fresh data folder to copy: `initdb` takes longer than everything else.
fn template() -> &'static Path {
    static TEMPLATE: OnceLock<Scratch> = OnceLock::new();
    let scratch = TEMPLATE.get_or_init(|| {
        let scratch = Scratch::new();
        own(scratch.path());
        run(as_server(&programs().unwrap().join("initdb"))
            .args([
                "--no-sync",
                "--no-locale",
                "--auth=trust",
                "-E",
                "UTF8",
                "-U",
                USER,
            ])
            .arg("-D")
            .arg(scratch.path().join("data")));
        scratch
    });
    static DATA: OnceLock<PathBuf> = OnceLock::new();
    DATA.get_or_init(|| scratch.path().join("data"))
}

/// Gone at the end of the tests: a static is never dropped.
pub(crate) fn remove_template() {
    let _ = std::fs::remove_dir_all(template().parent().unwrap());
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|id| id.stdout == b"0\n")
}

/// The server refuses to run as root.
fn as_server(program: &impl AsRef<OsStr>) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"])
        .arg(program);
    command
}

fn own(folder: &Path) {
    if is_root() {
        run(Command::new("chown").arg("nobody:nogroup").arg(folder));
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}
