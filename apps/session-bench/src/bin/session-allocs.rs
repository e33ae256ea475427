//! Counts allocations, in a program of its own, since counting costs instructions.

use clap::Parser;
use session_bench::{
    candidate::Candidate,
    counts::work::{REQUESTS, Work},
    scenario::Scenario,
};

#[derive(Parser)]
struct Arguments {
    candidate: Candidate,
    scenario: Scenario,
}

/// Prints allocations and bytes per request.
fn main() {
    let arguments = Arguments::parse();
    let mut work = Work::prepare(arguments.candidate, arguments.scenario);
    let counted = allocation_counter::measure(|| work.counted());
    let per_request = |total: u64| total as f64 / REQUESTS as f64;
    println!(
        "{:.2} {:.1}",
        per_request(counted.count_total),
        per_request(counted.bytes_total)
    );
}
