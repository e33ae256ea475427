//! PostgreSQL servers.

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use crate::{
    DatabaseServer, Scratch, free_port,
    program::postgres_folder,
    send_signal,
    unprivileged::{Template, as_server, server_folder, succeed},
    wait_until,
};

/// The server's superuser.
pub const USER: &str = "kr_user";

/// A password for URLs, to look for where none may be. The server asks for none.
pub const PASSWORD: &str = "hunter2-is-secret";

/// A PostgreSQL server on a free port, with a folder of its own; killed when dropped.
#[derive(Debug)]
pub struct PostgresServer {
    folder: Scratch,
    port: u16,
    settings: &'static [&'static str],
    process: Option<Child>,
}

impl DatabaseServer for PostgresServer {
    fn start() -> Self {
        Self::start_with(&[])
    }

    fn start_quick() -> Self {
        Self::start_with(&["-c", "fsync=off", "-c", "synchronous_commit=off"])
    }

    fn restart(&mut self) {
        let process = as_server(Self::program("postgres"))
            .arg("-D")
            .arg(self.folder.path().join("data"))
            .arg("-k")
            .arg(self.folder.path())
            .args(["-p", &self.port.to_string()])
            .args(["-c", "listen_addresses=127.0.0.1"])
            .args(["-c", "max_connections=60"])
            .args(["-c", "shared_buffers=16MB", "-c", "autovacuum=off"])
            .args(self.settings)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.process = Some(process.expect("start postgres"));
        wait_until("a PostgreSQL server that serves", || {
            self.is_ready().then_some(())
        });
    }

    fn url(&self) -> String {
        let port = self.port;
        format!("postgres://{USER}:{PASSWORD}@127.0.0.1:{port}/postgres")
    }

    fn port(&self) -> u16 {
        self.port
    }

    fn run(&self, sql: &str) -> String {
        let output = Command::new(Self::program("psql"))
            .args(["-X", "-q", "-A", "-t", "-c", sql])
            .arg("-h")
            .arg(self.folder.path())
            .args(["-p", &self.port.to_string(), "-U", USER, "postgres"])
            .output()
            .expect("psql");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{sql}: {errors}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn stop(&mut self) {
        self.signal("INT", false);
        self.wait();
    }

    fn kill(&mut self) {
        self.signal("KILL", true);
        self.wait();
    }

    fn freeze(&self) {
        self.signal("STOP", true);
    }

    fn thaw(&self) {
        self.signal("CONT", true);
    }

    fn demote(&mut self) {
        self.stop();
        let signal = self.folder.path().join("data/standby.signal");
        fs::write(signal, "").expect("write standby.signal");
        self.restart();
    }

    fn promote(&mut self) {
        let data = self.folder.path().join("data");
        let mut promote = as_server(Self::program("pg_ctl"));
        succeed(promote.args(["promote", "-w", "-D"]).arg(data));
    }
}

impl PostgresServer {
    /// Starts a server that leaves it to the kernel when to write to the disk: a crash of the
    /// server costs nothing, one of the machine may. A standby of it looks for it five times a
    /// second.
    ///
    /// # Panics
    /// If it doesn't serve.
    pub fn start_unsynced() -> Self {
        Self::start_with(&["-c", "fsync=off", "-c", "wal_retrieve_retry_interval=200ms"])
    }

    fn start_with(settings: &'static [&'static str]) -> Self {
        let folder = server_folder();
        let mut copy = as_server("cp");
        copy.arg("-r").arg(template());
        succeed(copy.arg(folder.path().join("data")));
        let mut server = Self {
            folder,
            port: free_port(),
            settings,
            process: None,
        };
        server.restart();
        server
    }

    fn is_ready(&self) -> bool {
        let status = Command::new(Self::program("pg_isready"))
            .args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()])
            .status();
        status.expect("pg_isready").success()
    }

    /// Where one of PostgreSQL's programs is.
    ///
    /// # Panics
    /// If PostgreSQL isn't installed.
    pub fn program(name: &str) -> PathBuf {
        postgres_folder()
            .expect("PostgreSQL is installed")
            .join(name)
    }

    /// Starts a standby that copies this server as it changes, and waits until it does. From then
    /// on the server acknowledges what the standby has on its disk, too.
    ///
    /// # Panics
    /// If that fails.
    pub fn standby(&self) -> Self {
        let folder = server_folder();
        let mut copy = as_server(Self::program("pg_basebackup"));
        copy.args([
            "--checkpoint=fast",
            "--write-recovery-conf",
            "-h",
            "127.0.0.1",
        ]);
        copy.args(["-U", USER, "-p", &self.port.to_string(), "-D"]);
        succeed(copy.arg(folder.path().join("data")));
        let mut standby = Self {
            folder,
            port: free_port(),
            settings: self.settings,
            process: None,
        };
        standby.restart();
        wait_until("the standby copies", || {
            let copies =
                self.run("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'");
            (copies.trim() == "1").then_some(())
        });
        self.run("ALTER SYSTEM SET synchronous_standby_names = '*'");
        self.run("SELECT pg_reload_conf()");
        wait_until("the server waits for the standby", || {
            let waits =
                self.run("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'");
            (waits.trim() == "1").then_some(())
        });
        standby
    }

    fn wait(&mut self) {
        let mut process = self.process.take().expect("a running server");
        process.wait().expect("the end of the server");
    }

    /// To the main process, and with `all` to those that serve its connections too.
    fn signal(&self, signal: &str, all: bool) {
        let main = self.process.as_ref().expect("a running server").id();
        let children = if all { children(main) } else { Vec::new() };
        for process in [vec![main], children].concat() {
            // A child may have ended by itself.
            send_signal(process, signal);
        }
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        if self.process.is_some() {
            self.kill();
        }
    }
}

fn children(parent: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|entry| {
            let process: u32 = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            // After the name, which may hold anything: state, parent.
            let (_, rest) = stat.rsplit_once(") ")?;
            let of: u32 = rest.split(' ').nth(1)?.parse().ok()?;
            (of == parent).then_some(process)
        })
        .collect()
}

static TEMPLATE: Template = Template::new();

/// A new data folder to copy: `initdb` takes longer than everything else.
fn template() -> PathBuf {
    TEMPLATE.folder(|data| {
        let mut initdb = as_server(PostgresServer::program("initdb"));
        initdb.args(["--no-sync", "--no-locale", "--auth=trust"]);
        initdb.args(["-E", "UTF8", "-U", USER, "-D"]);
        succeed(initdb.arg(data));
    })
}

/// Removes the template, since a static is never dropped.
pub(crate) fn remove_template() {
    TEMPLATE.remove();
}
