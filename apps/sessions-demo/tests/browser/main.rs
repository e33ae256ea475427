//! The page in a real browser: Chromium, driven through its chromedriver, over the demo's own TLS.
#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

mod browser;
mod page;
mod screenshots;
#[path = "../support/mod.rs"]
mod support;
mod webdriver;

use std::process::ExitCode;

use test_support::{Check, Program, run_in_threads};

use webdriver::Driver;

fn main() -> ExitCode {
    let tests = [page::TESTS, screenshots::TESTS].concat().into_iter();
    let checks = tests.map(|(name, test)| {
        Check::new(name, move || test(&Driver::start())).needs(Program::Chromium)
    });
    // A browser is many processes: more at once than there are processors only makes all of them
    // late.
    run_in_threads(2, checks)
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
