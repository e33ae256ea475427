//! The page in a real browser: Chromium, driven through its chromedriver, over the demo's own TLS.
#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

mod browser;
mod page;
#[path = "../server/process.rs"]
#[allow(dead_code, reason = "the tests of the server use the rest")]
mod process;
mod screenshots;
mod webdriver;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

use webdriver::Driver;

fn main() -> ExitCode {
    // Without a browser the tests are ignored, unless everything that a test needs is demanded: then they fail.
    let demanded = std::env::var_os("KR_REQUIRE_SERVERS").is_some_and(|value| value == "1");
    let ignored = !demanded && !Driver::is_installed();
    let trials = [page::TESTS, screenshots::TESTS].concat();
    let trials = trials.into_iter().map(|(name, test)| {
        let test = move || {
            test(&Driver::start());
            Ok(())
        };
        Trial::test(name, test).with_ignored_flag(ignored)
    });
    let mut arguments = Arguments::from_args();
    // A browser is many processes: more at once than there are processors only makes all of them late.
    arguments.test_threads = arguments.test_threads.or(Some(2));
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

/// A test by its name.
type Test = (&'static str, fn(&Driver));

/// The tests by their names, so that each is written only once.
macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        pub(crate) const TESTS: &[crate::Test] = &[$((concat!(module_path!(), "::", stringify!($name)), $name)),*];
    };
}
use tests;
