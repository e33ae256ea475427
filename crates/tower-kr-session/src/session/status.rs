//! How a session stands for a request.

use super::request::{Request, View};

/// How a session stands for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Status {
    /// There is none: the request has no cookie that could be one.
    Absent,
    /// This request starts it.
    New,
    /// It is alive.
    Active,
    /// The request has a well-formed token without a live record: it expired, was ended, or never
    /// was.
    Expired,
    /// The token was replaced by another request moments ago.
    Superseded,
    /// There is none, and none starts: the visitor has not consented to its cookie
    /// ([`SessionLayer::consent_when`](crate::SessionLayer::consent_when)). The request reads what it
    /// writes; nothing is stored.
    RequestOnly,
    /// The request has cookies of several live sessions, or too many different ones. Reads find
    /// nothing, writes are refused.
    Ambiguous,
}

impl Request {
    /// The status, once it is known whether there is a session. `withheld`: the visitor has not
    /// consented to the cookie.
    pub(super) fn status(&self, withheld: bool) -> Status {
        let notes = self.notes();
        let starting = if withheld {
            Status::RequestOnly
        } else {
            Status::New
        };
        match self.view {
            View::Ambiguous => Status::Ambiguous,
            _ if notes.destroy && notes.starts_session() => starting,
            _ if notes.destroy => Status::Absent,
            View::Alive(..) if self.started => Status::New,
            View::Alive(..) => Status::Active,
            // A user who signs in gets a session of their own.
            _ if notes.sign_in().is_some() => starting,
            View::Superseded => Status::Superseded,
            View::Ended => Status::Expired,
            View::Absent { .. } if notes.starts_session() => starting,
            View::Absent { expired: true } => Status::Expired,
            _ => Status::Absent,
        }
    }
}
