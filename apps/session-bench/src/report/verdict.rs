//! The limits of our own, whether they are kept, and where a peer is better.

use super::table::{Table, thousands};
use crate::scenario::Scenario;

/// What lies behind the rows where a peer is better.
const WHY: &str = "
Why, in short: a write of ours checks the secret, the deadlines and what other requests changed
meanwhile, and a peer's writes the whole session over what is there.

- Redis does these checks in a script, which costs the server about twice a `SET`. A new session is a
  script too, and a read fetches a hash of fields where the peer's fetches one text.
- SQL does them in the condition of the `UPDATE`, and a lost race is tried again under a lock.
- Behind `VersionedStore` (moka) the whole record is encoded for each write, and the calls of one
  session take turns. Our moka store has two bounded shares in this comparison, the peer's has no
  bound.
";

/// What the limits are.
const LIMITS: &str = "## Limits of our own

How large this project lets these figures be, or how small, so that a slower version is noticed.
*Overhead* is our time above the identity layer, divided by that of tower-sessions 0.15 with its
memory store, or of 0.14 with its store on moka: 0.5 is half of it. Of Redis and of SQL, our requests
per second are divided by the peer's. A **no** is a limit that this run is beyond.

";

/// A smaller difference counts as none.
const MARGIN: f64 = 0.05;

/// The limit of our overhead above the identity layer, relative to that of tower-sessions 0.15 with
/// its memory store.
pub const fn limit(scenario: Scenario) -> Option<f64> {
    match scenario {
        Scenario::UntouchedNoCookie => Some(0.38),
        Scenario::UntouchedCookie => Some(0.25),
        Scenario::Read => Some(0.48),
        Scenario::Increment => Some(0.30),
        Scenario::ReadWrite => Some(0.40),
        Scenario::New => Some(0.60),
        _ => None,
    }
}

/// The limit of our overhead with the store on moka, relative to that of tower-sessions on its own.
pub const MOKA_LIMIT: f64 = 0.9;

/// Collects limits and comparisons while the tables are made.
#[derive(Default)]
pub struct Verdict {
    limits: Vec<Limit>,
    worse: Vec<String>,
}

struct Limit {
    what: String,
    figure: f64,
    limit: f64,
    at_most: bool,
}

impl Limit {
    fn is_kept(&self) -> bool {
        if self.at_most {
            self.figure <= self.limit
        } else {
            self.figure >= self.limit
        }
    }
}

impl Verdict {
    pub fn at_most(&mut self, what: impl Into<String>, figure: f64, limit: f64) {
        self.limit(what.into(), figure, limit, true);
    }

    pub fn at_least(&mut self, what: impl Into<String>, figure: f64, limit: f64) {
        self.limit(what.into(), figure, limit, false);
    }

    fn limit(&mut self, what: String, figure: f64, limit: f64, at_most: bool) {
        self.limits.push(Limit {
            what,
            figure,
            limit,
            at_most,
        });
    }

    /// Adds a comparison of two named figures if the peer's is lower, and so better.
    pub fn compare(&mut self, what: &str, ours: (&str, f64), peer: (&str, f64)) {
        if ours.1 > peer.1 * (1.0 + MARGIN) {
            let figure = |(name, figure)| format!("{name} {}", thousands(figure));
            self.worse
                .push(format!("{what}: {}, {}", figure(ours), figure(peer)));
        }
    }

    /// Says where a peer is better.
    pub fn peers(&self) -> String {
        let mut text = String::from("## Where a peer is better\n\n");
        if self.worse.is_empty() {
            text += "Nowhere in this run.\n";
        } else {
            text += "By more than 5 %:\n\n";
            for line in &self.worse {
                text += &format!("- {line}\n");
            }
            text += WHY;
        }
        text
    }

    /// Says which limits are kept.
    pub fn limits(&self) -> String {
        let mut table = Table::new(["figure", "this run", "limit", "kept"]);
        for limit in &self.limits {
            let sign = if limit.at_most { "≤" } else { "≥" };
            table.row([
                limit.what.clone(),
                format!("{:.2}", limit.figure),
                format!("{sign} {}", limit.limit),
                if limit.is_kept() { "yes" } else { "**no**" }.to_owned(),
            ]);
        }
        format!("{LIMITS}{}", table.render())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_difference_is_none() {
        let mut verdict = Verdict::default();
        verdict.compare("read", ("ours", 1_040.0), ("peer", 1_000.0));
        assert!(verdict.peers().contains("Nowhere"));
        verdict.compare("read", ("ours", 1_200.0), ("peer", 1_000.0));
        let text = verdict.peers();
        assert!(text.contains("- read: ours 1,200, peer 1,000\n"));
    }

    #[test]
    fn limits_are_kept_or_not() {
        let mut verdict = Verdict::default();
        verdict.at_most("a", 0.3, 0.25);
        verdict.at_least("b", 1.8, 1.0);
        let text = verdict.limits();
        assert!(text.contains("| a | 0.30 | ≤ 0.25 | **no** |"));
        assert!(text.contains("| b | 1.80 | ≥ 1 | yes |"));
    }
}
