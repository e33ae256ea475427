//! Starts the processes that measure, one at a time.

use std::{
    env,
    io::{self, BufRead, BufReader, Write},
    process::{Child, ChildStdout, Command, Stdio},
};

use crate::{
    candidate::Candidate,
    stats::{Figure, Series},
};

/// The figures of a candidate with one number of sessions.
pub struct Crowd {
    pub bytes_per_session: f64,
    /// The time to read the same session again and again.
    pub hot: Figure,
    /// The time to read any session.
    pub random: Figure,
}

/// Measures `rounds` times, the candidates in turn.
///
/// # Errors
/// If a process can't be started or fails.
pub fn compare(candidates: &[Candidate], population: u32, rounds: usize) -> io::Result<Vec<Crowd>> {
    let mut processes = Vec::new();
    for candidate in candidates {
        processes.push(Process::start(*candidate, population)?);
    }
    let mut series = vec![[Series::default(), Series::default()]; candidates.len()];
    for _ in 0..rounds {
        for (process, [hot, random]) in processes.iter_mut().zip(&mut series) {
            hot.add(process.ask("hot")?);
            random.add(process.ask("random")?);
        }
    }
    let crowds = processes
        .iter()
        .zip(&series)
        .map(|(process, [hot, random])| Crowd {
            bytes_per_session: process.bytes_per_session,
            hot: hot.figure(),
            random: random.figure(),
        });
    Ok(crowds.collect())
}

struct Process {
    child: Child,
    answers: BufReader<ChildStdout>,
    bytes_per_session: f64,
}

impl Process {
    fn start(candidate: Candidate, population: u32) -> io::Result<Self> {
        let mut child = Command::new(env::current_exe()?)
            .args([
                "population-child",
                &candidate.key(),
                &population.to_string(),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().expect("it is a pipe");
        let mut process = Self {
            child,
            answers: BufReader::new(stdout),
            bytes_per_session: 0.0,
        };
        process.bytes_per_session = process.answer()?;
        Ok(process)
    }

    fn ask(&mut self, command: &str) -> io::Result<f64> {
        let stdin = self.child.stdin.as_mut().expect("it is a pipe");
        writeln!(stdin, "{command}")?;
        self.answer()
    }

    fn answer(&mut self) -> io::Result<f64> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        line.trim()
            .parse()
            .map_err(|_| io::Error::other(format!("a measuring process answered {line:?}")))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The process ends when its input ends.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
