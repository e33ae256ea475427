//! Renders the HTML document around a page, and the page of a failure.

use http::StatusCode;
use maud::{DOCTYPE, Markup, html};

pub(super) fn document(title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                link rel="icon" href="/page/icon.svg";
                link rel="stylesheet" href="/page/style.css";
                script type="module" src="/page/main.js" {}
            }
            body { (body) }
        }
    }
}

pub(super) fn problem(status: StatusCode, message: &str) -> Markup {
    document(
        "That did not work",
        &html! {
            main.problem {
                h1 { "That did not work" }
                p.wrong #problem { (message) "." }
                p.quiet { "Status " (status) }
                p { a.button href="/" autofocus { "Back to the session" } }
            }
        },
    )
}
