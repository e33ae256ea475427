//! Whole requests through the layer, on a real server: in several processes, while the server is
//! frozen, and what they leave.

#[path = "../support/mod.rs"]
mod support;

mod app;
mod outages;
mod processes;
mod secrecy;

use std::process::ExitCode;

use support::{Check, block_on, run};

/// Lists async functions as checks of their own names.
macro_rules! checks {
    ($($module:ident: $($check:ident),+ $(,)?;)+) => {
        vec![$($(Check::new(
            concat!(stringify!($module), "::", stringify!($check)),
            || block_on($module::$check()),
        )),+),+]
    };
}

fn main() -> ExitCode {
    if let Some(work) = processes::Work::of_this_process() {
        block_on(work.done());
        return ExitCode::SUCCESS;
    }
    run(checks![
        processes: two_processes_count_exactly, two_processes_write_different_keys,
            a_session_goes_on_at_another_process_and_ends_at_all;
        outages: a_frozen_server_is_503_and_keeps_cookies, a_full_session_store_takes_success_back;
        secrecy: a_dump_of_the_server_admits_nobody, a_request_costs_what_the_docs_say;
    ])
}
