//! The card of the race, with the verdict of the last one.

use maud::{Markup, html};

use super::curl::{self, Curl};
use crate::page::snapshot::{Race, Snapshot};

/// How many requests count in each way.
const RUNNERS: i64 = 50;

pub(super) fn card(snapshot: &Snapshot, curl: &Curl) -> Markup {
    html! {
        section #race-card .card aria-labelledby="racers" {
            h2 #racers { "Race" }
            div #racing hidden {
                div.row {
                    p.quiet {
                        "100 requests at once: 50 use " code { "increment" }
                        "; 50 read, add and write back. Which count is right?"
                    }
                    button.main #race type="button" aria-describedby="raced" { "Race me" }
                }
            }
            noscript { p.quiet { "A race of 100 requests takes a script, or curl." } }
            div.told #raced role="status" data-live { @if let Some(race) = &snapshot.race { (verdict(race)) } }
            (curl::block([curl.race()]))
        }
    }
}

/// A bar and a line for each way to count. The bar shows what the line says.
fn verdict(race: &Race) -> Markup {
    html! {
        (count("increment", race.increment))
        (count("read, add, write", race.plain))
    }
}

fn count(name: &str, count: i64) -> Markup {
    let lost = RUNNERS - count;
    html! {
        svg.bar viewBox={ "0 0 " (RUNNERS) " 1" } preserveAspectRatio="none" aria-hidden="true" {
            rect.track width=(RUNNERS) height="1" {}
            rect.lost[lost > 0] width=(count) height="1" {}
        }
        p.wrong[lost > 0] {
            (name) ": " (count) " of " (RUNNERS)
            @if lost > 0 { "; " (lost) " lost: each wrote back what it had read, plus 1" }
        }
    }
}
