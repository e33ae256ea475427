//! The process that holds the sessions. It answers each line on its standard input, `hot` or
//! `random`, with the nanoseconds of a read.

use std::{
    fs,
    io::{self, BufRead, Write},
    time::Duration,
};

use axum::http::{HeaderValue, Uri};

use crate::{
    candidate::Candidate,
    drive::{Driver, Target},
    scenario::{cookie_without_session, start},
};

/// How many reads make a batch.
const REQUESTS: u32 = 2_000;

/// Prints the bytes of memory per session, then answers lines until its input ends.
///
/// # Errors
/// If the pipes to the parent break.
pub fn run(candidate: Candidate, population: u32) -> io::Result<()> {
    let mut driver = Driver::new(|| candidate.router());
    let mut session = || {
        if candidate.keeps_sessions() {
            start(&mut driver, "/new")
        } else {
            cookie_without_session()
        }
    };
    let mut cookies = Cookies::new(&session(), population);
    let before = resident_bytes()?;
    for index in 0..population {
        cookies.keep(index, &session());
    }
    let grown = resident_bytes()?.saturating_sub(before);
    println!("{}", grown as f64 / f64::from(population));

    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for line in io::stdin().lock().lines() {
        let targets: Vec<Target> = match line?.as_str() {
            "hot" => vec![cookies.target(population / 2)],
            "random" => (0..REQUESTS)
                .map(|_| cookies.target(random.below(population)))
                .collect(),
            other => return Err(io::Error::other(format!("unknown command {other:?}"))),
        };
        let elapsed: Duration = driver.time(&targets, REQUESTS);
        println!("{}", elapsed.as_secs_f64() * 1e9);
        io::stdout().flush()?;
    }
    Ok(())
}

/// Cookies side by side in memory that is mapped before the sessions start.
struct Cookies {
    length: usize,
    bytes: Vec<u8>,
}

impl Cookies {
    fn new(example: &HeaderValue, population: u32) -> Self {
        let length = example.len();
        Self {
            length,
            // Not zero: such pages would be mapped only at the first write.
            bytes: vec![b'.'; length * population as usize],
        }
    }

    fn keep(&mut self, index: u32, cookie: &HeaderValue) {
        let start = index as usize * self.length;
        self.bytes[start..start + self.length].copy_from_slice(cookie.as_bytes());
    }

    fn target(&self, index: u32) -> Target {
        let start = index as usize * self.length;
        let cookie = HeaderValue::from_bytes(&self.bytes[start..start + self.length]);
        Target::new(
            Uri::from_static("/read"),
            Some(cookie.expect("it was a header before")),
        )
    }
}

/// A xorshift generator, good enough to miss caches.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % u64::from(bound)) as u32
    }
}

/// Returns the resident memory of this process.
fn resident_bytes() -> io::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.map(|kib| kib * 1024)
        .ok_or_else(|| io::Error::other("no VmRSS in /proc/self/status"))
}
