//! Measures sessions in Redis: requests per second, in sequence and 64 at a time, and commands per
//! request.

mod server;
mod stores;

use std::{
    io,
    time::{Duration, Instant},
};

use self::server::Server;
pub use self::stores::Store;
use crate::{
    drive::{Driver, Target},
    scenario::Scenario,
};

/// How many requests wait for Redis at the same time.
pub const TASKS: usize = 64;

/// Roughly how long a measurement takes.
const REQUESTS: u32 = 16_000;

/// How many requests have their commands counted.
const WATCHED: u32 = 50;

/// The figures of a store.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rates {
    /// Requests per second, in sequence.
    pub sequential: f64,
    /// Requests per second with [`TASKS`] at a time, each on its own session.
    pub concurrent: f64,
    /// Commands that the store sends for a request.
    pub commands: f64,
    /// Processor time of the server for a request, in microseconds.
    pub server_micros: f64,
}

/// Returns the best of `rounds` for each store; the stores take turns. Returns `None` if there is
/// no `redis-server`.
///
/// # Errors
/// If the server fails.
pub fn compare(
    stores: &[Store],
    scenario: Scenario,
    rounds: usize,
) -> io::Result<Option<Vec<Rates>>> {
    let Some(server) = Server::start()? else {
        return Ok(None);
    };
    let mut rates = vec![Rates::default(); stores.len()];
    for _ in 0..rounds {
        for (store, best) in stores.iter().zip(&mut rates) {
            let mut driver = Driver::connect(store.router(&server.url()));
            let targets: Vec<Target> = (0..TASKS).map(|_| scenario.target(&mut driver)).collect();
            let per_second = |took: Duration| took.as_secs_f64().recip();
            driver.time(&targets, REQUESTS / 20);
            let sequential = driver.time(&targets, REQUESTS / 8);
            best.sequential = best.sequential.max(per_second(sequential));
            let before = server.processor_time()?;
            let concurrent = per_second(driver.time_concurrently(&targets, REQUESTS));
            if concurrent > best.concurrent {
                let busy = server.processor_time()? - before;
                best.server_micros = busy.as_secs_f64() * 1e6 / f64::from(REQUESTS);
                best.concurrent = concurrent;
            }
            let commands = server.watch(|| {
                driver.time(&targets, WATCHED);
            })?;
            best.commands = commands as f64 / f64::from(WATCHED);
        }
    }
    Ok(Some(rates))
}

/// Sends overlapping requests for some time, and prints the use of the processors.
///
/// # Errors
/// If there is no `redis-server`, or it fails.
pub fn spin(store: Store, scenario: Scenario, how_long: Duration) -> io::Result<()> {
    let server = Server::start()?.ok_or_else(|| io::Error::other("no redis-server"))?;
    let mut driver = Driver::connect(store.router(&server.url()));
    let targets: Vec<Target> = (0..TASKS).map(|_| scenario.target(&mut driver)).collect();
    let (ours, theirs) = (server::processor_time("self")?, server.processor_time()?);
    let (start, mut requests, mut best) = (Instant::now(), 0_u32, Duration::MAX);
    while start.elapsed() < how_long {
        best = best.min(driver.time_concurrently(&targets, REQUESTS));
        requests += REQUESTS;
    }
    let micros = |time: Duration| time.as_secs_f64() * 1e6 / f64::from(requests);
    println!(
        "per request: {best:.2?} at best, {:.2} µs, of the client's processor {:.2} µs, of the server's {:.2} µs",
        micros(start.elapsed()),
        micros(server::processor_time("self")? - ours),
        micros(server.processor_time()? - theirs),
    );
    Ok(())
}
