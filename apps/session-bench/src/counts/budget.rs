//! Budgets: the counts that a change may not exceed, in a file under version control.

use std::fmt::Write;

use crate::scenario::Scenario;

/// How far a count may be above its budget.
const TOLERANCE: f64 = 0.05;

/// The cost of one request above the identity layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Counts {
    pub instructions: f64,
    pub allocations: f64,
    pub bytes: f64,
}

impl Counts {
    const NAMES: [&str; 3] = ["instructions", "allocations", "bytes allocated"];

    /// The housekeeping of a cache follows its clock, so this many allocations are no change.
    const SLACK: [f64; 3] = [0.0, 0.1, 8.0];

    const fn all(self) -> [f64; 3] {
        [self.instructions, self.allocations, self.bytes]
    }

    /// Returns what is over the budget, in one sentence each.
    pub fn excesses(self, scenario: Scenario, budget: Self) -> Vec<String> {
        let mut excesses = Vec::new();
        for (index, (count, budget)) in self.all().into_iter().zip(budget.all()).enumerate() {
            if count > budget * (1.0 + TOLERANCE) + Self::SLACK[index] {
                excesses.push(format!(
                    "{}: {count:.1} {} per request above the identity layer, {:.1} % over the budget of {budget:.1}",
                    scenario.key(),
                    Self::NAMES[index],
                    (count / budget - 1.0) * 100.0,
                ));
            }
        }
        excesses
    }
}

/// The budget of each scenario.
#[derive(Debug, PartialEq)]
pub struct Budgets(pub Vec<(Scenario, Counts)>);

impl Budgets {
    /// # Errors
    /// If a line is not a scenario with three numbers.
    pub fn parse(text: &str) -> Result<Self, String> {
        let lines = text.lines().map(str::trim);
        let rows = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        rows.map(parse_row).collect::<Result<_, _>>().map(Self)
    }

    pub fn of(&self, scenario: Scenario) -> Option<Counts> {
        let found = self.0.iter().find(|(named, _)| *named == scenario);
        found.map(|(_, counts)| *counts)
    }

    pub fn render(&self) -> String {
        let mut text = String::from(
            "# What a request costs above the identity layer. `just bench-counts` fails when a count is over its budget by 5 %;\n\
             # `just bench-counts --bless` writes the counts of now.\n\
             # scenario             instructions  allocations     bytes\n",
        );
        for (scenario, counts) in &self.0 {
            let [instructions, allocations, bytes] = counts.all();
            writeln!(
                text,
                "{:<22} {instructions:>12.0} {allocations:>12.2} {bytes:>9.0}",
                scenario.key()
            )
            .expect("a string takes everything");
        }
        text
    }
}

fn parse_row(row: &str) -> Result<(Scenario, Counts), String> {
    let bad = || format!("not a scenario with three numbers: {row:?}");
    let mut parts = row.split_whitespace();
    let name = parts.next().ok_or_else(bad)?;
    let scenario = Scenario::all()
        .iter()
        .find(|scenario| scenario.key() == name);
    let numbers: Vec<f64> = parts.map_while(|part| part.parse().ok()).collect();
    match (scenario, &numbers[..]) {
        (Some(scenario), &[instructions, allocations, bytes]) => Ok((
            *scenario,
            Counts {
                instructions,
                allocations,
                bytes,
            },
        )),
        _ => Err(bad()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: Counts = Counts {
        instructions: 1_000.0,
        allocations: 3.0,
        bytes: 500.0,
    };

    #[test]
    fn five_percent_more_pass_and_six_do_not() {
        let counts = |instructions| Counts {
            instructions,
            ..BUDGET
        };
        assert_eq!(counts(1_050.0).excesses(Scenario::Read, BUDGET), [""; 0]);
        assert_eq!(
            counts(1_060.0).excesses(Scenario::Read, BUDGET),
            [
                "read: 1060.0 instructions per request above the identity layer, 6.0 % over the budget of 1000.0"
            ]
        );
    }

    #[test]
    fn the_file_reads_back() {
        let budgets = Budgets(
            Scenario::all()
                .iter()
                .map(|scenario| (*scenario, BUDGET))
                .collect(),
        );
        assert_eq!(Budgets::parse(&budgets.render()), Ok(budgets));
        assert!(Budgets::parse("read 1 2").is_err());
        assert!(Budgets::parse("reed 1 2 3").is_err());
    }
}
