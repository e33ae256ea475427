//! A test harness that knows which programs its tests need.
//!
//! A test whose program is missing is ignored, and the last line of the output says so. With
//! `KR_REQUIRE_SERVERS=1` in the environment it fails instead.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{self, Write},
    process::ExitCode,
    sync::{Arc, Mutex},
};

use libtest_mimic::{Arguments, Completion, Failed, Trial};

use crate::{Program, block_on, mariadb, postgres};

/// The file to which each harness appends lines of `<number of tests> <program>`, if the variable
/// is set.
const REPORT: &str = "KR_MISSING_PROGRAMS";

/// A named test, and the programs that it needs.
pub struct Check {
    name: String,
    needs: Vec<Program>,
    run: Box<dyn FnOnce() + Send>,
}

impl Check {
    /// A test that fails if `run` panics.
    pub fn new(name: impl Into<String>, run: impl FnOnce() + Send + 'static) -> Self {
        Self {
            name: name.into(),
            needs: Vec::new(),
            run: Box::new(run),
        }
    }

    /// An asynchronous test, in a runtime of its own.
    pub fn future<F: Future<Output = ()>>(
        name: impl Into<String>,
        run: impl FnOnce() -> F + Send + 'static,
    ) -> Self {
        Self::new(name, || block_on(run()))
    }

    /// Ignores the test where this program is missing.
    #[must_use]
    pub fn needs(mut self, program: Program) -> Self {
        self.needs.push(program);
        self
    }
}

/// Runs the tests as the command line asks.
pub fn run(checks: impl IntoIterator<Item = Check>) -> ExitCode {
    run_with(Arguments::from_args(), checks)
}

/// Runs the tests as the command line asks, at most this many at once unless it says how many.
pub fn run_in_threads(threads: usize, checks: impl IntoIterator<Item = Check>) -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or(Some(threads));
    run_with(arguments, checks)
}

fn run_with(arguments: Arguments, checks: impl IntoIterator<Item = Check>) -> ExitCode {
    let required = env::var_os("KR_REQUIRE_SERVERS").is_some_and(|value| value == "1");
    let missing = Missing::default();
    let trials = checks.into_iter().map(|check| {
        let missing = Arc::clone(&missing);
        Trial::ignorable_test(check.name, move || {
            let program = check
                .needs
                .into_iter()
                .find(|program| !program.is_installed());
            match program {
                None => (check.run)(),
                Some(program) => {
                    count(&missing, program);
                    let reason = format!("{program} is not installed");
                    if required {
                        return Err(Failed::from(reason));
                    }
                    return Ok(Completion::ignored_with(reason));
                }
            }
            Ok(Completion::Completed)
        })
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    postgres::remove_template();
    mariadb::remove_template();
    let outcome = if required { "failed" } else { "ignored" };
    report(&missing, outcome).expect("the report of missing programs");
    conclusion.exit_code()
}

/// The number of tests that each missing program held up.
type Missing = Arc<Mutex<BTreeMap<Program, usize>>>;

fn count(missing: &Missing, program: Program) {
    let mut missing = missing.lock().expect("no counting panics");
    *missing.entry(program).or_default() += 1;
}

fn report(missing: &Missing, outcome: &str) -> io::Result<()> {
    let missing = missing.lock().expect("no counting panics");
    let mut out = io::stdout().lock();
    let mut file = match env::var_os(REPORT) {
        Some(path) => Some(fs::File::options().create(true).append(true).open(path)?),
        None => None,
    };
    for (program, count) in &*missing {
        writeln!(out, "tests {outcome} for want of {program}: {count}")?;
        if let Some(file) = &mut file {
            writeln!(file, "{count} {program}")?;
        }
    }
    Ok(())
}
