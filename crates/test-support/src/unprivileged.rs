//! Database servers refuse to run as root: their programs run as `nobody` then.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use crate::Scratch;

/// A data folder that is made once and copied for each server.
pub(crate) struct Template(OnceLock<Scratch>);

impl Template {
    pub(crate) const fn new() -> Self {
        Self(OnceLock::new())
    }

    /// The folder, made by `make` if there is none yet.
    pub(crate) fn folder(&self, make: impl FnOnce(&Path)) -> PathBuf {
        let folder = self.0.get_or_init(|| {
            let folder = server_folder();
            make(&folder.path().join("data"));
            folder
        });
        folder.path().join("data")
    }

    /// Removes it, since a static is never dropped.
    pub(crate) fn remove(&self) {
        if let Some(folder) = self.0.get() {
            let _ = fs::remove_dir_all(folder.path());
        }
    }
}

/// A folder that the server may write to.
pub(crate) fn server_folder() -> Scratch {
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
pub(crate) fn as_server(program: impl AsRef<Path>) -> Command {
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

pub(crate) fn succeed(command: &mut Command) {
    let output = command.output().expect("a program to run");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
}
