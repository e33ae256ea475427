//! The card of the values.

use maud::{Markup, html};

use super::{
    curl::{self, Curl},
    feedback::Feedback,
    field::Field,
    text::{quoted, shortened, until_over},
};
use crate::page::{action::Action, answer::Answer, snapshot::Snapshot};

/// As many bytes of ASCII as fit into a key with the prefix of visitors' keys.
const LONGEST_KEY: Option<u32> = Some(251);

pub(super) fn card(snapshot: &Snapshot, feedback: &Feedback<'_>, curl: &Curl) -> Markup {
    let answer = match feedback.answer {
        Answer::Value(key, Some(value)) => Some(html! { (quoted(key)) " is " (quoted(value)) "." }),
        Answer::Value(key, None) => Some(html! { "Nothing is stored at " (quoted(key)) "." }),
        _ => None,
    };
    let field = |id, name, label, placeholder, line| Field {
        id,
        name,
        label,
        placeholder,
        longest: None,
        autocomplete: "off",
        used: false,
        line,
    };
    let set_key = Field {
        longest: LONGEST_KEY,
        used: feedback.did(Action::Set),
        ..field("set-key", "key", "Key to set", "color", "stored")
    };
    let set_value = field("set-value", "value", "Value", "purple", "stored");
    let get_key = Field {
        longest: LONGEST_KEY,
        used: answer.is_some(),
        ..field("get-key", "get", "Key to get", "color", "got")
    };
    html! {
        section.card aria-labelledby="storing" {
            h2 #storing { "Values" (until_over("", ", before the timeout")) }
            form.row method="post" action=(Action::Set.path()) {
                (set_key.show(feedback))
                (set_value.show(feedback))
                button #set { "Set" }
            }
            (feedback.line("stored", &[Action::Set], None))
            form.row method="get" action="/" {
                (get_key.show(feedback))
                button #get { "Get" }
            }
            (feedback.line("got", &[], answer))
            div #values data-live {
                @if snapshot.values.is_empty() {
                    p.quiet { "The session holds nothing yet." }
                } @else {
                    table {
                        caption { (until_over("Everything in the session", "Everything that was in the session")) }
                        thead { tr { th scope="col" { "Key" } th scope="col" { "Value, as it is stored" } } }
                        tbody {
                            @for (key, value) in &snapshot.values {
                                tr {
                                    th scope="row" { code { (quoted(key)) } }
                                    td { code { (quoted(&shortened(value))) } }
                                }
                            }
                        }
                    }
                    p.quiet { "Keys that you set get the prefix " code { "user:" } "." }
                }
            }
            (curl::block([
                curl.get("/session/set?key=color&value=purple"),
                curl.get("/session/get?key=color"),
            ]))
        }
    }
}
