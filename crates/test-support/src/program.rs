//! The programs that some tests need and not every machine has.

use std::{
    fmt, fs,
    path::PathBuf,
    process::{Command, Stdio},
    sync::OnceLock,
};

/// A program that tests run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Program {
    /// axe-core, a script that finds barriers in pages.
    Axe,
    /// Chromium or Chrome, and its `chromedriver`.
    Chromium,
    /// `curl`.
    Curl,
    /// `haproxy`.
    Haproxy,
    /// MariaDB's `mariadbd` and its clients.
    Mariadb,
    /// `nats-server`.
    Nats,
    /// `nginx`.
    Nginx,
    /// PostgreSQL's `initdb` and `postgres`.
    Postgres,
    /// `redis-server` and `redis-cli`.
    Redis,
    /// `WebKitWebDriver` with its browser, and `Xvfb` to show it.
    Webkit,
}

impl Program {
    const ALL: [Self; 10] = [
        Self::Axe,
        Self::Chromium,
        Self::Curl,
        Self::Haproxy,
        Self::Mariadb,
        Self::Nats,
        Self::Nginx,
        Self::Postgres,
        Self::Redis,
        Self::Webkit,
    ];

    /// Whether this machine has it.
    pub fn is_installed(self) -> bool {
        static INSTALLED: [OnceLock<bool>; Program::ALL.len()] =
            [const { OnceLock::new() }; Program::ALL.len()];
        *INSTALLED[self as usize].get_or_init(|| match self {
            Self::Axe => axe_script().is_some(),
            Self::Chromium => runs("chromedriver") && (runs("chromium") || runs("google-chrome")),
            Self::Curl => runs("curl"),
            Self::Haproxy => answers("haproxy", "-v"),
            Self::Mariadb => runs(MARIADB) && runs("mariadb") && on_path("mariadb-install-db"),
            Self::Nats => runs("nats-server"),
            Self::Nginx => answers("nginx", "-v"),
            Self::Postgres => postgres_folder().is_some(),
            Self::Redis => runs("redis-server") && runs("redis-cli"),
            Self::Webkit => on_path("WebKitWebDriver") && on_path("Xvfb"),
        })
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Axe => "axe-core",
            Self::Chromium => "chromium",
            Self::Curl => "curl",
            Self::Haproxy => "haproxy",
            Self::Mariadb => "mariadb-server",
            Self::Nats => "nats-server",
            Self::Nginx => "nginx",
            Self::Postgres => "postgresql",
            Self::Redis => "redis-server",
            Self::Webkit => "webkit2gtk-driver",
        })
    }
}

/// Debian's server, in a folder that isn't on every user's path.
pub(crate) const MARIADB: &str = "/usr/sbin/mariadbd";

/// Whether a program is there that tells no version.
fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).exists())
}

fn runs(program: &str) -> bool {
    answers(program, "--version")
}

fn answers(program: &str, question: &str) -> bool {
    let version = Command::new(program)
        .arg(question)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    version.is_ok_and(|status| status.success())
}

/// The script of axe-core, from the tools of the checks.
pub fn axe_script() -> Option<PathBuf> {
    let tools = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/tools/lib");
    let pythons = fs::read_dir(tools).ok()?.flatten();
    let mut scripts = pythons.map(|python| {
        let packages = python.path().join("site-packages");
        packages.join("axe_playwright_python/axe.min.js")
    });
    scripts.find(|script| script.exists())
}

/// The folder of PostgreSQL's programs: Debian's, which is not on the path, or else one of the
/// path.
pub(crate) fn postgres_folder() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
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
