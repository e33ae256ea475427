//! Handles that outlive their request: in a stream, a socket, a spawned task.
//!
//! Once the head of the response has left, such a handle reads what it loaded until it writes, a
//! deadline that it knows has passed, or [`reload`](super::Session::reload) is called. Then it asks
//! the store.

use super::{
    ask::{Inner, Turn},
    request::Request,
    view::View,
};
use crate::{
    error::SessionError,
    model::{Instants, Timestamp},
};

impl Request {
    /// Lets go of a session whose deadlines are not known or have passed: others may have ended it
    /// since, or moved them.
    pub(super) fn doubt_after(&mut self, now: Timestamp) {
        if let View::Alive(token, record) = &self.view
            && record
                .as_ref()
                .is_none_or(|record| record.is_expired(Instants::at(now)))
        {
            self.view = View::Unknown(*token);
            self.forget_values();
        }
    }

    /// What an earlier call did at the store is found out now, so its failure matters no more.
    ///
    /// # Errors
    /// If the response still has to tell of it.
    pub(super) fn check_to_reload(&mut self) -> Result<(), SessionError> {
        let checked = self.check();
        if self.head_sent {
            self.poison = None;
            return Ok(());
        }
        checked
    }

    pub(super) fn outlives_with_nothing_noted(&self) -> bool {
        self.head_sent && self.notes().is_empty()
    }

    /// Takes the reason why what was set can't be stored. What was set besides goes too.
    pub(super) fn take_lost(&mut self) -> Option<Box<SessionError>> {
        let lost = self.lost.take()?;
        self.notes = None;
        Some(lost)
    }

    /// Remembers that a change could not be noted, if only [`save`](super::Session::save) will
    /// tell.
    pub(super) fn miss(&mut self, error: &SessionError) {
        if self.head_sent {
            self.lost.get_or_insert_with(|| Box::new(error.clone()));
        }
    }
}

impl Turn<'_> {
    /// Returns whether the session that a long-lived handle has nothing to store for is alive, as
    /// far as that is known.
    pub(super) async fn check_alive(&self) -> Result<(), SessionError> {
        let check = self.know(|request| match request.view {
            View::Ended(_) => Err(SessionError::Ended),
            View::Superseded => Err(SessionError::Superseded),
            _ => Ok(request.presence_is_known().then_some(())),
        });
        check.await
    }
}

impl Drop for Inner {
    /// The last handle is gone, and with it what it set.
    fn drop(&mut self) {
        let request = self.request_mut();
        if !request.notes().is_empty() {
            let id = request.own_token().map(|token| token.id());
            self.config.events.unsaved(id, self.config.now());
        }
    }
}
