//! Writes the report in `docs/benchmarks.md`.

mod chart;
mod machine;
#[cfg(feature = "redis")]
mod redis;
mod sections;
#[cfg(feature = "sql")]
mod sql;
mod table;
mod verdict;

use std::{error::Error, fs, path::Path};

use clap::ValueEnum;

pub use self::sections::Thoroughness;
use self::verdict::Verdict;
use crate::{layouts::Layouts, population::POPULATIONS, timing::Effort};

const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs");

const INTRODUCTION: &str = "\
# Benchmarks

<!-- Written by `just bench`. -->

This report compares tower-kr-session with other session layers. All of them do the same work in the
same run. Requests go through an axum router as a tower service, in one process and on one thread,
and bodies are collected; only the sections that say so use threads or sockets.

A figure is the best of several medians. The percentage in parentheses says how far the median of
all of them lies above it. The candidates take turns, so that a busy machine slows all of them down.
The figures of a request, and of the size of a session, are means over six links of the program with
its functions in different orders, since their places alone move a figure by up to 30 ns. *Identity*
is a layer that does nothing. [apps/session-bench](../apps/session-bench/README.md) describes the
method, and [stores](stores.md#two-stores-in-memory) compares our two stores in memory. The
[last table](#limits-of-our-own) says which limits of our own this run keeps.

![Overhead of each session layer](benchmarks/requests.svg)
";

impl Thoroughness {
    /// The thoroughness of the report.
    pub const FULL: Self = Self {
        effort: Effort {
            rounds: 15,
            batches: 9,
            requests: 2_000,
        },
        rounds: 9,
        populations: &POPULATIONS,
    };

    /// A quick run, to see that everything works.
    pub const QUICK: Self = Self {
        effort: Effort {
            rounds: 2,
            batches: 3,
            requests: 500,
        },
        rounds: 2,
        populations: &[1_000, 10_000],
    };
}

/// A section of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Section {
    Requests,
    Sizes,
    Populations,
    Stores,
    Threads,
    #[cfg(feature = "redis")]
    Redis,
    #[cfg(feature = "sql")]
    Sql,
    Sockets,
    Counts,
}

/// The report so far.
#[derive(Default)]
struct Report {
    text: String,
    chart: String,
    verdict: Verdict,
}

impl Report {
    fn measure(
        &mut self,
        section: Section,
        thoroughness: Thoroughness,
        layouts: &Layouts,
    ) -> Result<(), Box<dyn Error>> {
        eprintln!("measuring {section:?} ...");
        let verdict = &mut self.verdict;
        self.text += &match section {
            Section::Requests => {
                let (text, chart) = sections::requests(thoroughness, layouts, verdict)?;
                self.chart = chart;
                text
            }
            Section::Sizes => sections::sizes(thoroughness, layouts, verdict)?,
            Section::Populations => sections::populations(thoroughness, verdict)?,
            Section::Stores => sections::stores(thoroughness),
            Section::Threads => sections::threads(thoroughness, verdict),
            #[cfg(feature = "redis")]
            Section::Redis => redis::section(thoroughness, verdict)?,
            #[cfg(feature = "sql")]
            Section::Sql => sql::section(thoroughness, verdict),
            Section::Sockets => sections::sockets(thoroughness)?,
            Section::Counts => sections::counted()?,
        };
        self.text.push('\n');
        Ok(())
    }
}

/// Measures one section and prints it.
///
/// # Errors
/// If a tool or a measuring process fails.
pub fn print(
    section: Section,
    thoroughness: Thoroughness,
    layouts: &Layouts,
) -> Result<(), Box<dyn Error>> {
    let mut report = Report::default();
    report.measure(section, thoroughness, layouts)?;
    let verdict = &report.verdict;
    println!("{}{}\n{}", report.text, verdict.peers(), verdict.limits());
    Ok(())
}

/// Measures everything and writes the report and its chart.
///
/// # Errors
/// If a tool or a measuring process fails, or a file can't be written.
pub fn write(thoroughness: Thoroughness, layouts: &Layouts) -> Result<(), Box<dyn Error>> {
    let load = machine::load();
    let mut report = Report::default();
    for section in Section::value_variants() {
        report.measure(*section, thoroughness, layouts)?;
    }
    let parts = [
        INTRODUCTION,
        &report.verdict.peers(),
        report.text.trim_end(),
        "",
        &report.verdict.limits(),
        &format!("## Machine and versions\n\n{}", machine::describe(&load)),
    ];
    let docs = Path::new(DOCS);
    fs::create_dir_all(docs.join("benchmarks"))?;
    fs::write(docs.join("benchmarks/requests.svg"), report.chart)?;
    fs::write(docs.join("benchmarks.md"), parts.join("\n"))?;
    Ok(())
}
