//! The card of the user's sessions.

use maud::{Markup, html};
use tower_kr_session::SessionSummary;

use super::{
    curl::{self, Curl},
    feedback::Feedback,
    text::{time, until, until_over},
};
use crate::page::{
    action::Action,
    snapshot::{Live, User},
};

pub(super) fn card(
    user: &User,
    this: Option<&Live>,
    feedback: &Feedback<'_>,
    curl: &Curl,
) -> Markup {
    let is_this = |session: &&SessionSummary| this.is_some_and(|this| this.id == session.id);
    let example = user.sessions.iter().find(|session| !is_this(session));
    let example = example.map_or_else(|| "ID".to_owned(), |session| session.id.to_string());
    html! {
        section.card.everywhere aria-labelledby="everywhere" {
            h2 #everywhere { "Where you are signed in" }
            div #sessions data-live {
                ul.sessions { @for session in &user.sessions { (entry(session, is_this(&session))) } }
                @if user.sessions.len() > 1 {
                    form method="post" action=(Action::RevokeOthers.path()) {
                        button #revoke-others .danger aria-describedby="revoked" { "Sign out everywhere else" }
                    }
                } @else {
                    p.quiet { "Nowhere else. Sign in by the same name in a private window, and you can sign it out from here." }
                }
            }
            (feedback.line("revoked", &[Action::Revoke, Action::RevokeOthers], None))
            (curl::block([
                curl.post(&format!("id={example}"), Action::Revoke.path()),
                curl.post("", Action::RevokeOthers.path()),
            ]))
        }
    }
}

fn entry(session: &SessionSummary, is_this: bool) -> Markup {
    let lives = match is_this {
        true => until_over("lives", "lived"),
        false => until(session.expires_at, "lives", "lived"),
    };
    html! {
        li {
            div {
                @if let Some(label) = &session.label { (label) } @else { "A session" }
                @if is_this { " " span.badge { "this browser" (until_over("", ", timed out")) } }
                p.quiet { "Last used " (time(session.last_used_at)) ", " (lives) " at least until " (time(session.expires_at)) }
                p.quiet { "Began " (time(session.created_at)) " " code { (session.id) } }
            }
            @if is_this {
                form method="post" action=(Action::Logout.path()) {
                    button #logout-here .danger { "Sign out here" }
                }
            } @else {
                form method="post" action=(Action::Revoke.path()) {
                    input type="hidden" name="id" value=(session.id);
                    button.danger aria-label=(format!("Revoke {}", session.id)) { "Revoke" }
                }
            }
        }
    }
}
