//! The card of the session's last requests.

use std::time::Duration;

use maud::{Markup, html};

use super::text::time;
use crate::traffic::{Cookie, Visit};

pub(super) fn card(visits: &[Visit]) -> Markup {
    html! {
        section.card.requests aria-labelledby="requested" {
            h2 #requested { "The last requests" }
            div #log data-live {
                @if visits.is_empty() {
                    p.quiet { "None yet. Count up: what your session asks of the server shows here, and what each request stored." }
                } @else {
                    div.wide role="region" aria-label="Requests, the newest first" tabindex="0" { (table(visits)) }
                }
            }
        }
    }
}

fn table(visits: &[Visit]) -> Markup {
    html! {
        table {
            thead { tr {
                @for name in ["Request", "Status", "Stored", "Set-Cookie", "Took", "When"] { th scope="col" { (name) } }
            } }
            tbody { @for visit in visits { (row(visit)) } }
        }
    }
}

fn row(visit: &Visit) -> Markup {
    let cookie = match visit.cookie {
        Cookie::Kept => "no",
        Cookie::Set => "yes",
        Cookie::Removed => "removed",
    };
    html! {
        tr {
            td { code { (visit.method) " " (visit.route) } @if visit.times > 1 { " × " (visit.times) } }
            td { (visit.status.as_u16()) }
            td { (visit.stored) }
            td.kept[visit.cookie == Cookie::Kept] { (cookie) }
            td { @if visit.times > 1 { "up to " } (took(visit.took)) }
            td { (time(visit.at)) }
        }
    }
}

/// A time in microseconds, or in milliseconds from one on.
fn took(time: Duration) -> String {
    match time.as_millis() {
        0 => format!("{} µs", time.as_micros()),
        millis => format!("{millis} ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_few_digits() {
        for (micros, text) in [
            (7, "7 µs"),
            (999, "999 µs"),
            (1_000, "1 ms"),
            (22_900, "22 ms"),
        ] {
            assert_eq!(took(Duration::from_micros(micros)), text);
        }
    }
}
