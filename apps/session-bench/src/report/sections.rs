//! The sections of the report: each measures and returns its text.

use std::{error::Error, io};

use super::{
    chart::{self, Group},
    table::{Table, nanos, thousands},
    verdict::{Verdict, targets},
};
use crate::{
    candidate::Candidate,
    counts,
    layouts::Layouts,
    population,
    scenario::Scenario,
    stats::Figure,
    tcp,
    threads::{self, Spread},
    timing::Effort,
};

/// How often everything is measured.
#[derive(Clone, Copy)]
pub struct Thoroughness {
    pub effort: Effort,
    /// How many rounds for figures that take longer: populations, threads, sockets.
    pub rounds: usize,
    pub populations: &'static [u32],
}

/// The peer with which the goals compare us.
const PEER: Candidate = Candidate::TowerSessions;

/// The candidates in the tables of sessions: the identity layer, ours, the peers.
fn contenders() -> Vec<Candidate> {
    let mut contenders = vec![Candidate::Identity];
    contenders.extend(Candidate::with_sessions());
    contenders
}

fn titles(first: &str, candidates: &[Candidate]) -> Vec<String> {
    let mut titles = vec![first.to_owned()];
    titles.extend(
        candidates
            .iter()
            .map(|candidate| candidate.title().to_owned()),
    );
    titles
}

/// Returns the figure of one candidate.
fn of<'a, T>(candidates: &[Candidate], figures: &'a [T], candidate: Candidate) -> &'a T {
    let index = candidates.iter().position(|other| *other == candidate);
    &figures[index.expect("it is one of those that were measured")]
}

/// Returns our overhead relative to the peer's.
fn ratio(candidates: &[Candidate], figures: &[Figure]) -> f64 {
    let best = |candidate| of(candidates, figures, candidate).best;
    (best(Candidate::Kr) - best(Candidate::Identity)) / (best(PEER) - best(Candidate::Identity))
}

fn compare_with_peers(
    verdict: &mut Verdict,
    what: &str,
    candidates: &[Candidate],
    figures: &[Figure],
) {
    let ours = of(candidates, figures, Candidate::Kr).best;
    for (candidate, figure) in candidates.iter().zip(figures) {
        if candidate.keeps_sessions() && *candidate != Candidate::Kr {
            verdict.compare(&format!("{what}, ns"), ours, candidate.title(), figure.best);
        }
    }
}

/// Measures a request on a session with one small value, in all candidates. Returns its text and
/// its chart.
///
/// # Errors
/// If a measuring process fails.
pub fn requests(
    thoroughness: Thoroughness,
    layouts: &Layouts,
    verdict: &mut Verdict,
) -> io::Result<(String, String)> {
    let candidates = Candidate::all();
    let mut times = Table::new(titles("", candidates));
    let mut ratios = Table::new(["", "ratio", "must", "wish"]);
    let mut groups = Vec::new();
    for scenario in Scenario::SMALL {
        let figures = layouts.compare(candidates, scenario, thoroughness.effort)?;
        let mut row = vec![scenario.title().to_owned()];
        row.extend(figures.iter().copied().map(nanos));
        times.row(row);
        let ratio = ratio(candidates, &figures);
        if let Some((must, wish)) = targets(scenario) {
            ratios.row([
                scenario.title().to_owned(),
                format!("{ratio:.2}"),
                format!("{must:.2}"),
                format!("{wish:.2}"),
            ]);
            verdict.at_most(format!("overhead, {}", scenario.title()), ratio, must);
        }
        compare_with_peers(verdict, scenario.title(), candidates, &figures);
        let identity = of(candidates, &figures, Candidate::Identity).best;
        groups.push(Group {
            title: scenario.title().to_owned(),
            values: candidates
                .iter()
                .zip(&figures)
                .filter(|(candidate, _)| candidate.keeps_sessions())
                .map(|(_, figure)| (figure.best - identity).max(0.0))
                .collect(),
        });
    }
    let series: Vec<&str> = Candidate::with_sessions().map(Candidate::title).collect();
    let chart = chart::draw(
        "Overhead of the session layer, ns per request",
        &series,
        &groups,
    );
    let text = format!(
        "## A request\n\nNanoseconds per request through the router, with one small value in the session.\n\n{}\n\
         Overhead above the identity layer, ours relative to tower-sessions 0.15 with its memory store:\n\n{}",
        times.render(),
        ratios.render(),
    );
    Ok((text, chart))
}

