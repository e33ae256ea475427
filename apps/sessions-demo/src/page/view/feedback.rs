//! What the page says about the form that was just used.

use maud::{Markup, html};

use super::text::quoted;
use crate::page::{
    action::Action, answer::Answer, notice::Notice, refused::Refused, remark::Remark,
    snapshot::Snapshot,
};

pub(super) struct Feedback<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) notice: &'a Notice,
    pub(super) answer: &'a Answer,
}

impl Feedback<'_> {
    pub(super) fn did(&self, action: Action) -> bool {
        self.notice.action == Some(action)
    }

    fn refused(&self) -> Option<&Refused> {
        match self.answer {
            Answer::Refused(refused) => Some(refused),
            _ => None,
        }
    }

    /// Returns what is wrong with the field of this id.
    pub(super) fn error(&self, id: &str) -> Option<&str> {
        let refused = self.refused().filter(|refused| refused.field == id)?;
        Some(&refused.message)
    }

    /// Returns what was written into the field of this id, if its form failed.
    pub(super) fn written(&self, id: &str) -> Option<&str> {
        if let Answer::Value(key, None) = self.answer {
            return (id == "get-key").then_some(key);
        }
        let mut input = self.refused()?.input.iter();
        let (_, value) = input.find(|(field, _)| *field == id)?;
        Some(value)
    }

    /// Shows the answer to a question, or what one of these actions did. The field that was used
    /// gets the focus again and is described by this line, so that screen readers read it. If that
    /// field is gone, the line gets the focus itself.
    pub(super) fn line(&self, id: &str, actions: &[Action], answer: Option<Markup>) -> Markup {
        let done = self.notice.action.filter(|action| actions.contains(action));
        let takes_focus =
            matches!(done, Some(Action::Revoke | Action::RevokeOthers)) || self.error(id).is_some();
        let failed = self.error(id).is_some()
            || answer.is_some() && matches!(self.answer, Answer::Value(_, None))
            || done.is_some() && self.notice.remark.is_some_and(Remark::is_failure);
        html! {
            p.told.wrong[failed] id=(id) role="status"
                tabindex=[takes_focus.then_some("-1")] autofocus[takes_focus] {
                @if let Some(error) = self.error(id) { (error) "." }
                @else if let Some(answer) = answer { (answer) }
                @else if let Some(action) = done {
                    @if self.notice.remark == Some(Remark::Renewed) {
                        "Your session had ended; this action started a new one. "
                    }
                    (self.outcome(action))
                }
            }
        }
    }

    fn outcome(&self, action: Action) -> Markup {
        let text = match (action, &self.snapshot.user) {
            (Action::Counter, _) => {
                return html! { "Counted: " (self.snapshot.counter) "." };
            }
            (Action::Login, Some(_)) => match self.notice.remark {
                Some(Remark::Began) => "Signed in. A session began.",
                Some(Remark::Renewed) => "Signed in.",
                _ => "Signed in. The token changed, the values stayed.",
            },
            (Action::Login, None) => "Signed in, and signed out again elsewhere.",
            (Action::Logout, _) => match self.notice.remark {
                Some(Remark::NoSession) => "There was no session.",
                _ => "Signed out. The session and its cookie are gone.",
            },
            (Action::Set, _) => "Stored.",
            (Action::Revoke, _) => "That session has ended.",
            (Action::RevokeOthers, _) => "Only this session is left.",
            (Action::Replay, _) => match self.notice.remark {
                Some(Remark::Superseded) => {
                    "The old token was refused: the sign-in replaced it, and whoever copied it has nothing."
                }
                Some(Remark::NoToken) => {
                    "This browser had no token before. Count up, then sign in, and there is an old one."
                }
                Some(Remark::LetIn) => "The old token was let in. That must not happen.",
                _ => "The old token was refused: it opens no session any more.",
            },
        };
        html! { (text) }
    }
}

/// Says whose session it is.
pub(super) fn who(user: Option<&str>) -> Markup {
    html! {
        @match user {
            Some(name) => { "You are " (quoted(name)) "." }
            None => "Nobody is signed in.",
        }
    }
}
