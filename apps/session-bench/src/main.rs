#[cfg(feature = "peers")]
use std::path::PathBuf;
use std::{
    error::Error,
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::{Parser, Subcommand};
#[cfg(feature = "redis")]
use session_bench::redis;
use session_bench::{
    candidate::Candidate,
    counts::{
        self,
        work::{REQUESTS, Work},
    },
    layouts, population,
    scenario::Scenario,
    tcp,
    timing::Effort,
};
#[cfg(feature = "peers")]
use session_bench::{
    layouts::Layouts,
    report::{self, Section, Thoroughness},
};

/// Compares tower-kr-session with other session layers.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure everything and write docs/benchmarks.md
    #[cfg(feature = "peers")]
    Report {
        /// Few rounds, to see that everything works
        #[arg(long)]
        quick: bool,
        /// A folder with this program, linked in several orders
        #[arg(long)]
        layouts: Option<PathBuf>,
    },
    /// Measure one part and print it
    #[cfg(feature = "peers")]
    Measure {
        section: Section,
        /// Few rounds, to see that everything works
        #[arg(long)]
        quick: bool,
        /// A folder with this program, linked in several orders
        #[arg(long)]
        layouts: Option<PathBuf>,
    },
    /// Measure one kind of request, for another process of this program
    #[command(hide = true)]
    Timed {
        scenario: Scenario,
        rounds: usize,
        batches: usize,
        requests: u32,
        candidates: Vec<Candidate>,
    },
    /// Count instructions and allocations, and compare them with the budgets
    Counts {
        /// Make the current counts the budgets
        #[arg(long)]
        bless: bool,
    },
    /// Show where a scenario spends its instructions
    Profile {
        candidate: Candidate,
        scenario: Scenario,
        #[arg(long, default_value_t = 40)]
        lines: usize,
    },
    /// Send one kind of request for some seconds, for a sampling profiler
    Spin {
        candidate: Candidate,
        scenario: Scenario,
        #[arg(default_value_t = 5)]
        seconds: u64,
    },
    /// Do the same for a store in Redis, with many requests at a time
    #[cfg(feature = "redis")]
    SpinRedis {
        store: redis::Store,
        scenario: Scenario,
        #[arg(default_value_t = 5)]
        seconds: u64,
    },
    /// Serve a candidate over HTTP on a free port
    Serve {
        candidate: Candidate,
        scenario: Scenario,
    },
    /// Hold many sessions, for another process of this program
    #[command(hide = true)]
    PopulationChild {
        candidate: Candidate,
        population: u32,
    },
    /// Send the requests that callgrind counts
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
        #[cfg(feature = "peers")]
        Command::Report { quick, layouts } => {
            report::write(thoroughness(quick), &Layouts::of(layouts.as_deref())?)?;
        }
        #[cfg(feature = "peers")]
        Command::Measure {
            section,
            quick,
            layouts,
        } => {
            let layouts = Layouts::of(layouts.as_deref())?;
            report::print(section, thoroughness(quick), &layouts)?;
        }
        Command::Timed {
            scenario,
            rounds,
            batches,
            requests,
            candidates,
        } => {
            let effort = Effort {
                rounds,
                batches,
                requests,
            };
            layouts::answer(&candidates, scenario, effort);
        }
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
        #[cfg(feature = "redis")]
        Command::SpinRedis {
            store,
            scenario,
            seconds,
        } => redis::spin(store, scenario, Duration::from_secs(seconds))?,
        Command::Serve {
            candidate,
            scenario,
        } => tcp::serve(candidate, scenario)?,
        Command::PopulationChild {
            candidate,
            population,
        } => population::child::run(candidate, population)?,
        Command::Counted {
            candidate,
            scenario,
        } => Work::prepare(candidate, scenario).counted(),
    }
    Ok(())
}

/// Prints the time of the fastest requests: enough to compare two builds that take turns.
fn spin(candidate: Candidate, scenario: Scenario, how_long: Duration) {
    let start = Instant::now();
    let mut fastest = Duration::MAX;
    loop {
        // Made anew each time, so that new sessions don't pile up.
        let mut work = Work::prepare(candidate, scenario);
        for _ in 0..50 {
            let begin = Instant::now();
            work.counted();
            fastest = fastest.min(begin.elapsed());
        }
        if start.elapsed() >= how_long {
            break;
        }
    }
    println!("{} ns a request", fastest.as_nanos() / REQUESTS as u128);
}

#[cfg(feature = "peers")]
const fn thoroughness(quick: bool) -> Thoroughness {
    if quick {
        Thoroughness::QUICK
    } else {
        Thoroughness::FULL
    }
}
