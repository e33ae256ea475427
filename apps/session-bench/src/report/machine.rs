//! Describes where and with what the figures were measured.

use std::{fs, process::Command, thread};

use time::OffsetDateTime;

use super::table::Table;

const LOCKFILE: &str = include_str!("../../Cargo.lock");

const CRATES: [&str; 7] = [
    "axum",
    "tokio",
    "tower-sessions",
    "tower-sessions-memory-store",
    "tower-sessions-moka-store",
    "tower-sessions-redis-store",
    "axum_session",
];

/// Returns a table of machine, versions, date and command.
pub fn describe(load: &str) -> String {
    let mut table = Table::new(["", ""]);
    table.row(["processor".to_owned(), processor()]);
    table.row(["system".to_owned(), system()]);
    table.row(["load of the machine before", load]);
    table.row(["compiler".to_owned(), compiler()]);
    for name in CRATES {
        let versions = versions(name);
        if !versions.is_empty() {
            table.row([name.to_owned(), versions.join(", ")]);
        }
    }
    table.row([
        "date".to_owned(),
        OffsetDateTime::now_utc().date().to_string(),
    ]);
    table.row(["command", "`just bench`"]);
    // Text, not numbers.
    table.render().replace("--:|", "---|")
}

/// Returns how many processes wanted a processor, on average over the last minute. More than 0
/// means noise in the figures.
pub fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}

fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("unknown", |(_, model)| model.trim());
    let cores = thread::available_parallelism().map_or(0, usize::from);
    format!("{model}, {cores} cores for this program")
}

fn system() -> String {
    let text = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = text
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))
        .unwrap_or("unknown");
    name.trim_matches('"').to_owned()
}

fn compiler() -> String {
    let output = Command::new("rustc").arg("--version").output();
    let version = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    version.unwrap_or_else(|_| "unknown".to_owned()) + ", release profile"
}

/// Returns the versions of a crate in our lockfile.
fn versions(name: &str) -> Vec<&'static str> {
    let head = format!("name = \"{name}\"\n");
    LOCKFILE
        .split("[[package]]\n")
        .filter_map(|package| package.strip_prefix(&head))
        .filter_map(|rest| rest.strip_prefix("version = \"")?.split('"').next())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_versions_in_the_lockfile() {
        assert!(versions("axum")[0].starts_with("0.8."));
        assert_eq!(versions("no such crate"), [""; 0]);
    }
}
