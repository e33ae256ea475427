//! The real server as a process of its own: its options, its end, and the tutorial by real curl.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a failed test may panic"
)]

mod curl;
mod dir;
mod options;
#[cfg(feature = "postgres")]
mod postgres;
mod process;
#[cfg(any(feature = "postgres", feature = "redis", feature = "sqlite"))]
mod processes;
#[cfg(feature = "redis")]
mod redis;
mod secret;
#[cfg(feature = "sqlite")]
mod sqlite;
mod stop;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let anywhere = [options::TESTS, stop::TESTS].concat();
    let mut trials: Vec<_> = anywhere.iter().map(trial).collect();
    // Without curl its tests are ignored, unless everything that a test needs is demanded: then they fail.
    let demanded = std::env::var_os("KR_REQUIRE_SERVERS").is_some_and(|value| value == "1");
    let ignored = !demanded && !curl::is_installed();
    trials.extend(
        curl::TESTS
            .iter()
            .map(|test| trial(test).with_ignored_flag(ignored)),
    );
    #[cfg(feature = "sqlite")]
    trials.extend(
        sqlite::TESTS
            .iter()
            .map(|test| trial(test).with_ignored_flag(ignored)),
    );
    #[cfg(feature = "postgres")]
    {
        let ignored = ignored || (!demanded && !postgres::is_installed());
        trials.extend(
            postgres::TESTS
                .iter()
                .map(|test| trial(test).with_ignored_flag(ignored)),
        );
    }
    #[cfg(feature = "redis")]
    {
        let ignored = ignored || (!demanded && !redis::is_installed());
        trials.extend(
            redis::TESTS
                .iter()
                .map(|test| trial(test).with_ignored_flag(ignored)),
        );
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn trial(&(name, test): &Test) -> Trial {
    Trial::test(name, move || {
        test();
        Ok(())
    })
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
