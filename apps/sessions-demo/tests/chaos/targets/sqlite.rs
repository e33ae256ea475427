//! A file of SQLite, which has no server: only the processes have mishaps.

use test_support::{Check, Scratch};

use crate::run::Target;

pub(crate) fn check() -> Check {
    Check::new("sqlite", || TARGET.run())
}

const TARGET: Target<Scratch> = Target {
    name: "SQLite",
    start: Scratch::new,
    url: |folder| format!("sqlite://{}/sessions.db", folder.path().display()),
    faults: &[],
};
