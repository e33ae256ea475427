//! The real server as a process of its own: its options, its end, and the tutorial by real curl.
#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

mod curl;
mod options;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(any(feature = "postgres", feature = "redis", feature = "sqlite"))]
mod processes;
mod read_timeout;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "sqlite")]
mod sqlite;
mod stop;
#[path = "../support/mod.rs"]
mod support;

use std::process::ExitCode;

use test_support::{Check, Program, run};

fn main() -> ExitCode {
    let mut checks = checks(&[options::TESTS, read_timeout::TESTS, stop::TESTS], &[]);
    checks.extend(self::checks(&[curl::TESTS], &[Program::Curl]));
    #[cfg(feature = "sqlite")]
    checks.extend(self::checks(&[sqlite::TESTS], &[Program::Curl]));
    #[cfg(feature = "postgres")]
    checks.extend(self::checks(
        &[postgres::TESTS],
        &[Program::Curl, Program::Postgres],
    ));
    #[cfg(feature = "redis")]
    checks.extend(self::checks(
        &[redis::TESTS],
        &[Program::Curl, Program::Redis],
    ));
    run(checks)
}

fn checks(lists: &[&[Test]], needs: &[Program]) -> Vec<Check> {
    let tests = lists.concat().into_iter();
    let check = |(name, test): Test| {
        let needs = needs.iter().copied();
        needs.fold(Check::new(name, test), Check::needs)
    };
    tests.map(check).collect()
}

/// A test by its name.
type Test = (&'static str, fn());

/// The tests by their names, so that each is written only once.
macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        pub(crate) const TESTS: &[crate::Test] = &[$((concat!(module_path!(), "::", stringify!($name)), $name)),*];
    };
}
use tests;
