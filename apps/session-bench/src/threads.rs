//! Measures one thread and two, on many sessions and on a single hot one.

use std::{
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use clap::ValueEnum;

use crate::{
    candidate::Candidate,
    drive::{Driver, Target},
    scenario::Scenario,
    stats::{Figure, Series},
};

/// How many sessions each thread has where there are many.
const MANY: usize = 1_000;

const REQUESTS: u32 = 10_000;

/// The sessions that the threads use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Spread {
    /// Each thread uses its own thousand.
    Many,
    /// All threads use the same one.
    Hot,
}

/// The time per request of all threads together: half of it means twice the requests.
pub struct Scaling {
    pub one: Figure,
    pub two: Figure,
}

impl Scaling {
    /// Returns the requests per second of two threads, relative to one.
    pub fn factor(&self) -> f64 {
        self.one.best / self.two.best
    }
}

/// Measures `rounds` times, the candidates in turn.
pub fn compare(
    candidates: &[Candidate],
    scenario: Scenario,
    spread: Spread,
    rounds: usize,
) -> Vec<Scaling> {
    let mut series = vec![[Series::default(), Series::default()]; candidates.len()];
    for _ in 0..rounds {
        for (candidate, [one, two]) in candidates.iter().zip(&mut series) {
            let mut main = Driver::new(|| candidate.router());
            let mut targets = || targets(*candidate, &mut main, scenario, spread);
            let first = targets();
            let second = match spread {
                Spread::Many => targets(),
                Spread::Hot => first.clone(),
            };
            let mut drivers = [(main.fork(), first), (main.fork(), second)];
            one.add(run(&mut drivers[..1]));
            two.add(run(&mut drivers));
        }
    }
    series
        .iter()
        .map(|[one, two]| Scaling {
            one: one.figure(),
            two: two.figure(),
        })
        .collect()
}

fn targets(
    candidate: Candidate,
    driver: &mut Driver,
    scenario: Scenario,
    spread: Spread,
) -> Vec<Target> {
    let count = match spread {
        Spread::Many => MANY,
        Spread::Hot => 1,
    };
    (0..count)
        .map(|_| scenario.prepare(candidate, driver))
        .collect()
}

/// Returns the nanoseconds per request, over all threads.
fn run(drivers: &mut [(Driver, Vec<Target>)]) -> f64 {
    let threads = drivers.len();
    let start = Barrier::new(threads);
    let elapsed: Vec<Duration> = thread::scope(|scope| {
        let running: Vec<_> = drivers
            .iter_mut()
            .map(|(driver, targets)| {
                scope.spawn(|| {
                    driver.time(targets, REQUESTS / 10);
                    start.wait();
                    let start = Instant::now();
                    driver.time(targets, REQUESTS);
                    start.elapsed()
                })
            })
            .collect();
        let joined = running.into_iter().map(|thread| thread.join());
        joined.map(|elapsed| elapsed.expect("no panic")).collect()
    });
    let slowest = elapsed.into_iter().max().unwrap_or_default();
    slowest.as_secs_f64() * 1e9 / (f64::from(REQUESTS) * threads as f64)
}
