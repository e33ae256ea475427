//! PostgreSQL servers.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
};

use crate::{Scratch, free_port, program::postgres_folder, send_signal, wait_until};

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

impl PostgresServer {
    /// Starts a server and waits until it serves.
    ///
    /// # Panics
    /// If it doesn't.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts a server that never waits for the disk: it may lose what it acknowledged if the
    /// machine stops.
    ///
    /// # Panics
    /// If it doesn't serve.
    pub fn start_quick() -> Self {
        Self::start_with(&["-c", "fsync=off", "-c", "synchronous_commit=off"])
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

    /// Starts it again, after [`stop`](Self::stop) or [`kill`](Self::kill), and waits until it
    /// serves.
    ///
    /// # Panics
    /// If it doesn't.
    pub fn restart(&mut self) {
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

    /// The URL of its database, with [`USER`] and [`PASSWORD`].
    pub fn url(&self) -> String {
        let port = self.port;
        format!("postgres://{USER}:{PASSWORD}@127.0.0.1:{port}/postgres")
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Shuts it down in good order: it cuts its connections and writes everything.
    ///
    /// # Panics
    /// If it doesn't run.
    pub fn stop(&mut self) {
        self.signal("INT", false);
        self.wait();
    }

    /// Ends it as a crash would: none of its processes does anything more.
    ///
    /// # Panics
    /// If it doesn't run.
    pub fn kill(&mut self) {
        self.signal("KILL", true);
        self.wait();
    }

    fn wait(&mut self) {
        let mut process = self.process.take().expect("a running server");
        process.wait().expect("the end of the server");
    }

    /// Stops its processes (SIGSTOP): connections stay open, and nothing answers.
    ///
    /// # Panics
    /// If it doesn't run.
    pub fn freeze(&self) {
        self.signal("STOP", true);
    }

    /// Lets stopped processes go on.
    ///
    /// # Panics
    /// If it doesn't run.
    pub fn thaw(&self) {
        self.signal("CONT", true);
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

static TEMPLATE: OnceLock<Scratch> = OnceLock::new();

/// A new data folder to copy: `initdb` takes longer than everything else.
fn template() -> PathBuf {
    let folder = TEMPLATE.get_or_init(|| {
        let folder = server_folder();
        let mut initdb = as_server(PostgresServer::program("initdb"));
        initdb.args(["--no-sync", "--no-locale", "--auth=trust"]);
        initdb.args(["-E", "UTF8", "-U", USER, "-D"]);
        succeed(initdb.arg(folder.path().join("data")));
        folder
    });
    folder.path().join("data")
}

/// Removes the template, since a static is never dropped.
pub(crate) fn remove_template() {
    if let Some(folder) = TEMPLATE.get() {
        let _ = fs::remove_dir_all(folder.path());
    }
}

/// A folder that the server may write to.
fn server_folder() -> Scratch {
    let folder = Scratch::new();
    if is_root() {
        let mut chown = Command::new("chown");
        succeed(chown.arg("nobody:nogroup").arg(folder.path()));
    }
    folder
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|id| id.stdout == b"0\n")
}

/// A command that isn't run as root: the server refuses that.
fn as_server(program: impl AsRef<Path>) -> Command {
    if !is_root() {
        return Command::new(program.as_ref());
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"])
        .arg(program.as_ref())
        // The working directory may be closed to that user.
        .current_dir(env::temp_dir());
    command
}

fn succeed(command: &mut Command) {
    let output = command.output().expect("a program to run");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
}
