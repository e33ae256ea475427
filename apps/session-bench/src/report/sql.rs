//! The section of the report about SQL databases.

use super::{
    Thoroughness,
    table::{Table, thousands},
    verdict::Verdict,
};
use crate::{
    scenario::Scenario,
    sql::{Database, Place, Store, TASKS},
};

/// Reports requests per second.
pub(super) fn section(thoroughness: Thoroughness, verdict: &mut Verdict) -> String {
    let place = match Place::start() {
        Ok(place) => place,
        Err(missing) => return format!("## SQL\n\n{missing} is not installed.\n"),
    };
    let mut header = vec!["requests per second".to_owned()];
    for database in Database::ALL {
        let titles = Store::ALL.iter().map(|store| store.title());
        header.extend(titles.map(|title| format!("{}, {title}", database.title())));
    }
    let mut table = Table::new(header);
    let scenarios = [
        (Scenario::Read, Some(1.0)),
        (Scenario::Increment, Some(1.3)),
        (Scenario::ReadWrite, Some(1.0)),
        (Scenario::New, None),
    ];
    for (scenario, goal) in scenarios {
        let mut row = vec![scenario.title().to_owned()];
        for database in Database::ALL {
            let rounds = 2 * thoroughness.rounds;
            let comparison = place.compare(database, scenario, rounds);
            let [ours, theirs] = comparison.rates;
            let ratio = format!(" ({:.2})", comparison.ratio);
            row.extend([thousands(ours) + &ratio, thousands(theirs)]);
            let what = format!("{}, {}", database.title(), scenario.title());
            if let Some(goal) = goal {
                let goal_of = format!("{what}, relative to tower-sessions-sqlx-store");
                verdict.at_least(goal_of, comparison.ratio, goal);
            }
            verdict.compare(
                &format!("{what}, ns"),
                (Store::Kr.title(), 1e9 / ours),
                (Store::TowerSessions.title(), 1e9 / theirs),
            );
        }
        table.row(row);
    }
    format!(
        "## SQL\n\n{TASKS} requests at a time, each on its own session, of one client process with one \
         thread. PostgreSQL and MariaDB are on the same machine and flush each commit to the disk, as \
         is their default; the SQLite files are on the same disk, in WAL mode with `synchronous = NORMAL`. Each store has 10 connections. The two \
         take turns for less than a second each; the figures are medians, and in parentheses is the \
         median of our rate relative to the peer's in the same turn. Of two \
         overlapping requests of one session the peer loses one's change; ours loses none.\n\n{}",
        table.render(),
    )
}
