//! Counts instructions and allocations per request, which don't depend on how busy the machine is.

pub mod allocations;
pub mod budget;
pub mod callgrind;
pub mod parts;
pub mod work;

use std::{error::Error, fs, io, path::Path};

use self::{
    allocations::Allocations,
    budget::{Budgets, Counts},
    callgrind::Profile,
};
use crate::{candidate::Candidate, scenario::Scenario};

const BUDGETS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/budgets.txt");

/// Returns the cost of `candidate` in a scenario above the identity layer.
///
/// # Errors
/// If a tool is missing or fails.
pub fn overhead(candidate: Candidate, scenario: Scenario) -> io::Result<Counts> {
    let instructions =
        |candidate| Profile::measure(candidate, scenario).map(|profile| profile.total());
    let allocations = Allocations::measure(candidate, scenario)?;
    let base = Allocations::measure(Candidate::Identity, scenario)?;
    Ok(Counts {
        instructions: instructions(candidate)? - instructions(Candidate::Identity)?,
        allocations: allocations.count - base.count,
        bytes: allocations.bytes - base.bytes,
    })
}

/// Returns the instructions of each part of a request above the identity layer, in the order of
/// [`parts::titles`].
///
/// # Errors
/// If valgrind is missing or fails.
pub fn parts(candidate: Candidate, scenario: Scenario) -> io::Result<Vec<f64>> {
    let profile = Profile::measure(candidate, scenario)?;
    let base = Profile::measure(Candidate::Identity, scenario)?;
    let differences = profile.above(&base);
    let sum = |title| {
        let of_part = differences
            .iter()
            .filter(|(function, _)| parts::of(function) == title);
        of_part.map(|(_, instructions)| instructions).sum()
    };
    Ok(parts::titles().map(sum).collect())
}

/// Prints our counts, and compares them with the budgets or, with `bless`, makes them the budgets.
///
/// # Errors
/// If a budget is exceeded, or a tool is missing or fails.
pub fn check(bless: bool) -> Result<(), Box<dyn Error>> {
    let path = Path::new(BUDGETS);
    let budgets = if bless && !path.exists() {
        Budgets(Vec::new())
    } else {
        Budgets::parse(&fs::read_to_string(path)?)?
    };
    println!(
        "{:<22} {:>22} {:>22} {:>22}",
        "above identity", "instructions", "allocations", "bytes"
    );
    println!(
        "{:<22} {:>22} {:>22} {:>22}",
        "", "now (budget)", "now (budget)", "now (budget)"
    );
    let mut measured = Vec::new();
    let mut excesses = Vec::new();
    for &scenario in Scenario::all() {
        let counts = overhead(Candidate::Kr, scenario)?;
        let budget = budgets.of(scenario);
        print_row(scenario, counts, budget);
        match budget {
            Some(budget) => excesses.extend(counts.excesses(scenario, budget)),
            None => excesses.push(format!("{}: no budget", scenario.key())),
        }
        measured.push((scenario, counts));
    }
    if bless {
        fs::write(path, Budgets(measured).render())?;
        return Ok(());
    }
    if excesses.is_empty() {
        return Ok(());
    }
    excesses.push("if that is meant: just bench-counts --bless".to_owned());
    Err(excesses.join("\n").into())
}

fn print_row(scenario: Scenario, counts: Counts, budget: Option<Counts>) {
    let cell = |count: f64, budget: Option<f64>| match budget {
        Some(budget) => format!("{count:.1} ({budget:.0})"),
        None => format!("{count:.1}"),
    };
    println!(
        "{:<22} {:>22} {:>22} {:>22}",
        scenario.key(),
        cell(
            counts.instructions,
            budget.map(|budget| budget.instructions)
        ),
        cell(counts.allocations, budget.map(|budget| budget.allocations)),
        cell(counts.bytes, budget.map(|budget| budget.bytes)),
    );
}

/// Prints where a scenario spends the instructions that the identity layer doesn't need.
///
/// # Errors
/// If valgrind is missing or fails.
pub fn print_profile(candidate: Candidate, scenario: Scenario, lines: usize) -> io::Result<()> {
    let profile = Profile::measure(candidate, scenario)?;
    let base = Profile::measure(Candidate::Identity, scenario)?;
    let total = profile.total() - base.total();
    println!(
        "{total:8.0}  {}, {}: instructions per request above the identity layer",
        candidate.title(),
        scenario.title()
    );
    for (function, instructions) in profile.above(&base).into_iter().take(lines) {
        println!("{instructions:8.0}  {function}");
    }
    Ok(())
}
