//! The card of the old token.

use maud::{Markup, html};

use super::{
    curl::{self, Curl},
    feedback::Feedback,
};
use crate::page::{action::Action, replay::OldToken};

pub(super) fn card(
    OldToken(is_replayable): OldToken,
    feedback: &Feedback<'_>,
    curl: &Curl,
) -> Markup {
    html! {
        section #replay-card .card aria-labelledby="replaying" {
            h2 #replaying { "Stolen token" }
            @if is_replayable {
                form.row method="post" action=(Action::Replay.path()) {
                    p.quiet { "Somebody copied this browser's token before it was replaced. Does the copy still open the session?" }
                    button #replay autofocus[feedback.did(Action::Replay)] aria-describedby="replayed" { "Replay my old token" }
                }
            } @else {
                div.row {
                    p.quiet #no-old-token {
                        "A sign-in replaces the token, and a sign-out ends it. Count up, then sign in: you can then replay the old one here for 10 minutes."
                    }
                    button #replay type="button" disabled aria-describedby="no-old-token" { "Replay my old token" }
                }
            }
            (feedback.line("replayed", &[Action::Replay], None))
            (curl::block([curl.replay()]))
        }
    }
}
