//! Writes the log to standard error. Standard output carries only the line that says where the
//! server listens.

use std::{
    io::{self, IsTerminal},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use tracing_subscriber::{EnvFilter, filter::Directive};

use crate::{args::LogFormat, error::StartError};

const DEFAULT: &str = "info";

/// Starts the log at the levels of `RUST_LOG`.
pub(crate) fn init(format: LogFormat) -> Result<(), StartError> {
    let wanted = std::env::var("RUST_LOG").unwrap_or_default();
    let wanted = if wanted.trim().is_empty() {
        DEFAULT
    } else {
        &wanted
    };
    let filter = EnvFilter::try_new(wanted).map_err(|_| wrong(wanted))?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    match format {
        LogFormat::Text => log.with_ansi(colored()).init(),
        LogFormat::Json => {
            let log = log.json().flatten_event(true);
            // A request has only one span.
            log.with_span_list(false).init();
        }
    }
    Ok(())
}

/// Whether the log has colors: on a terminal, unless `NO_COLOR` holds anything
/// (<https://no-color.org>).
fn colored() -> bool {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    io::stderr().is_terminal() && !unwanted
}

/// Names the directive of `RUST_LOG` that is wrong.
fn wrong(wanted: &str) -> StartError {
    let mut directives = wanted.split(',').map(str::trim);
    let wrong = directives.find(|text| text.parse::<Directive>().is_err());
    let why = format!(
        "has '{}', which is no directive; write it as in info,tower_kr_session=debug",
        wrong.unwrap_or(wanted)
    );
    StartError::option("RUST_LOG", why)
}

/// Permits one line a second of a kind that clients or an outage could repeat without end.
#[derive(Debug, Default)]
pub(crate) struct Limit(Mutex<Lines>);

#[derive(Debug, Default)]
struct Lines {
    last: Option<Instant>,
    suppressed: u64,
}

impl Limit {
    /// Returns how many lines were held back since the last one, or `None` if this one is held back
    /// too.
    pub(crate) fn permit(&self) -> Option<u64> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = lines
            .last
            .is_none_or(|last| last.elapsed() >= Duration::from_secs(1));
        if !due {
            lines.suppressed += 1;
            return None;
        }
        lines.last = Some(Instant::now());
        Some(std::mem::take(&mut lines.suppressed))
    }
}
