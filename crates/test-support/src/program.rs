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
    /// Chromium or Chrome, and its `chromedriver`.
    Chromium,
    /// `curl`.
    Curl,
    /// PostgreSQL's `initdb` and `postgres`.
    Postgres,
    /// `redis-server` and `redis-cli`.
    Redis,
}

impl Program {
    const ALL: [Self; 4] = [Self::Chromium, Self::Curl, Self::Postgres, Self::Redis];

    /// Whether this machine has it.
    pub fn is_installed(self) -> bool {
        static INSTALLED: [OnceLock<bool>; Program::ALL.len()] =
            [const { OnceLock::new() }; Program::ALL.len()];
        *INSTALLED[self as usize].get_or_init(|| match self {
            Self::Chromium => runs("chromedriver") && (runs("chromium") || runs("google-chrome")),
            Self::Curl => runs("curl"),
            Self::Postgres => postgres_folder().is_some(),
            Self::Redis => runs("redis-server") && runs("redis-cli"),
        })
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Chromium => "chromium",
            Self::Curl => "curl",
            Self::Postgres => "postgresql",
            Self::Redis => "redis-server",
        })
    }
}

fn runs(program: &str) -> bool {
    let version = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    version.is_ok_and(|status| status.success())
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
