//! Measures the same router over a socket: behind `axum::serve`, with `wrk` as the client.

use std::{
    env,
    io::{self, BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use crate::{candidate::Candidate, drive::Driver, scenario::Scenario};

const CONNECTIONS: &str = "32";
const SECONDS: &str = "3s";

/// The figures of `wrk` for a server.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Load {
    pub requests_per_second: f64,
    pub median_latency: String,
    pub p99_latency: String,
}

/// Prints the port and the cookie of a session, and serves a candidate on one thread until the
/// process is ended.
///
/// # Errors
/// If no port is free.
pub fn serve(candidate: Candidate, scenario: Scenario) -> io::Result<()> {
    let mut driver = Driver::new(|| candidate.router());
    let target = scenario.prepare(candidate, &mut driver);
    driver.serve(|address| {
        let cookie = target.cookie().and_then(|cookie| cookie.to_str().ok());
        println!("{address} {} {}", target.path(), cookie.unwrap_or(""));
    })
}

/// Returns the best of `rounds` for each candidate; the candidates take turns. Returns `None` if
/// there is no `wrk`.
///
/// # Errors
/// If a server can't be started or `wrk` fails.
pub fn compare(
    candidates: &[Candidate],
    scenario: Scenario,
    rounds: usize,
) -> io::Result<Option<Vec<Load>>> {
    if Command::new("wrk").arg("--version").output().is_err() {
        return Ok(None);
    }
    let mut best = vec![Load::default(); candidates.len()];
    for _ in 0..rounds {
        for (candidate, best) in candidates.iter().zip(&mut best) {
            let load = Server::start(*candidate, scenario)?.load()?;
            if load.requests_per_second > best.requests_per_second {
                *best = load;
            }
        }
    }
    Ok(Some(best))
}

struct Server {
    child: Child,
    url: String,
    cookie: String,
}

impl Server {
    fn start(candidate: Candidate, scenario: Scenario) -> io::Result<Self> {
        let mut child = Command::new(env::current_exe()?)
            .args(["serve", &candidate.key(), &scenario.key()])
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().expect("it is a pipe");
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let mut parts = line.trim_end().splitn(3, ' ');
        let mut part = || parts.next().unwrap_or_default().to_owned();
        Ok(Self {
            child,
            url: format!("http://{}{}", part(), part()),
            cookie: part(),
        })
    }

    fn load(&self) -> io::Result<Load> {
        let output = Command::new("wrk")
            .args([
                "--threads",
                "1",
                "--connections",
                CONNECTIONS,
                "--duration",
                SECONDS,
            ])
            .arg("--latency")
            .args(["--header", &format!("Cookie: {}", self.cookie)])
            .arg(&self.url)
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        parse(&text).ok_or_else(|| io::Error::other(format!("wrk: {text}")))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads the output of `wrk`. Returns `None` if it can't be read, or a request failed.
fn parse(text: &str) -> Option<Load> {
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(name));
        line.map(|rest| rest.trim().to_owned())
    };
    if value("Non-2xx or 3xx responses:").is_some() || value("Socket errors:").is_some() {
        return None;
    }
    Some(Load {
        requests_per_second: value("Requests/sec:")?.parse().ok()?,
        median_latency: value("50%")?,
        p99_latency: value("99%")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
Running 3s test @ http://127.0.0.1:3000/read
  Latency Distribution
     50%  171.00us
     75%  180.00us
     99%  401.00us
  100 requests in 3.00s, 1.00MB read
Requests/sec:  98765.43
Transfer/sec:      1.00MB
";

    #[test]
    fn reads_what_wrk_prints() {
        let load = parse(OUTPUT).unwrap();
        assert!((load.requests_per_second - 98_765.43).abs() < 1e-6);
        assert_eq!(
            (load.median_latency, load.p99_latency),
            ("171.00us".into(), "401.00us".into())
        );
        assert_eq!(
            parse(&format!("{OUTPUT}  Non-2xx or 3xx responses: 3\n")),
            None
        );
    }
}
