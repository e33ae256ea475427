//! Reads the allocations per request from the program that counts them.

use std::{env, io, process::Command};

use crate::{candidate::Candidate, scenario::Scenario};

/// The allocations and their bytes, per request.
#[derive(Clone, Copy)]
pub struct Allocations {
    pub count: f64,
    pub bytes: f64,
}

impl Allocations {
    /// # Errors
    /// If `session-allocs` was not built or fails.
    pub fn measure(candidate: Candidate, scenario: Scenario) -> io::Result<Self> {
        let counter = env::current_exe()?.with_file_name("session-allocs");
        let run = Command::new(&counter)
            .args([candidate.key(), scenario.key()])
            .output()
            .map_err(|error| {
                let message = format!("could not run {}: {error}", counter.display());
                io::Error::new(error.kind(), message)
            })?;
        let text = String::from_utf8_lossy(&run.stdout);
        let mut numbers = text.split_whitespace().filter_map(|part| part.parse().ok());
        match (numbers.next(), numbers.next()) {
            (Some(count), Some(bytes)) if run.status.success() => Ok(Self { count, bytes }),
            _ => Err(io::Error::other(format!(
                "{} failed: {text}{}",
                counter.display(),
                String::from_utf8_lossy(&run.stderr)
            ))),
        }
    }
}
