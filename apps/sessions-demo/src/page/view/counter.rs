//! The card of the counter.

use maud::{Markup, html};

use super::{
    curl::{self, Curl},
    feedback::Feedback,
    text::until_over,
};
use crate::page::{action::Action, snapshot::Snapshot};

pub(super) fn card(snapshot: &Snapshot, feedback: &Feedback<'_>, curl: &Curl) -> Markup {
    html! {
        section.card aria-labelledby="counting" {
            h2 #counting { "Counter" (until_over("", ", before the timeout")) }
            form.row method="post" action=(Action::Counter.path()) {
                output.count #counter data-live { (snapshot.counter) }
                button.main #count autofocus[feedback.did(Action::Counter)] aria-describedby="counted" { "Count up" }
            }
            (feedback.line("counted", &[Action::Counter], None))
            (curl::block([curl.get("/session/counter")]))
        }
    }
}
