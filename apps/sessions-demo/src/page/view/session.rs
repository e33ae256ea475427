//! The card of the session: its status, and how long it lives.

use maud::{Markup, html};
use tower_kr_session::{Clock, Status, SystemClock};

use super::{
    ring,
    text::{time, until_over},
};
use crate::page::snapshot::Snapshot;

pub(super) fn card(snapshot: &Snapshot) -> Markup {
    let (name, meaning) = status_text(snapshot.status);
    let live = snapshot.live.as_ref();
    html! {
        section #session-card .card.session aria-labelledby="session" data-session=[live.map(|live| live.id)] {
            h2 #session { "Your session" }
            (ring::ring(live))
            p.status { strong #status .live[live.is_some()] { (name) } }
            p.quiet #meaning { (meaning) }
            p #over role="alert" hidden {
                "No request came within the idle timeout: the session has timed out. What this page shows of it is past. "
                a href="/" { "Reload" } " to see the page without it."
            }
            @if live.is_some() {
                noscript {
                    p #unscripted .quiet { "When the ring says over, the session has timed out: " a href="/" { "reload" } " to see the page without it." }
                }
            }
            p #stale role="status" hidden { "This session has changed since. " a href="/" { "Reload" } " to see it." }
            @if let Some(live) = live {
                dl {
                    div { dt { "Id" } dd { code #id { (live.id) } } }
                    div { dt { "Began" } dd { (time(live.created_at)) } }
                    (live.device.fact(SystemClock.now()))
                    div #ends { dt { (until_over("Ends at the latest", "Would have ended at the latest")) } dd #deadline data-live { (time(live.ends_at)) } }
                }
                p.quiet { "The id is public: it names the session in lists and logs, and lets nobody in." }
            }
        }
    }
}

fn status_text(status: Status) -> (&'static str, &'static str) {
    match status {
        Status::New => ("New", "This request started it."),
        Status::Active => (
            "Active",
            "Every request that uses it fills the ring again. When the ring is empty, the session is over.",
        ),
        Status::Expired => (
            "Over",
            "The cookie names a session that is gone: it timed out, was ended, or the server forgot it.",
        ),
        Status::Superseded => (
            "Superseded",
            "Another request has just changed the token. Reload the page.",
        ),
        Status::ProofMissing => (
            "Not proved",
            "The session is bound to a device, and this request came without a fresh proof of it.",
        ),
        Status::Ambiguous => (
            "Ambiguous",
            "The browser sent cookies of several sessions: none of them counts.",
        ),
        _ => (
            "None",
            "This browser has no session yet. Count up, sign in, or set a value to start one.",
        ),
    }
}
