//! Turns noisy timings into figures: the best of several medians, and their spread.

use std::{fmt, time::Duration};

/// A figure in nanoseconds, with its spread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// The lowest median of any round: what the work costs on an undisturbed machine.
    pub best: f64,
    /// How far the median of all rounds is above the best one, relative to it.
    pub spread: f64,
}

impl Figure {
    /// Returns the mean of several figures of the same work.
    pub fn mean(figures: &[Self]) -> Self {
        let count = figures.len() as f64;
        Self {
            best: figures.iter().map(|figure| figure.best).sum::<f64>() / count,
            spread: figures.iter().map(|figure| figure.spread).sum::<f64>() / count,
        }
    }

    /// Reads what [`Display`](fmt::Display) writes.
    pub fn parse(text: &str) -> Option<Self> {
        let (best, spread) = text.split_once(' ')?;
        Some(Self {
            best: best.parse().ok()?,
            spread: spread.parse().ok()?,
        })
    }
}

/// Writes the two numbers, for another process to read.
impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.best, self.spread)
    }
}

/// The median of each round.
#[derive(Clone, Debug, Default)]
pub struct Series(Vec<f64>);

impl Series {
    /// Adds a round: the median of its batches.
    pub fn add_round(&mut self, batches: &[Duration]) {
        let nanos = batches.iter().map(Duration::as_secs_f64).map(|s| s * 1e9);
        self.add(median(nanos.collect()));
    }

    /// Adds the figure of a round.
    pub fn add(&mut self, nanos: f64) {
        self.0.push(nanos);
    }

    /// # Panics
    /// If there was no round.
    pub fn figure(&self) -> Figure {
        let best = self.0.iter().copied().fold(f64::INFINITY, f64::min);
        Figure {
            best,
            spread: median(self.0.clone()) / best - 1.0,
        }
    }
}

/// Returns the value in the middle.
///
/// # Panics
/// If there is none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slow_round_changes_nothing_but_the_spread() {
        let mut series = Series::default();
        for batches in [[5, 1, 3], [9, 8, 900], [4, 4, 4]] {
            series.add_round(&batches.map(Duration::from_nanos));
        }
        let figure = series.figure();
        assert!((figure.best - 3.0).abs() < 1e-9);
        assert!((figure.spread - 1.0 / 3.0).abs() < 1e-9);
    }
}
