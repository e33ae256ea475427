//! The card of the sign-in.

use maud::{Markup, html};
use tower_kr_session::Status;

use super::{
    curl::{self, Curl},
    feedback::{Feedback, who},
    field::Field,
    text::{quoted, time, until_over},
};
use crate::page::{action::Action, answer::Answer, snapshot::Snapshot};

pub(super) fn card(snapshot: &Snapshot, feedback: &Feedback<'_>, curl: &Curl) -> Markup {
    let user = snapshot.user.as_ref();
    let answer =
        matches!(feedback.answer, Answer::WhoAmI).then(|| who(user.map(|user| user.name.as_str())));
    let name = Field {
        id: "name",
        name: "user",
        label: "Name",
        placeholder: "max",
        longest: Some(64),
        autocomplete: "username",
        used: feedback.did(Action::Logout),
        line: "signed",
    };
    let can_sign_out = !matches!(snapshot.status, Status::Absent | Status::Expired);
    html! {
        section.card aria-labelledby="signing" {
            h2 #signing { "Sign-in" }
            @match user {
                Some(user) => p #signed-in data-live { (until_over("Signed in as", "You were signed in as")) " " strong #user { (quoted(user.name.as_str())) }
                    @if let Some(since) = user.since { " since " (time(since)) } "." },
                None => form.row method="post" action=(Action::Login.path()) {
                    (name.show(feedback))
                    button #login { "Sign in" }
                },
            }
            div.group {
                form method="get" action="/" {
                    button #whoami name="whoami" value="1" autofocus[answer.is_some()] aria-describedby="signed" { "Who am I?" }
                }
                @if can_sign_out {
                    form method="post" action=(Action::Logout.path()) {
                        button #logout autofocus[feedback.did(Action::Login)] aria-describedby="signed" {
                            @if user.is_some() { "Sign out" } @else { "End the session" }
                        }
                    }
                }
            }
            (feedback.line("signed", &[Action::Login, Action::Logout], answer))
            (curl::block([
                curl.get("/session/login?user=max"),
                curl.get("/session/whoami"),
                curl.get("/session/logout"),
            ]))
        }
    }
}
