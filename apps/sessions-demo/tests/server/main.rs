//! The real server as a process of its own: its options, its end, and the tutorial by real curl.
#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

mod curl;
#[cfg(any(feature = "mysql", feature = "postgres"))]
mod databases;
#[cfg(feature = "redis")]
mod device;
mod help;
mod load;
mod log;
mod options;
#[cfg(any(
    feature = "mysql",
    feature = "postgres",
    feature = "redis",
    feature = "sqlite"
))]
mod processes;
#[cfg(feature = "sqlite")]
mod proxies;
mod read_timeout;
#[cfg(feature = "redis")]
mod redis;
mod refused;
#[cfg(feature = "sqlite")]
mod sqlite;
mod stop;
#[path = "../support/mod.rs"]
mod support;
mod variables;

use std::process::ExitCode;

#[cfg(feature = "mysql")]
use test_support::MariadbServer;
#[cfg(feature = "postgres")]
use test_support::PostgresServer;
use test_support::{Check, Program, run};

fn main() -> ExitCode {
    let mut checks = checks(
        &[
            help::TESTS,
            load::TESTS,
            log::TESTS,
            options::TESTS,
            read_timeout::TESTS,
            stop::TESTS,
            variables::TESTS,
        ],
        &[],
    );
    checks.extend(self::checks(&[curl::TESTS], &[Program::Curl]));
    #[cfg(feature = "sqlite")]
    checks.extend(self::checks(&[sqlite::TESTS], &[Program::Curl]));
    #[cfg(feature = "sqlite")]
    for (tests, program) in [
        (proxies::NGINX, Program::Nginx),
        (proxies::HAPROXY, Program::Haproxy),
    ] {
        checks.extend(self::checks(&[tests], &[program]));
    }
    #[cfg(feature = "postgres")]
    checks.extend(check_each(
        databases::tests::<PostgresServer>(),
        &[Program::Curl, Program::Postgres],
    ));
    #[cfg(feature = "mysql")]
    checks.extend(check_each(
        databases::tests::<MariadbServer>(),
        &[Program::Curl, Program::Mariadb],
    ));
    #[cfg(feature = "redis")]
    checks.extend(self::checks(
        &[redis::TESTS],
        &[Program::Curl, Program::Redis],
    ));
    run(checks)
}

fn checks(lists: &[&[Test]], needs: &[Program]) -> Vec<Check> {
    check_each(lists.concat(), needs)
}

fn check_each<N: Into<String>>(tests: Vec<(N, fn())>, needs: &[Program]) -> Vec<Check> {
    let check = |(name, test)| {
        let needs = needs.iter().copied();
        needs.fold(Check::new(name, test), Check::needs)
    };
    tests.into_iter().map(check).collect()
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
