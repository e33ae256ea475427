//! The work that is counted.

use crate::{
    candidate::Candidate,
    drive::{Driver, Target},
    scenario::Scenario,
};

/// Enough that the housekeeping of a cache, which comes every few dozen requests, counts evenly.
pub const REQUESTS: usize = 2_048;

/// A router that is warm, and the request that it answers while we count.
pub struct Work {
    driver: Driver,
    target: Target,
}

impl Work {
    pub fn prepare(candidate: Candidate, scenario: Scenario) -> Self {
        let mut driver = Driver::new(|| candidate.router());
        let target = scenario.prepare(candidate, &mut driver);
        driver.repeat(&target, REQUESTS / 2);
        Self { driver, target }
    }

    /// Callgrind collects inside this function; see [`COUNTED`].
    #[inline(never)]
    pub fn counted(&mut self) {
        self.driver.repeat(&self.target, REQUESTS);
    }
}

/// Matches the symbol of [`Work::counted`].
pub const COUNTED: &str = "*::work::Work::counted";
