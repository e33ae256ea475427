//! Signals to processes.

use std::process::{Command, Stdio};

/// Sends a signal such as `TERM` to a process, and says whether it was there.
///
/// # Panics
/// If there is no `kill` to run.
pub fn send_signal(process: u32, signal: &str) -> bool {
    let status = Command::new("kill")
        .args(["-s", signal, &process.to_string()])
        .stderr(Stdio::null())
        .status();
    status.expect("kill").success()
}
