//! Who the session is, and how long it lives.

use std::time::Duration;

use super::{
    Session,
    state::{State, View},
    with_state,
};
use crate::{
    error::SessionError,
    model::{
        IdleLimit, Instants, Owner, Record, SessionId, SignIn, Timestamp, is_timeout, whole_millis,
    },
};

/// How far the clocks of nodes may lie apart before a time in the future is no time.
const CLOCK_SKEW: Duration = Duration::from_secs(10);

/// What a session is to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Status {
    /// There is none: the request has no cookie that could be one.
    Absent,
    /// This request starts it.
    New,
    /// It is alive.
    Active,
    /// The request has a well-formed token without a live record: it expired, was ended, or never was.
    Expired,
    /// The token was replaced by another request moments ago.
    Superseded,
    /// There is none, and none starts: the visitor has not consented to its cookie
    /// ([`SessionLayer::consent_when`](crate::SessionLayer::consent_when)). What this request writes, it reads; nothing is stored.
    RequestOnly,
    /// The request has cookies of several live sessions, or too many different ones. Reads as absent, writes are refused.
    Ambiguous,
}

impl Session {
    /// Signs a user in: the session gets this owner, a new token, the time of authentication and a fresh absolute deadline; its
    /// values stay. Done in the commit, before the response leaves.
    ///
    /// If the session belongs to another user, it is ended, and a new one starts with what this request noted. Call it after
    /// the credentials were checked, also when a signed-in user proves himself again.
    ///
    /// The commit may still refuse it, and so does a [`save`](Self::save), which lets the handler say why: all of the user's sessions
    /// were revoked meanwhile ([`SessionError::Revoked`]), he has too many ([`SessionError::TooManySessions`]), or the visitor has
    /// not consented to the cookie ([`SessionError::NoConsent`]).
    ///
    /// # Errors
    /// If the owner is empty or longer than 256 bytes, or the response head has left.
    pub fn sign_in(&self, owner: impl AsRef<str>) -> Result<(), SessionError> {
        let owner = Owner::new(owner.as_ref())?;
        let authenticated_at = self.inner.shared.now_after_revocations();
        self.write_identity()?.identity.sign_in = Some(SignIn::new(owner, authenticated_at));
        Ok(())
    }

    /// Ends the session, as [`destroy`](Self::destroy).
    ///
    /// # Errors
    /// If the response head has left.
    pub fn sign_out(&self) -> Result<(), SessionError> {
        self.destroy()
    }

    /// Gives the session a new token in the commit; the old one is refused from then on. [`sign_in`](Self::sign_in) does so by
    /// itself; do it also when rights change.
    ///
    /// # Errors
    /// If the response head has left.
    pub fn rotate(&self) -> Result<(), SessionError> {
        self.write_identity()?.identity.rotate = true;
        Ok(())
    }

    /// Ends the session in the commit: its record goes, its cookie is removed, and no request that is still running brings it
    /// back. What this request noted before goes too; what it notes afterwards starts a new session.
    ///
    /// # Errors
    /// If the response head has left (see [`detach`](Self::detach)).
    pub fn destroy(&self) -> Result<(), SessionError> {
        self.write()?.destroy();
        Ok(())
    }

    /// Gives this session an idle timeout of its own ("remember me"), from 1 ms to 400 days, or to what the layer's
    /// [assurance level](crate::AssuranceLevel) allows; it comes with a new token.
    ///
    /// # Errors
    /// If the timeout is out of range, or the response head has left.
    pub fn set_idle_timeout(&self, timeout: Duration) -> Result<(), SessionError> {
        check_limit(
            "idle timeout",
            timeout,
            self.inner.shared.longest_idle_timeout,
        )?;
        self.write_identity()?.identity.limits.idle = Some(IdleLimit::new(timeout));
        Ok(())
    }