/// Measures one value of a session that has more of them.
///
/// # Errors
/// If a measuring process fails.
pub fn sizes(
    thoroughness: Thoroughness,
    layouts: &Layouts,
    verdict: &mut Verdict,
) -> io::Result<String> {
    let candidates = contenders();
    let mut table = Table::new(titles("", &candidates));
    let mut measured = Vec::new();
    for scenario in Scenario::SIZES {
        let figures = layouts.compare(&candidates, scenario, thoroughness.effort)?;
        let mut row = vec![scenario.title().to_owned()];
        row.extend(figures.iter().copied().map(nanos));
        table.row(row);
        compare_with_peers(verdict, scenario.title(), &candidates, &figures);
        measured.push((scenario, figures));
    }
    let best = |wanted: Scenario, candidate| {
        let found = measured.iter().find(|(scenario, _)| *scenario == wanted);
        of(&candidates, &found.expect("it was measured").1, candidate).best
    };
    let ours = |scenario| best(scenario, Candidate::Kr);
    verdict.at_most(
        "read 1 of 100, relative to read 1 of 1",
        ours(Scenario::ReadOf100) / ours(Scenario::ReadOf1),
        1.10,
    );
    let write = Scenario::WriteOf100;
    let overhead = |candidate| best(write, candidate) - best(write, Candidate::Identity);
    verdict.at_most(
        "overhead, write 1 of 100",
        overhead(Candidate::Kr) / overhead(PEER),
        0.15,
    );
    Ok(format!(
        "## The size of a session\n\nNanoseconds per request that reads or writes one text of 100 bytes.\n\n{}",
        table.render()
    ))
}

/// Measures many live sessions.
///
/// # Errors
/// If a measuring process fails.
pub fn populations(thoroughness: Thoroughness, verdict: &mut Verdict) -> io::Result<String> {
    let candidates = contenders();
    let keepers: Vec<Candidate> = Candidate::with_sessions().collect();
    let mut memory = Table::new(titles("live sessions", &keepers));
    let mut times = Table::new(titles("read", &candidates));
    let mut all = Vec::new();
    for &count in thoroughness.populations {
        let crowds = population::compare(&candidates, count, thoroughness.rounds)?;
        let label = thousands(f64::from(count));
        let mut row = vec![label.clone()];
        row.extend(
            keepers
                .iter()
                .map(|keeper| thousands(of(&candidates, &crowds, *keeper).bytes_per_session)),
        );
        memory.row(row);
        let hot: Vec<Figure> = crowds.iter().map(|crowd| crowd.hot).collect();
        let random: Vec<Figure> = crowds.iter().map(|crowd| crowd.random).collect();
        for (how, figures) in [("the same", hot), ("any", random)] {
            let what = format!("{how} of {label}");
            compare_with_peers(verdict, &format!("read {what}"), &candidates, &figures);
            let mut row = vec![what];
            row.extend(figures.iter().copied().map(nanos));
            times.row(row);
        }
        all.push(crowds);
    }
    if let (Some(few), Some(many)) = (all.first(), all.last()) {
        judge_populations(&candidates, few, many, verdict);
    }
    Ok(format!(
        "## Many live sessions\n\nResident memory in bytes per session with one small value, in a process of its own:\n\n{}\n\
         Nanoseconds per read of the same session again and again, or of any:\n\n{}",
        memory.render(),
        times.render(),
    ))
}

fn judge_populations(
    candidates: &[Candidate],
    few: &[population::Crowd],
    many: &[population::Crowd],
    verdict: &mut Verdict,
) {
    let crowd = |crowds, candidate| of::<population::Crowd>(candidates, crowds, candidate);
    let ours = crowd(many, Candidate::Kr);
    verdict.at_most("bytes per session", ours.bytes_per_session, 450.0);
    for peer in Candidate::with_sessions().filter(|peer| *peer != Candidate::Kr) {
        let theirs = crowd(many, peer).bytes_per_session;
        verdict.compare(
            "bytes per session",
            ours.bytes_per_session,
            peer.title(),
            theirs,
        );
    }
    verdict.at_most(
        "hot read among the most, relative to the fewest",
        ours.hot.best / crowd(few, Candidate::Kr).hot.best,
        1.20,
    );
    // From a session in the processor's cache to one that is rarely there.
    let growth = |candidate| crowd(many, candidate).random.best - crowd(few, candidate).hot.best;
    verdict.at_most(
        "growth from a hot read among the fewest to a random one among the most, relative to tower-sessions",
        growth(Candidate::Kr) / growth(PEER),
        1.0,
    );
}

