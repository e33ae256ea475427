//! The goals, whether they are met, and where a peer is better.

use super::table::{Table, thousands};
use crate::scenario::Scenario;

/// A smaller difference counts as none.
const MARGIN: f64 = 0.05;

/// The goals for our overhead above the identity layer, relative to that of tower-sessions 0.15
/// with its memory store: what it must be at most, and what it should be.
pub const fn targets(scenario: Scenario) -> Option<(f64, f64)> {
    match scenario {
        Scenario::UntouchedNoCookie => Some((0.30, 0.20)),
        Scenario::UntouchedCookie => Some((0.25, 0.15)),
        Scenario::Read => Some((0.40, 0.30)),
        Scenario::Increment => Some((0.27, 0.20)),
        Scenario::ReadWrite => Some((0.32, 0.22)),
        Scenario::New => Some((0.57, 0.45)),
        _ => None,
    }
}

/// Collects goals and comparisons while the tables are made.
#[derive(Default)]
pub struct Verdict {
    goals: Vec<Goal>,
    worse: Vec<String>,
}

struct Goal {
    what: String,
    reached: f64,
    bound: f64,
    at_most: bool,
}

impl Goal {
    fn is_reached(&self) -> bool {
        if self.at_most {
            self.reached <= self.bound
        } else {
            self.reached >= self.bound
        }
    }
}

impl Verdict {
    pub fn at_most(&mut self, what: impl Into<String>, reached: f64, bound: f64) {
        self.goal(what.into(), reached, bound, true);
    }

    pub fn at_least(&mut self, what: impl Into<String>, reached: f64, bound: f64) {
        self.goal(what.into(), reached, bound, false);
    }

    fn goal(&mut self, what: String, reached: f64, bound: f64, at_most: bool) {
        self.goals.push(Goal {
            what,
            reached,
            bound,
            at_most,
        });
    }

    /// Adds a comparison if the peer's figure is lower, and so better.
    pub fn compare(&mut self, what: &str, ours: f64, peer: &str, theirs: f64) {
        if ours > theirs * (1.0 + MARGIN) {
            let (ours, theirs) = (thousands(ours), thousands(theirs));
            self.worse.push(format!("{what}: {ours}, {peer} {theirs}"));
        }
    }

    pub fn render(&self) -> String {
        let mut text = String::from("## Where a peer is better\n\n");
        if self.worse.is_empty() {
            text += "Nowhere in this run.\n";
        } else {
            text += "By more than 5 %, ours first:\n\n";
            for line in &self.worse {
                text += &format!("- {line}\n");
            }
        }
        text += "\n## Goals\n\n";
        let mut table = Table::new(["goal", "reached", "bound", "met"]);
        for goal in &self.goals {
            let sign = if goal.at_most { "≤" } else { "≥" };
            table.row([
                goal.what.clone(),
                format!("{:.2}", goal.reached),
                format!("{sign} {}", goal.bound),
                if goal.is_reached() { "yes" } else { "**no**" }.to_owned(),
            ]);
        }
        text + &table.render()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_difference_is_none() {
        let mut verdict = Verdict::default();
        verdict.compare("read", 1_040.0, "peer", 1_000.0);
        assert!(verdict.render().contains("Nowhere"));
        verdict.compare("read", 1_200.0, "peer", 1_000.0);
        assert!(verdict.render().contains("- read: 1,200, peer 1,000\n"));
    }

    #[test]
    fn goals_are_met_or_not() {
        let mut verdict = Verdict::default();
        verdict.at_most("a", 0.3, 0.25);
        verdict.at_least("b", 1.8, 1.0);
        let text = verdict.render();
        assert!(text.contains("| a | 0.30 | ≤ 0.25 | **no** |"));
        assert!(text.contains("| b | 1.80 | ≥ 1 | yes |"));
    }
}
