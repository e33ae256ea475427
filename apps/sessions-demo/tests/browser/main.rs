//! The page in real browsers over the demo's own TLS: Chromium, and the essentials in WebKit.
#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

mod axe;
mod browser;
mod caching;
mod device;
mod page;
mod plain_http;
mod screenshots;
#[path = "../support/mod.rs"]
mod support;
mod tricks;
mod webdriver;
mod webkit;

use std::process::ExitCode;

use test_support::{Check, Program, run_in_threads};

use webdriver::Driver;

fn main() -> ExitCode {
    let tests = [
        caching::TESTS,
        device::TESTS,
        page::TESTS,
        plain_http::TESTS,
        screenshots::TESTS,
        tricks::TESTS,
    ];
    let tests = tests.concat().into_iter();
    let check = |(name, test): Test| {
        Check::new(name, move || test(&Driver::chromium())).needs(Program::Chromium)
    };
    let checks = tests.map(check);
    let axe = axe::TESTS.iter().copied().map(check);
    let webkit = webkit::TESTS.iter().map(|&(name, test)| {
        Check::new(name, move || test(&Driver::webkit())).needs(Program::Webkit)
    });
    let checks = checks
        .chain(axe.map(|check| check.needs(Program::Axe)))
        .chain(webkit);
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
