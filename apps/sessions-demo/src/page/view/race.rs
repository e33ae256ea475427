//! The card of the race, with the verdict of the last one.

use maud::{Markup, html};

use super::curl::{self, Curl};
use crate::page::snapshot::{Race, Snapshot};

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
            p.told #raced role="status" data-live { @if let Some(race) = &snapshot.race { (verdict(race)) } }
            (curl::block([curl.race()]))
        }
    }
}

/// A bar and a sentence for each way to count. The bars show what the sentences say.
fn verdict(race: &Race) -> Markup {
    html! {
        svg.bars viewBox="0 0 50 7" preserveAspectRatio="none" aria-hidden="true" {
            rect.track width="50" height="3" {}
            rect.right width=(race.increment) height="3" {}
            rect.track y="4" width="50" height="3" {}
            rect.lost y="4" width=(race.plain) height="3" {}
        }
        (race.increment) " of 50 counted by increment. " (race.plain) " of 50 by reading, adding and writing."
    }
}