    /// Gives this session an absolute timeout of its own, from 1 ms to 400 days, or to what the layer's
    /// [assurance level](crate::AssuranceLevel) allows. It is counted from the session's start or the last sign-in (so a short one
    /// can end an old session at once), and comes with a new token.
    ///
    /// # Errors
    /// If the timeout is out of range, or the response head has left.
    pub fn set_absolute_timeout(&self, timeout: Duration) -> Result<(), SessionError> {
        check_limit(
            "absolute timeout",
            timeout,
            self.inner.shared.longest_absolute_timeout,
        )?;
        self.write_identity()?.identity.limits.absolute_timeout = Some(whole_millis(timeout));
        Ok(())
    }

    /// Makes the cookie outlive the browser's session, until the absolute deadline, or not; it comes with a new token.
    ///
    /// # Errors
    /// If the response head has left.
    pub fn set_persistent(&self, persistent: bool) -> Result<(), SessionError> {
        self.write_identity()?.identity.limits.persistent = Some(persistent);
        Ok(())
    }

    /// The public id of the session; `None` if there is none, or it is only about to start.
    ///
    /// # Errors
    /// If the store can't answer.
    pub async fn id(&self) -> Result<Option<SessionId>, SessionError> {
        with_state!(self, |state, at| self.current_id(state, at))
    }

    async fn current_id(
        &self,
        state: &mut State,
        at: Instants,
    ) -> Result<Option<SessionId>, SessionError> {
        self.find_out(state, at).await?;
        let ends = self.inner.notes().identity.destroy;
        Ok(if ends { None } else { state.id() })
    }

    /// What the session is to this request.
    ///
    /// # Errors
    /// If the store can't answer.
    pub async fn status(&self) -> Result<Status, SessionError> {
        with_state!(self, |state, at| self.current_status(state, at))
    }

    async fn current_status(
        &self,
        state: &mut State,
        at: Instants,
    ) -> Result<Status, SessionError> {
        self.find_out(state, at).await?;
        let notes = self.inner.notes();
        let starting = if notes.withheld {
            Status::RequestOnly
        } else {
            Status::New
        };
        Ok(match state.view {
            View::Ambiguous => Status::Ambiguous,
            _ if notes.identity.destroy && notes.starts_session() => starting,
            _ if notes.identity.destroy => Status::Absent,
            View::Alive(_) if state.started => Status::New,
            View::Alive(_) => Status::Active,
            // Somebody who signs in gets a session of his own.
            _ if notes.identity.sign_in.is_some() => starting,
            View::Superseded => Status::Superseded,
            View::Ended => Status::Expired,
            View::Absent { .. } if notes.starts_session() => starting,
            View::Absent { expired: true } => Status::Expired,
            View::Absent { expired: false } | View::Unknown | View::Several(_) => Status::Absent,
        })
    }

    /// The user who is signed in, also if this request signed him in.
    ///
    /// # Errors
    /// If the store can't answer.
    pub async fn owner(&self) -> Result<Option<Owner>, SessionError> {
        self.of_record(|sign_in, record| match sign_in {
            Some(sign_in) => Some(sign_in.owner.clone()),
            None => record?.owner.clone(),
        })
        .await
    }

    /// When the user last proved who he is.
    ///
    /// # Errors
    /// If the store can't answer.
    pub async fn authenticated_at(&self) -> Result<Option<Timestamp>, SessionError> {
        self.of_record(|sign_in, record| match sign_in {
            Some(sign_in) => Some(sign_in.authenticated_at),
            None => record?.authenticated_at,
        })
        .await
    }

