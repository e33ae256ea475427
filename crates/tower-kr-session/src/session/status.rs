//! How a session stands for a request: whose it is, and in which state.

use super::{request::Request, view::View};
use crate::{
    model::{SessionId, Token},
    transport::{Audience, Candidates},
};

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
    /// ([`SessionLayer::consent_when`](crate::SessionLayer::consent_when)). The request reads what
    /// it writes; nothing is stored.
    RequestOnly,
    /// The request has cookies of several live sessions, or too many different ones. Reads find
    /// nothing, writes are refused. A sign-in or a [`destroy`](crate::Session::destroy) ends
    /// several sessions at once, and so the conflict.
    Ambiguous,
    /// It is alive and bound to a device, and the request came without a proof of that device
    /// ([`SessionLayer::device_binding`](crate::SessionLayer::device_binding)). Reads find nothing.
    /// A write starts another session, or fails with
    /// [`ProofMissing`](crate::SessionError::ProofMissing) if the browser says that it could not
    /// prove itself this time. A [`destroy`](crate::Session::destroy) ends the session all the
    /// same.
    #[cfg(feature = "device-bound")]
    ProofMissing,
}

impl Request {
    pub(super) fn id(&self) -> Option<SessionId> {
        let alive = self.own_token().filter(|_| self.presence_is_known());
        alive.map(|token| token.id())
    }

    /// The id of the token that the request carries, or of the session that it started.
    pub(super) fn presented_id(&self) -> Option<SessionId> {
        match &self.view {
            _ if self.notes().destroy => None,
            View::Unread(Candidates::One(text)) => Some(Token::id_of(text)),
            View::Unread(Candidates::Several(texts)) => texts.first().map(Token::id_of),
            View::Several(choice) => choice.tokens.last().map(Token::id),
            View::Unknown(token) | View::Alive(token, _) => Some(token.id()),
            _ => None,
        }
    }

    /// Whom the response is for: a user, unless it is known that there is none.
    pub(super) fn audience(&self) -> Audience {
        let owned = self.owned.unwrap_or(match &self.view {
            View::Unread(candidates) => !matches!(candidates, Candidates::None),
            View::Unknown(_) | View::Several(_) | View::Alive(..) => true,
            _ => false,
        });
        match owned {
            true => Audience::User,
            false => Audience::Visitor,
        }
    }

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
            _ if self.is_ambiguous(notes) => Status::Ambiguous,
            _ if notes.destroy && notes.starts_session() => starting,
            _ if notes.destroy => Status::Absent,
            View::Alive(..) if self.started => Status::New,
            View::Alive(..) => Status::Active,
            // A user who signs in gets a session of their own.
            _ if notes.sign_in().is_some() => starting,
            View::Superseded => Status::Superseded,
            View::Ended(_) => Status::Expired,
            #[cfg(feature = "device-bound")]
            _ if self.waits_for_proof() => Status::ProofMissing,
            View::Absent | View::Expired(_) if notes.starts_session() => starting,
            #[cfg(feature = "device-bound")]
            _ if self.is_unproven() => Status::ProofMissing,
            View::Expired(_) => Status::Expired,
            _ => Status::Absent,
        }
    }
}
