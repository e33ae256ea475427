//! The work whose instructions and allocations are counted.

use crate::{
    candidate::Candidate,
    drive::{Driver, Target},
    scenario::Scenario,
};

/// How many requests are counted: enough that the housekeeping of a cache, every few dozen
/// requests, counts evenly.
pub const REQUESTS: usize = 2_048;

/// A warm router, and the request that it answers while we count.
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

    /// Runs the counted requests: callgrind collects inside this function; see [`COUNTED`].
    #[inline(never)]
    pub fn counted(&mut self) {
        self.driver.repeat(&self.target, REQUESTS);
    }
}

/// A pattern for the symbol of [`Work::counted`].
pub const COUNTED: &str = "*::work::Work::counted";
