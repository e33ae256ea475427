//! Measures the time per request in this process, side by side.

use std::time::Duration;

use crate::{
    candidate::Candidate,
    drive::{Driver, Target},
    stats::{Figure, Series},
};

/// How thoroughly to measure.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// How many rounds. Each runs every candidate, so that a drift of the machine hits them all.
    pub rounds: usize,
    /// How many batches of a candidate in a round.
    pub batches: usize,
    /// How many requests in a batch.
    pub requests: u32,
}

/// Returns the time per request of each candidate, in the order given. `prepare` starts the session
/// and returns the request.
pub fn compare(
    candidates: &[Candidate],
    effort: Effort,
    prepare: impl Fn(Candidate, &mut Driver) -> Target,
) -> Vec<Figure> {
    let mut series = vec![Series::default(); candidates.len()];
    for round in 0..effort.rounds {
        for turn in 0..candidates.len() {
            // No candidate always follows the same neighbour's cache misses.
            let index = (turn + round) % candidates.len();
            let candidate = candidates[index];
            // Each round has its own store, so that new sessions don't pile up.
            let mut driver = Driver::new(|| candidate.router());
            let target = [prepare(candidate, &mut driver)];
            driver.time(&target, effort.requests);
            let batches: Vec<Duration> = (0..effort.batches)
                .map(|_| driver.time(&target, effort.requests))
                .collect();
            series[index].add_round(&batches);
        }
    }
    series.iter().map(Series::figure).collect()
}
