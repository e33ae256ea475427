//! Writes the log to standard error. Standard output carries only the line that says where the
//! server listens.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use crate::{args::LogFormat, error::StartError};

const DEFAULT: &str =
    "info,sessions_demo=debug,tower_kr_session=debug,kr_cookie=debug,tower_http=debug";

/// Starts the log at the levels of `RUST_LOG`.
pub(crate) fn init(format: LogFormat) -> Result<(), StartError> {
    let wanted = std::env::var("RUST_LOG").unwrap_or_default();
    let wanted = if wanted.trim().is_empty() {
        DEFAULT
    } else {
        &wanted
    };
    let filter = EnvFilter::try_new(wanted)
        .map_err(|error| StartError::option("RUST_LOG", format!("is wrong: {error}")))?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    match format {
        LogFormat::Text => log.with_ansi(io::stderr().is_terminal()).init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    Ok(())
}
