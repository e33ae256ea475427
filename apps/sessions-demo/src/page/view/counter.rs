//! The card of the counter, and of the race.

use maud::{Markup, html};

use super::{
    curl::{self, Curl},
    feedback::Feedback,
    text::until_over,
};
use crate::page::{action::Action, answer::Answer, snapshot::Snapshot};

pub(super) fn card(snapshot: &Snapshot, feedback: &Feedback<'_>, curl: &Curl) -> Markup {
    let raced = match feedback.answer {
        Answer::Raced { increment, plain } => Some((increment, plain)),
        _ => None,
    };
    html! {
        section.card aria-labelledby="counting" {
            h2 #counting { "Counter" (until_over("", ", before the timeout")) }
            form.row method="post" action=(Action::Counter.path()) {
                output.count #counter data-live { (snapshot.counter) }
                button.main #count autofocus[feedback.did(Action::Counter)] aria-describedby="counted" { "Count up" }
            }
            (feedback.line("counted", &[Action::Counter], None))
            div #racing hidden {
                div.row {
                    p.quiet {
                        "100 requests at once: 50 use " code { "increment" }
                        "; 50 read, add and write back. Which count is right?"
                    }
                    button #race type="button" aria-describedby="raced" { "Race me" }
                }
            }
            noscript { p.quiet { "A race of 100 requests takes a script, or curl." } }
            p.told #raced role="status" {
                @if let Some((increment, plain)) = raced {
                    (increment) " of 50 counted by increment. " (plain) " of 50 by reading, adding and writing."
                }
            }
            (curl::block([curl.get("/session/counter"), curl.race()]))
        }
    }
}
