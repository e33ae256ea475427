//! Renders the page's HTML: a file for each card, and what the cards share.

mod cookie;
mod counter;
mod curl;
mod feedback;
mod field;
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
                    "The browser keeps a random token. Everything on this page lives on the server, in the store "
                    strong #store { (about.store) } "."
                }
            }
            main {
                (session::card(snapshot))
                div.actions {
                    (counter::card(snapshot, &feedback, &curl))
                    (sign_in::card(snapshot, old, &feedback, &curl))
                    (values::card(snapshot, &feedback, &curl))
                }
                (cookie::card(about, notice))
                @if let Some(user) = &snapshot.user {
                    (sessions::card(user, snapshot.live.as_ref(), &feedback, &curl))
                }
                (requests::card(visits))
            }
            footer { p { "The same session answers as JSON: " a href="/session/whoami" { "/session/whoami" }
                " says who is signed in, and " code { "/session/counter" } " counts up, once at each request." }
                p { a href=(REPOSITORY) rel="noreferrer" { "Source and documentation" } } }
        },
    )
}
