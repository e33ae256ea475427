//! Counts instructions per request with valgrind's callgrind.

use std::{
    collections::{BTreeMap, HashMap},
    env, fs, io,
    process::Command,
};

use super::work::{COUNTED, REQUESTS};
use crate::{candidate::Candidate, scenario::Scenario};

/// The instructions of a scenario, by function.
pub struct Profile {
    /// The instructions of each function itself, per request.
    pub functions: BTreeMap<String, f64>,
}

impl Profile {
    /// Runs this program under callgrind while it answers the requests.
    ///
    /// # Errors
    /// If valgrind is missing or fails.
    pub fn measure(candidate: Candidate, scenario: Scenario) -> io::Result<Self> {
        let output =
            env::temp_dir().join(format!("session-bench.{}.callgrind", std::process::id()));
        let run = Command::new("valgrind")
            .args([
                "--tool=callgrind",
                "--compress-strings=no",
                "--compress-pos=no",
            ])
            .arg(format!("--toggle-collect={COUNTED}"))
            .arg(format!("--callgrind-out-file={}", output.display()))
            .arg(env::current_exe()?)
            .args(["counted", &candidate.key(), &scenario.key()])
            .output()
            .map_err(|error| {
                io::Error::new(error.kind(), format!("could not run valgrind: {error}"))
            })?;
        if !run.status.success() {
            let message = String::from_utf8_lossy(&run.stderr).into_owned();
            return Err(io::Error::other(message));
        }
        let text = fs::read_to_string(&output)?;
        fs::remove_file(&output)?;
        Ok(Self {
            functions: parse(&text)
                .into_iter()
                .map(|(name, instructions)| (name, instructions as f64 / REQUESTS as f64))
                .collect(),
        })
    }

    pub fn total(&self) -> f64 {
        self.functions.values().sum()
    }

    /// Returns how many more (or fewer) instructions of each function this profile has than `base`,
    /// the largest difference first.
    pub fn above<'a>(&'a self, base: &'a Self) -> Vec<(&'a str, f64)> {
        let names = self.functions.keys().chain(base.functions.keys());
        let of = |profile: &Self, name| profile.functions.get(name).copied().unwrap_or(0.0);
        let mut differences: Vec<_> = names
            .map(|name| (name.as_str(), of(self, name) - of(base, name)))
            .collect();
        differences.sort_by(|(a, x), (b, y)| y.total_cmp(x).then_with(|| a.cmp(b)));
        differences.dedup();
        differences
    }
}

/// Sums the cost of each function itself. A cost line is `line instructions`; the one after
/// `calls=` is the callee's.
fn parse(text: &str) -> HashMap<String, u64> {
    let mut costs = HashMap::new();
    let mut function = "";
    let mut is_call = false;
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("fn=") {
            function = name;
        } else if line.starts_with("calls=") {
            is_call = true;
        } else if line.starts_with(|first: char| first.is_ascii_digit()) {
            let instructions = line.split(' ').nth(1).and_then(|cost| cost.parse().ok());
            if !std::mem::take(&mut is_call) {
                *costs.entry(function.to_owned()).or_default() += instructions.unwrap_or(0);
            }
        }
    }
    costs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_of_calls_belong_to_the_callee() {
        let text = "events: Ir\nfn=main\n1 10\ncfn=work\ncalls=2 7\n1 500\n2 5\n\nfn=work\n7 500\ntotals: 515\n";
        let costs = parse(text);
        assert_eq!((costs["main"], costs["work"]), (15, 500));
    }
}
