//! MariaDB servers.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use crate::{
    DatabaseServer, PASSWORD, Scratch, USER, free_port,
    program::MARIADB,
    send_signal,
    unprivileged::{Template, as_server, server_folder, succeed},
    wait_until,
};

/// The database for the tests.
const DATABASE: &str = "app";

/// A MariaDB server on a free port, with a folder of its own; killed when dropped.
#[derive(Debug)]
pub struct MariadbServer {
    folder: Scratch,
    port: u16,
    settings: Vec<String>,
    process: Option<Child>,
}

impl DatabaseServer for MariadbServer {
    fn start() -> Self {
        Self::start_with(&[])
    }

    fn start_quick() -> Self {
        Self::start_with(&["--innodb-flush-log-at-trx-commit=0"])
    }

    fn restart(&mut self) {
        let process = as_server(MARIADB)
            .arg("--no-defaults")
            .args(storage(&self.folder.path().join("data")))
            .arg(option("--socket", &self.socket()))
            .arg(format!("--port={}", self.port))
            .arg(format!("--server-id={}", self.port))
            .args(["--bind-address=127.0.0.1", "--skip-name-resolve"])
            .args(["--max-connections=60", "--innodb-buffer-pool-size=24M"])
            .args(["--log-bin", "--sync-binlog=0"])
            .args(&self.settings)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.process = Some(process.expect("start mariadbd"));
        wait_until("a MariaDB server that serves", || {
            let answer = self.client("SELECT 1").output();
            answer.expect("mariadb").status.success().then_some(())
        });
    }

    fn url(&self) -> String {
        let port = self.port;
        format!("mysql://{USER}:{PASSWORD}@127.0.0.1:{port}/{DATABASE}")
    }

    fn port(&self) -> u16 {
        self.port
    }

    fn run(&self, sql: &str) -> String {
        let output = self.client(sql).output().expect("mariadb");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{sql}: {errors}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn stop(&mut self) {
        self.signal("TERM");
        self.wait();
    }

    fn kill(&mut self) {
        self.signal("KILL");
        self.wait();
    }

    fn freeze(&self) {
        self.signal("STOP");
    }

    fn thaw(&self) {
        self.signal("CONT");
    }

    fn demote(&mut self) {
        self.stop();
        self.settings.push("--read-only".to_owned());
        self.restart();
    }

    fn promote(&mut self) {
        self.run("STOP SLAVE; SET GLOBAL read_only = OFF");
    }
}

impl MariadbServer {
    /// Starts a server with these options.
    ///
    /// # Panics
    /// If it doesn't serve.
    pub fn start_with(settings: &[&str]) -> Self {
        let folder = server_folder();
        let mut copy = as_server("cp");
        copy.arg("-r").arg(template());
        succeed(copy.arg(folder.path().join("data")));
        let mut server = Self {
            folder,
            port: free_port(),
            settings: settings.iter().map(ToString::to_string).collect(),
            process: None,
        };
        server.restart();
        server
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    fn client(&self, sql: &str) -> Command {
        let mut client = Command::new("mariadb");
        client.arg("--no-defaults");
        client.arg(option("--socket", &self.socket()));
        client.args(["--user=root", "--batch", "--skip-column-names"]);
        client.args(["--execute", sql, DATABASE]);
        client
    }

    /// What `mariadb-dump` says of the tables whose names begin so.
    ///
    /// # Panics
    /// If it fails.
    pub fn dump(&self, tables: &str) -> Vec<u8> {
        let names = self.run(&format!("SHOW TABLES LIKE '{tables}%'"));
        let output = Command::new("mariadb-dump")
            .arg("--no-defaults")
            .arg(option("--socket", &self.socket()))
            .args(["--user=root", "--hex-blob", DATABASE])
            .args(names.split_whitespace())
            .output()
            .expect("mariadb-dump");
        assert!(output.status.success(), "{output:?}");
        output.stdout
    }

    /// Starts a server that copies this one as it changes and refuses to be written to, and waits
    /// until it has everything.
    ///
    /// # Panics
    /// If that fails.
    pub fn replica(&self) -> Self {
        let replica = Self::start_with(&["--read-only"]);
        let from = self.port;
        self.run(
            "CREATE USER IF NOT EXISTS replica@'127.0.0.1'; \
             GRANT REPLICATION SLAVE ON *.* TO replica@'127.0.0.1'",
        );
        replica.run(&format!(
            "CHANGE MASTER TO master_host = '127.0.0.1', master_port = {from}, \
             master_user = 'replica', master_use_gtid = slave_pos; START SLAVE"
        ));
        let at = self.run("SELECT @@gtid_binlog_pos");
        let copied = format!("SELECT MASTER_GTID_WAIT('{}', 20)", at.trim());
        assert_eq!(replica.run(&copied).trim(), "0", "the replica copies");
        replica
    }

    fn wait(&mut self) {
        let mut process = self.process.take().expect("a running server");
        process.wait().expect("the end of the server");
    }

    fn signal(&self, signal: &str) {
        let process = self.process.as_ref().expect("a running server").id();
        send_signal(process, signal);
    }
}

impl Drop for MariadbServer {
    fn drop(&mut self) {
        if self.process.is_some() {
            self.kill();
        }
    }
}

static TEMPLATE: Template = Template::new();

/// A new data folder to copy, with a database and a user for the tests.
fn template() -> PathBuf {
    TEMPLATE.folder(|data| {
        let mut install = as_server("mariadb-install-db");
        install.arg("--no-defaults");
        install.args(storage(data));
        install.args([
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            "--skip-name-resolve",
        ]);
        succeed(&mut install);
        let file = data.with_file_name("user.sql");
        let user = format!(
            "CREATE DATABASE {DATABASE};\n\
             FLUSH PRIVILEGES;\n\
             CREATE USER {USER}@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';\n\
             GRANT ALL ON {DATABASE}.* TO {USER}@'127.0.0.1';\n\
             GRANT PROCESS ON *.* TO {USER}@'127.0.0.1';\n"
        );
        fs::write(&file, user).expect("write user.sql");
        let mut bootstrap = as_server(MARIADB);
        bootstrap.args(["--no-defaults", "--bootstrap"]);
        bootstrap.args(storage(data));
        succeed(bootstrap.stdin(fs::File::open(&file).expect("read user.sql")));
    })
}

/// Where the data is. Small logs are copied sooner.
fn storage(data: &Path) -> [String; 2] {
    [
        option("--datadir", data),
        "--innodb-log-file-size=16M".to_owned(),
    ]
}

fn option(name: &str, path: &Path) -> String {
    format!("{name}={}", path.display())
}

/// Removes the template, since a static is never dropped.
pub(crate) fn remove_template() {
    TEMPLATE.remove();
}
