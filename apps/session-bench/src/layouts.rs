//! Measures with the same program, linked several times with its functions in different orders.
//!
//! The place of a function decides with which others it shares cache lines and predictor entries.
//! That moves a figure by up to 30 ns from build to build, even that of the identity layer,
//! although the code that it runs is the same (Mytkowicz et al. 2009, "Producing Wrong Data Without
//! Doing Anything Obviously Wrong!"). So short times are means over several orders.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    candidate::Candidate,
    scenario::Scenario,
    stats::Figure,
    timing::{self, Effort},
};

/// The programs.
pub struct Layouts(Vec<PathBuf>);

impl Layouts {
    /// Finds the programs in a folder; without one, uses this program alone.
    ///
    /// # Errors
    /// If the folder can't be read or is empty.
    pub fn of(folder: Option<&Path>) -> io::Result<Self> {
        let Some(folder) = folder else {
            return Ok(Self(vec![env::current_exe()?]));
        };
        let mut programs = fs::read_dir(folder)?
            .map(|entry| Ok(entry?.path()))
            .collect::<io::Result<Vec<_>>>()?;
        if programs.is_empty() {
            let message = format!("no program in {}", folder.display());
            return Err(io::Error::other(message));
        }
        programs.sort();
        Ok(Self(programs))
    }

    /// Returns the time per request of each candidate, in the order given.
    ///
    /// # Errors
    /// If a process can't be started or fails.
    pub fn compare(
        &self,
        candidates: &[Candidate],
        scenario: Scenario,
        effort: Effort,
    ) -> io::Result<Vec<Figure>> {
        let few = effort.rounds.min(5);
        let effort = Effort {
            rounds: effort.rounds.div_ceil(self.0.len()).max(few),
            ..effort
        };
        let mut layouts = Vec::new();
        for program in &self.0 {
            layouts.push(ask(program, candidates, scenario, effort)?);
        }
        let figures = (0..candidates.len()).map(|index| {
            let figures: Vec<Figure> = layouts.iter().map(|figures| figures[index]).collect();
            Figure::mean(&figures)
        });
        Ok(figures.collect())
    }
}

/// Runs a process that measures.
fn ask(
    program: &Path,
    candidates: &[Candidate],
    scenario: Scenario,
    effort: Effort,
) -> io::Result<Vec<Figure>> {
    let Effort {
        rounds,
        batches,
        requests,
    } = effort;
    let output = Command::new(program)
        .args(["timed", &scenario.key()])
        .args([rounds, batches, requests as usize].map(|number| number.to_string()))
        .args(candidates.iter().map(|candidate| candidate.key()))
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let figures: Option<Vec<Figure>> = text.lines().map(Figure::parse).collect();
    match figures {
        Some(figures) if figures.len() == candidates.len() => Ok(figures),
        _ => Err(io::Error::other(format!(
            "{} answered {text:?} {}",
            program.display(),
            String::from_utf8_lossy(&output.stderr)
        ))),
    }
}

/// Measures in such a process, and prints a line for each candidate.
pub fn answer(candidates: &[Candidate], scenario: Scenario, effort: Effort) {
    let figures = timing::compare(candidates, effort, |candidate, driver| {
        scenario.prepare(candidate, driver)
    });
    for figure in figures {
        println!("{figure}");
    }
}
