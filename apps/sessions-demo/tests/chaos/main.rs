//! Three processes on one store while faults come and go: what was acknowledged is there once, and
//! what was ended stays ended.
//!
//! A few seconds for each store, or as many as `KR_CHAOS_SECONDS` says.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failed test may panic; the figures are for people"
)]

mod client;
mod demo;
mod figures;
mod run;
#[path = "../support/mod.rs"]
mod support;
mod targets;
mod workers;

use std::process::ExitCode;

use test_support::{Check, run_in_threads};

fn main() -> ExitCode {
    // Each of them starts up to a dozen servers.
    run_in_threads(2, checks())
}

fn checks() -> Vec<Check> {
    vec![
        Check::new(
            "a_counter_tells_what_went_wrong",
            workers::a_counter_tells_what_went_wrong,
        ),
        #[cfg(feature = "redis")]
        targets::redis(),
        #[cfg(feature = "redis")]
        targets::sentinel(),
        #[cfg(feature = "redis")]
        targets::cluster(),
        #[cfg(feature = "postgres")]
        targets::postgres(),
        #[cfg(feature = "mysql")]
        targets::mariadb(),
        #[cfg(feature = "sqlite")]
        targets::sqlite(),
    ]
}
