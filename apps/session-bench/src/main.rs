use std::{
    error::Error,
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::{Parser, Subcommand};
use session_bench::{
    candidate::Candidate,
    counts::{self, work::Work},
    scenario::Scenario,
};

/// tower-kr-session beside other session layers.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Count instructions and allocations, and compare them with the budgets
    Counts {
        /// Make the counts of now the budgets
        #[arg(long)]
        bless: bool,
    },
    /// Show where the instructions of a scenario go
    Profile {
        candidate: Candidate,
        scenario: Scenario,
        #[arg(long, default_value_t = 40)]
        lines: usize,
    },
    /// Send one kind of request for some seconds: something for a sampling profiler to look at
    Spin {
        candidate: Candidate,
        scenario: Scenario,
        #[arg(default_value_t = 5)]
        seconds: u64,
    },
    /// The requests that callgrind counts
    #[command(hide = true)]
    Counted {
        candidate: Candidate,
        scenario: Scenario,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<(), Box<dyn Error>> {
    match command {
        Command::Counts { bless } => counts::check(bless)?,
        Command::Profile {
            candidate,
            scenario,
            lines,
        } => counts::print_profile(candidate, scenario, lines)?,
        Command::Spin {
            candidate,
            scenario,
            seconds,
        } => spin(candidate, scenario, Duration::from_secs(seconds)),
        Command::Counted {
            candidate,
            scenario,
        } => Work::prepare(candidate, scenario).counted(),
    }
    Ok(())
}

fn spin(candidate: Candidate, scenario: Scenario, how_long: Duration) {
    let start = Instant::now();
    while start.elapsed() < how_long {
        // Anew each time: new sessions must not pile up.
        let mut work = Work::prepare(candidate, scenario);
        for _ in 0..50 {
            work.counted();
        }
    }
}
