//! The end of a request: the commit before the head of the response leaves.

use std::{future::Future, pin::Pin, sync::Arc};

use super::{Session, ask::Turn, request::Request};
use crate::{
    config::Config,
    error::SessionError,
    model::{Delta, Instants},
    transport::{Audience, CookieChange},
};

/// What became of a session, and what the client has to be told even if that is an error: a token
/// that [`save`](Session::save) put into the store early is the only one that the client can go on
/// with.
pub(crate) struct Committed {
    pub(crate) result: Result<(), SessionError>,
    pub(crate) cookie: Option<Box<CookieChange>>,
    pub(crate) audience: Audience,
}

pub(crate) type Commit = Pin<Box<dyn Future<Output = Committed> + Send>>;

/// What is left to do for a session when the response is ready.
pub(crate) enum End {
    /// Nothing: nobody used it, and nobody can any more.
    Untouched,
    /// Nothing: all is stored, and there is nothing to tell the client.
    Unchanged(Audience),
    /// A commit.
    Commit(Commit),
}

impl Session {
    /// The response is ready. `failed`: it is a server error.
    pub(crate) fn end(&mut self, failed: bool) -> End {
        let end = match Arc::get_mut(&mut self.inner) {
            // Most often the handler's handles are gone by now, and nothing has to be locked.
            Some(inner) => inner.request_mut().end_without_commit(failed, true),
            // A stream or a task has one, and may show what it reads in this very response.
            None => self.inner.request().end_without_commit(failed, false),
        };
        end.unwrap_or_else(|| End::Commit(Box::pin(self.clone().commit())))
    }

    /// The request ends without a commit.
    pub(crate) fn abandon(&self) {
        self.inner.request().abandon();
    }

    async fn commit(self) -> Committed {
        let config = &self.inner.config;
        let began = self.inner.request().first_contact;
        let began = began.unwrap_or_else(|| config.now());
        let result = match self.inner.turn_at(Instants::at(began)).await {
            Ok(turn) => self.commit_in_turn(turn).await,
            Err(error) => {
                self.abandon();
                Err(error)
            }
        };
        let mut request = self.inner.request();
        Committed {
            result,
            cookie: request.cookie.take(),
            audience: request.audience(),
        }
    }

    async fn commit_in_turn(&self, mut turn: Turn<'_>) -> Result<(), SessionError> {
        let mut result = turn.request().check_at_end();
        if let Ok(true) = result {
            turn.at.now = turn.config().now();
            result = turn.commit(true).await.map(|()| true);
        }
        turn.request().head_sent = true;
        match &result {
            // Nothing that was not stored may be stored later.
            Err(error) => turn.request().lose(error.clone()),
            Ok(_) if turn.touch_is_due() => {
                let (inner, at) = (Arc::clone(&self.inner), turn.at);
                drop(turn);
                let touch = async move {
                    if let Ok(turn) = inner.turn_at(at).await {
                        turn.touch().await;
                    }
                };
                // Apart, as it is rare and would double the future of each commit.
                Box::pin(self.inner.beside(touch)).await;
            }
            Ok(_) => {}
        }
        result.map(drop)
    }

    /// The settings of the layer, and whether the request came over HTTPS.
    pub(crate) fn config(&self) -> (&Config, bool) {
        (&self.inner.config, self.inner.head.https)
    }
}

impl Turn<'_> {
    /// Whether the request only read, and found the idle deadline stale when it began.
    fn touch_is_due(&self) -> bool {
        self.request().touch_is_due(self.at.first_contact)
    }

    /// Moves the idle deadline of a session that was only read, if no other call did so meanwhile.
    /// A failure harms nobody now: it is logged.
    async fn touch(mut self) {
        let token = self.request().own_token();
        let Some(token) = token.filter(|_| self.touch_is_due()) else {
            return;
        };
        // Of now: other requests may have moved the deadline further since this one began.
        self.at.now = self.config().now();
        let mut touch = Delta::new(self.config().max_session_bytes);
        if let Err(error) = self.apply(&token, &mut touch).await {
            let events = &self.config().events;
            events.touch_failed(token.id(), &error, self.at.now);
            // Done or not, a handle that outlives the request can go on.
            self.request().poison = None;
        }
    }
}

impl Request {
    /// Whether anything is noted. If not, from here on nothing can be: nobody would store it.
    fn check_at_end(&mut self) -> Result<bool, SessionError> {
        self.check()?;
        let noted = !self.notes().is_empty();
        self.head_sent |= !noted;
        Ok(noted)
    }

    /// Drops what a request set that failed half-way. If it ends its session, that is carried out.
    fn drop_all_but_end(&mut self) {
        let ends = self.notes().destroy;
        if !self.notes().is_empty() {
            self.lose(SessionError::Interrupted);
        }
        if ends {
            self.notes_mut().destroy();
        }
    }

    /// Ends a request that leaves nothing to commit, or returns `None`. `alone`: no other handle is
    /// left.
    fn end_without_commit(&mut self, failed: bool, alone: bool) -> Option<End> {
        if failed {
            self.drop_all_but_end();
        }
        let Some(began) = self.first_contact else {
            self.head_sent = true;
            return Some(match alone {
                true => End::Untouched,
                false => End::Unchanged(self.audience()),
            });
        };
        let nothing = !self.has_turn
            && self.check().is_ok()
            && self.notes().is_empty()
            && self.cookie.is_none()
            && !self.touch_is_due(began);
        nothing.then(|| {
            self.head_sent = true;
            End::Unchanged(self.audience())
        })
    }
}