    /// Whether the user proved who he is less than `window` ago: ask it before something sensitive, and let him prove himself again
    /// if not (ASVS 5.0, 7.5.1 and 7.5.3). `false` if nobody is signed in. A sign-in that this request noted counts.
    ///
    /// A sign-in that lies more than 10 seconds in the future was noted by a clock that was wrong, and counts as old. Less than that
    /// is what the clocks of nodes may differ by.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower_kr_session::{Session, SessionError};
    ///
    /// # async fn store(_: &str) {}
    /// async fn change_email(session: Session, email: &str) -> Result<&'static str, SessionError> {
    ///     if !session.authenticated_within(Duration::from_secs(5 * 60)).await? {
    ///         return Ok("Please enter your password again.");
    ///     }
    ///     store(email).await;
    ///     Ok("Changed.")
    /// }
    /// ```
    ///
    /// # Errors
    /// If the store can't answer.
    pub async fn authenticated_within(&self, window: Duration) -> Result<bool, SessionError> {
        let fresh = self.of_record(|sign_in, record| {
            if sign_in.is_some() {
                return Some(true);
            }
            let now = self.inner.shared.now();
            let at = record?.authenticated_at?;
            Some(at <= now.saturating_add(CLOCK_SKEW) && now < at.saturating_add(window))
        });
        Ok(fresh.await?.unwrap_or(false))
    }

    /// When the session began.
    ///
    /// # Errors
    /// If the store can't answer.
    pub async fn created_at(&self) -> Result<Option<Timestamp>, SessionError> {
        self.of_record(|_, record| Some(record?.created_at)).await
    }

    /// Until when the session lives if no further request uses it; `None` if there is none, or it is only about to start.
    ///
    /// # Errors
    /// If the store can't answer.
    pub async fn expires_at(&self) -> Result<Option<Timestamp>, SessionError> {
        let now = self.inner.shared.now();
        // This very request counts as activity.
        let shared = &self.inner.shared;
        self.of_record(|sign_in, record| {
            let record = record?;
            let signed_in = sign_in.and_then(|_| shared.idle_at_sign_in(record));
            let idle = now.saturating_add(signed_in.unwrap_or(record.idle).timeout);
            Some(idle.min(absolute_deadline(sign_in, record, now)))
        })
        .await
    }

    /// When the session ends whatever its activity; `None` if there is none, or it is only about to start.
    ///
    /// # Errors
    /// If the store can't answer.
    pub async fn absolute_deadline(&self) -> Result<Option<Timestamp>, SessionError> {
        let now = self.inner.shared.now();
        self.of_record(|sign_in, record| Some(absolute_deadline(sign_in, record?, now)))
            .await
    }

    /// What the pending sign-in and the record say together; there is no record if the session is about to end or to start.
    async fn of_record<R>(
        &self,
        found: impl Fn(Option<&SignIn>, Option<&Record>) -> Option<R>,
    ) -> Result<Option<R>, SessionError> {
        with_state!(self, |state, at| self.look_at_record(state, at, &found))
    }

    async fn look_at_record<R>(
        &self,
        state: &mut State,
        at: Instants,
        found: impl Fn(Option<&SignIn>, Option<&Record>) -> Option<R>,
    ) -> Result<Option<R>, SessionError> {
        state.load(&self.inner.shared, at).await?;
        self.leave_other_owner(state);
        let notes = self.inner.notes();
        let record = state.record().filter(|_| !notes.identity.destroy);
        Ok(found(notes.identity.sign_in.as_ref(), record))
    }

    /// Makes sure that it is known whether there is a session, and whether it will still be this one after the commit.
    async fn find_out(&self, state: &mut State, at: Instants) -> Result<(), SessionError> {
        if self.inner.notes().identity.sign_in.is_some() {
            state.load(&self.inner.shared, at).await?;
            self.leave_other_owner(state);
        }
        state.find_out(&self.inner.shared, at).await
    }
}

fn check_limit(
    name: &'static str,
    timeout: Duration,
    longest: Duration,
) -> Result<(), SessionError> {
    if is_timeout(timeout, longest) {
        return Ok(());
    }
    Err(SessionError::InvalidLimit { name, longest })
}

/// Signing in gives a fresh deadline, also while it waits for the commit.
fn absolute_deadline(sign_in: Option<&SignIn>, record: &Record, now: Timestamp) -> Timestamp {
    match sign_in {
        Some(_) => now.saturating_add(record.absolute_timeout),
        None => record.absolute_deadline,
    }
}
