//! The report in `docs/benchmarks.md`.

mod chart;
mod machine;
mod sections;
mod table;
mod verdict;

use std::{error::Error, fs, path::Path};

pub use self::sections::Thoroughness;
use self::verdict::Verdict;
use crate::{population::POPULATIONS, timing::Effort};

const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs");

const INTRODUCTION: &str = "\
# Benchmarks

<!-- Written by `just bench`. -->

tower-kr-session beside other session layers, doing the same work in the same run. Requests go through an axum router as a tower
service in one process, on one thread, and bodies are collected; only the sections that say so use threads or sockets. A figure is
the best of several medians, and in parentheses stands how far the median of them all lies above it; the candidates take turns,
so that what the machine does meanwhile hits them all. *Identity* is a layer that does nothing. How it is
measured: [apps/session-bench](../apps/session-bench/README.md).

";

impl Thoroughness {
    /// For the report.
    pub const FULL: Self = Self {
        effort: Effort {
            rounds: 15,
            batches: 9,
            requests: 2_000,
        },
        rounds: 9,
        populations: &POPULATIONS,
    };

    /// To see that everything works.
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

/// Measures everything and writes the report and its chart.
///
/// # Errors
/// If a tool or a measuring process fails, or a file can't be written.
pub fn write(thoroughness: Thoroughness) -> Result<(), Box<dyn Error>> {
    let mut verdict = Verdict::default();
    let (requests, chart) = progress("requests", || {
        sections::requests(thoroughness, &mut verdict)
    });
    let sizes = progress("sizes", || sections::sizes(thoroughness, &mut verdict));
    let populations = progress("live sessions", || {
        sections::populations(thoroughness, &mut verdict)
    })?;
    let threads = progress("threads", || sections::threads(thoroughness, &mut verdict));
    let sockets = progress("sockets", || sections::sockets(thoroughness))?;
    let counted = progress("instructions", sections::counted)?;
    let parts = [
        "![Overhead of each session layer](benchmarks/requests.svg)\n".to_owned(),
        requests,
        verdict.render(),
        sizes,
        populations,
        threads,
        sockets,
        counted,
        format!("## Machine and versions\n\n{}", machine::describe()),
    ];
    let docs = Path::new(DOCS);
    fs::create_dir_all(docs.join("benchmarks"))?;
    fs::write(docs.join("benchmarks/requests.svg"), chart)?;
    fs::write(
        docs.join("benchmarks.md"),
        INTRODUCTION.to_owned() + &parts.join("\n"),
    )?;
    Ok(())
}

fn progress<R>(what: &str, measure: impl FnOnce() -> R) -> R {
    eprintln!("measuring {what} ...");
    measure()
}