/// Measures two threads.
pub fn threads(thoroughness: Thoroughness, verdict: &mut Verdict) -> String {
    let candidates = contenders();
    let mut table = Table::new(titles(
        "thousand requests per second, 1 → 2 threads",
        &candidates,
    ));
    for scenario in [Scenario::Read, Scenario::Increment] {
        for (spread, name) in [
            (Spread::Many, "many sessions"),
            (Spread::Hot, "one session"),
        ] {
            let scalings = threads::compare(&candidates, scenario, spread, thoroughness.rounds);
            let what = format!("{}, {name}", scenario.title());
            let mut row = vec![what.clone()];
            row.extend(scalings.iter().map(|scaling| {
                let rate = |figure: Figure| 1e6 / figure.best;
                format!(
                    "{:.0} → {:.0} ({:.2}x)",
                    rate(scaling.one),
                    rate(scaling.two),
                    scaling.factor()
                )
            }));
            table.row(row);
            let two: Vec<Figure> = scalings.iter().map(|scaling| scaling.two).collect();
            compare_with_peers(verdict, &format!("{what}, two threads"), &candidates, &two);
            if scenario == Scenario::Increment && spread == Spread::Hot {
                let factor = of(&candidates, &scalings, Candidate::Kr).factor();
                verdict.at_least(
                    "increments of one session, 2 threads relative to 1",
                    factor,
                    0.9,
                );
            }
        }
    }
    format!("## Two threads\n\n{}", table.render())
}

/// Counts instructions and allocations.
///
/// # Errors
/// If valgrind or the counting program is missing or fails.
pub fn counted() -> Result<String, Box<dyn Error>> {
    let mut table = Table::new([
        "above the identity layer",
        "instructions",
        "allocations",
        "bytes",
    ]);
    for &scenario in Scenario::all() {
        let counts = counts::overhead(Candidate::Kr, scenario)?;
        table.row([
            scenario.title().to_owned(),
            thousands(counts.instructions),
            format!("{:.1}", counts.allocations),
            thousands(counts.bytes),
        ]);
    }
    Ok(format!(
        "## Instructions and allocations\n\nOf tower-kr-session with the memory store, per request. Callgrind shows no SHA \
         instructions to the program: a hash takes 3,400 instructions there and about 200 (40 ns) otherwise.\n\n{}\n\
         What they are spent on:\n\n{}",
        table.render(),
        parts()?.render(),
    ))
}

/// Reports the parts of our overhead, beside axum's own `Extension` layer.
fn parts() -> io::Result<Table> {
    let extension = (Candidate::Extension, Scenario::UntouchedCookie);
    let ours = [
        Scenario::UntouchedCookie,
        Scenario::Read,
        Scenario::Increment,
        Scenario::ReadWrite,
        Scenario::New,
    ];
    let columns: Vec<_> = [extension]
        .into_iter()
        .chain(ours.map(|scenario| (Candidate::Kr, scenario)))
        .collect();
    let mut header = vec!["instructions".to_owned()];
    let mut counted = Vec::new();
    for (candidate, scenario) in columns {
        header.push(match candidate {
            Candidate::Extension => format!("`Extension` layer, {}", scenario.title()),
            _ => scenario.title().to_owned(),
        });
        counted.push(counts::parts(candidate, scenario)?);
    }
    let mut table = Table::new(header);
    for (index, title) in counts::parts::titles().enumerate() {
        let cells = counted.iter().map(|column| thousands(column[index]));
        table.row([title.to_owned()].into_iter().chain(cells));
    }
    Ok(table)
}

/// Measures requests over a socket.
///
/// # Errors
/// If a server or `wrk` fails.
pub fn sockets(thoroughness: Thoroughness) -> io::Result<String> {
    let candidates = [Candidate::Identity, Candidate::Kr, PEER];
    let mut table = Table::new(titles(
        "requests per second (median, 99 % latency)",
        &candidates,
    ));
    let rounds = thoroughness.rounds.min(3);
    for scenario in [
        Scenario::UntouchedCookie,
        Scenario::Read,
        Scenario::Increment,
    ] {
        let Some(loads) = tcp::compare(&candidates, scenario, rounds)? else {
            return Ok("## Over TCP\n\n`wrk` is not installed.\n".to_owned());
        };
        let mut row = vec![scenario.title().to_owned()];
        row.extend(loads.iter().map(|load| {
            let rate = thousands(load.requests_per_second);
            format!("{rate} ({}, {})", load.median_latency, load.p99_latency)
        }));
        table.row(row);
    }
    Ok(format!(
        "## Over TCP\n\n`axum::serve` on one thread, `wrk` with 32 connections on another; the best of {rounds} runs of 3 seconds.\n\n{}",
        table.render()
    ))
}
