//! Renders the page's HTML: a file for each card, and what the cards share.

mod cookie;
mod counter;
mod curl;
mod feedback;
mod field;
mod race;
mod replay;
mod requests;
mod ring;
mod session;
mod sessions;
mod sign_in;
mod text;
mod values;

use maud::{Markup, html};

use self::feedback::Feedback;
use super::{
    answer::Answer, base::Base, document::document, notice::Notice, replay::OldToken,
    snapshot::Snapshot,
};
use crate::{about::About, traffic::Visit};

const REPOSITORY: &str = env!("CARGO_PKG_REPOSITORY");

pub(super) fn page(
    about: &About,
    base: &Base,
    snapshot: &Snapshot,
    visits: &[Visit],
    notice: &Notice,
    old: OldToken,
    answer: &Answer,
) -> Markup {
    let feedback = Feedback {
        snapshot,
        notice,
        answer,
    };
    let curl = curl::Curl::new(base, about.https);
    document(
        "Sessions",
        &html! {
            header.top {
                h1 { "Sessions" }
                p {
                    "See how a server-side session works: your browser keeps only a random token; everything else on this page lives on the server, in the store "
                    strong #store { (about.store) } "."
                }
                nav aria-label="Things to try" {
                    "Try: " a href="#race-card" { "race 100 requests" } ", " a href="#replay-card" { "replay a stolen token" }
                    ", " a href="#session-card" { "watch it time out" } "."
                }
            }
            main {
                div.column.now {
                    (session::card(snapshot))
                    (cookie::card(about, notice))
                }
                div.column {
                    (counter::card(snapshot, &feedback, &curl))
                    (sign_in::card(snapshot, &feedback, &curl))
                    (replay::card(old, &feedback, &curl))
                    (values::card(snapshot, &feedback, &curl))
                }
                div.column.server {
                    (race::card(snapshot, &curl))
                    (requests::card(visits))
                    @if let Some(user) = &snapshot.user {
                        (sessions::card(user, snapshot.live.as_ref(), &feedback, &curl))
                    }
                }
            }
            footer { p { "The same session answers as JSON: " a href="/session/whoami" { "/session/whoami" }
                " says who is signed in, and " code { "/session/counter" } " counts up, once at each request." }
                p { a href=(REPOSITORY) rel="noreferrer" { "Source and documentation" } } }
        },
    )
}
