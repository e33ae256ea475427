//! The section of the report about Redis.

use std::io;

use super::{
    Thoroughness,
    table::{Table, thousands},
    verdict::Verdict,
};
use crate::{
    redis::{self, Rates, Store, TASKS},
    scenario::Scenario,
};

/// Reports requests per second, commands, and the work of the server for them.
///
/// # Errors
/// If the server fails.
pub(super) fn section(thoroughness: Thoroughness, verdict: &mut Verdict) -> io::Result<String> {
    let mut header = vec!["requests per second (commands per request)".to_owned()];
    for store in Store::ALL {
        header.push(format!("{}, in sequence", store.title()));
        header.push(format!("{}, {TASKS} at a time", store.title()));
    }
    let mut table = Table::new(header);
    let mut busy = vec!["server, µs per request".to_owned()];
    busy.extend(Store::ALL.iter().map(|store| store.title().to_owned()));
    let mut busy = Table::new(busy);
    let scenarios = [
        (Scenario::UntouchedCookie, None),
        (Scenario::Read, Some(1.0)),
        (Scenario::Increment, Some(1.5)),
        (Scenario::ReadWrite, None),
        (Scenario::New, None),
    ];
    for (scenario, goal) in scenarios {
        let rounds = thoroughness.rounds.min(5);
        let Some(rates) = redis::compare(&Store::ALL, scenario, rounds)? else {
            return Ok("## Redis\n\n`redis-server` is not installed.\n".to_owned());
        };
        let mut row = vec![scenario.title().to_owned()];
        row.extend(rates.iter().flat_map(|rates| {
            let cell = |rate| format!("{} ({:.1})", thousands(rate), rates.commands);
            [cell(rates.sequential), cell(rates.concurrent)]
        }));
        table.row(row);
        let mut row = vec![scenario.title().to_owned()];
        row.extend(
            rates
                .iter()
                .map(|rates| format!("{:.1}", rates.server_micros)),
        );
        busy.row(row);
        let [ours, theirs]: [Rates; 2] = [rates[0], rates[1]];
        let factor = ours.concurrent / theirs.concurrent;
        let what = format!("Redis, {}", scenario.title());
        if let Some(goal) = goal {
            let goal_of =
                format!("{what}, {TASKS} at a time, relative to tower-sessions-redis-store");
            verdict.at_least(goal_of, factor, goal);
        }
        let titles = (Store::Kr.title(), Store::TowerSessions.title());
        let nanos = |rate: f64| 1e9 / rate;
        verdict.compare(
            &format!("{what}, in sequence, ns"),
            (titles.0, nanos(ours.sequential)),
            (titles.1, nanos(theirs.sequential)),
        );
        verdict.compare(
            &format!("{what}, {TASKS} at a time, ns"),
            (titles.0, nanos(ours.concurrent)),
            (titles.1, nanos(theirs.concurrent)),
        );
    }
    Ok(format!(
        "## Redis\n\nOne client process with one thread, and a server of its own on the same machine.\n\n{}\n\
         Processor time of the server with {TASKS} requests at a time:\n\n{}",
        table.render(),
        busy.render(),
    ))
}
