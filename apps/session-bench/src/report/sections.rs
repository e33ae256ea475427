//! The sections of the report: each measures and returns its text.

use std::{error::Error, io};

use super::{
    chart::{self, Group},
    table::{Table, nanos, thousands},
    verdict::{MOKA_LIMIT, Verdict, limit},
};
use crate::{
    candidate::Candidate,
    counts,
    layouts::Layouts,
    population,
    scenario::Scenario,
    stats::Figure,
    stores, tcp,
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

/// The peer with which the goals compare our store on moka: it is on moka too.
const MOKA_PEER: Candidate = Candidate::TowerSessionsMoka;

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
fn ratio(candidates: &[Candidate], figures: &[Figure], ours: Candidate, peer: Candidate) -> f64 {
    let best = |candidate| of(candidates, figures, candidate).best;
    let identity = best(Candidate::Identity);
    (best(ours) - identity) / (best(peer) - identity)
}

/// Compares our memory store with every peer, and our store on moka with the peer's on moka.
fn compare_with_peers(verdict: &mut Verdict, what: &str, figure: impl Fn(Candidate) -> f64) {
    let memory = Candidate::peers().map(|peer| (Candidate::Kr, peer));
    for (ours, peer) in memory.chain([(Candidate::KrMoka, MOKA_PEER)]) {
        verdict.compare(
            what,
            (ours.title(), figure(ours)),
            (peer.title(), figure(peer)),
        );
    }
}

fn compare_times(verdict: &mut Verdict, what: &str, candidates: &[Candidate], figures: &[Figure]) {
    compare_with_peers(verdict, &format!("{what}, ns"), |candidate| {
        of(candidates, figures, candidate).best
    });
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
    let mut ratios = Table::new(["", "memory", "moka"]);
    let mut groups = Vec::new();
    for scenario in Scenario::SMALL {
        let figures = layouts.compare(candidates, scenario, thoroughness.effort)?;
        let mut row = vec![scenario.title().to_owned()];
        row.extend(figures.iter().copied().map(nanos));
        times.row(row);
        let memory = ratio(candidates, &figures, Candidate::Kr, PEER);
        let moka = ratio(candidates, &figures, Candidate::KrMoka, MOKA_PEER);
        if let Some(limit) = limit(scenario) {
            ratios.row([
                scenario.title().to_owned(),
                format!("{memory:.2}"),
                format!("{moka:.2}"),
            ]);
            let title = scenario.title();
            verdict.at_most(format!("overhead, {title}"), memory, limit);
            verdict.at_most(format!("overhead on moka, {title}"), moka, MOKA_LIMIT);
        }
        if scenario == Scenario::Read {
            let bridge = ratio(candidates, &figures, Candidate::KrBridge, PEER);
            verdict.at_most("overhead, read through the bridge", bridge, 1.0);
        }
        compare_times(verdict, scenario.title(), candidates, &figures);
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
         Overhead above the identity layer, ours relative to tower-sessions: memory store to memory store (0.15), and \
         moka store to moka store (0.14):\n\n{}",
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
        compare_times(verdict, scenario.title(), &candidates, &figures);
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
            compare_times(verdict, &format!("read {what}"), &candidates, &figures);
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
    let bytes = |candidate| crowd(many, candidate).bytes_per_session;
    verdict.at_most("bytes per session", bytes(Candidate::Kr), 330.0);
    verdict.at_most("bytes per session on moka", bytes(Candidate::KrMoka), 720.0);
    compare_with_peers(verdict, "bytes per session", bytes);
    verdict.at_most(
        "hot read among the most, relative to the fewest",
        crowd(many, Candidate::Kr).hot.best / crowd(few, Candidate::Kr).hot.best,
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

/// Measures the calls of our two stores alone.
pub fn stores(thoroughness: Thoroughness) -> String {
    // A call is short, so its rounds are too.
    let rounds = 20 * thoroughness.rounds;
    let mut table = Table::new([
        "",
        "reading the same",
        "reading any",
        "starting one",
        "starting one in a full share",
    ]);
    for (title, calls) in [
        ("`MemoryStore`", stores::memory(rounds)),
        ("`MokaStore`", stores::moka(rounds)),
    ] {
        let figures = [calls.hot, calls.random, calls.new, calls.full];
        let cells = figures.map(nanos).into_iter();
        table.row([title.to_owned()].into_iter().chain(cells));
    }
    format!(
        "## Our two stores in memory\n\nNanoseconds per call of the store alone, with 500,000 sessions of one small value.\n\n{}",
        table.render()
    )
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
            compare_times(verdict, &format!("{what}, two threads"), &candidates, &two);
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
        "instructions, memory",
        "allocations",
        "bytes",
        "instructions, moka",
        "allocations",
        "bytes",
    ]);
    for &scenario in Scenario::all() {
        let mut row = vec![scenario.title().to_owned()];
        for candidate in [Candidate::Kr, Candidate::KrMoka] {
            let counts = counts::overhead(candidate, scenario)?;
            row.extend([
                thousands(counts.instructions),
                format!("{:.1}", counts.allocations),
                thousands(counts.bytes),
            ]);
        }
        table.row(row);
    }
    Ok(format!(
        "## Instructions and allocations\n\nOf tower-kr-session with its two stores in memory, per request. Callgrind shows no SHA \
         instructions to the program: a hash takes 3,400 instructions there and about 200 (40 ns) otherwise.\n\n{}\n\
         What they are spent on with the memory store:\n\n{}",
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
    let candidates = [
        Candidate::Identity,
        Candidate::Kr,
        Candidate::KrMoka,
        PEER,
        MOKA_PEER,
    ];
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
