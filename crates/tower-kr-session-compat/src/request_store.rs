//! The store that a session of tower-sessions has for one request: the request's own session here.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tower_kr_session::{Session, SessionError, SessionId, store::Values};

use crate::{
    decide::{Calls, RawId, Step, Users, follow_user},
    owner::UserOf,
    values::{Data, difference, parse, write},
};

/// Carries out what the calls of a session of tower-sessions mean.
pub struct RequestStore {
    /// Detached: a task of the handler may save after the response.
    session: Session,
    user_of: Option<UserOf>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    calls: Calls,
    /// The values as they were loaded or last saved; `None` before that.
    known: Option<Known>,
    phase: Phase,
    /// Why the last call failed.
    error: Option<SessionError>,
}

enum Known {
    /// Read only if they are compared with something: most requests only read them.
    Loaded(Values),
    Saved(Data),
}

impl Known {
    fn data(&self) -> Data {
        match self {
            Self::Loaded(values) => parse(values),
            Self::Saved(data) => data.clone(),
        }
    }
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    /// The handler runs. What it saves is stored at once.
    #[default]
    Handling,
    /// The response is ready. What is saved now, the layer commits.
    Ending,
    /// Nobody commits any more. What a task saves or deletes is stored at once.
    Over,
}

/// A session as it was loaded.
pub(crate) struct Loaded {
    pub(crate) id: RawId,
    pub(crate) data: Data,
}

impl RequestStore {
    /// `id`: that of the token which the request carries.
    pub(crate) fn new(session: &Session, id: Option<RawId>, user_of: Option<UserOf>) -> Self {
        let mut state = State::default();
        if let Some(id) = id {
            state.calls.know_as(id);
        }
        Self {
            session: session.detach(),
            user_of,
            state: Mutex::new(state),
        }
    }

    pub(crate) const fn session(&self) -> &Session {
        &self.session
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The handler's `load`.
    pub(crate) async fn load(&self, id: RawId) -> Result<Option<Loaded>, SessionError> {
        let again = {
            let mut state = self.state();
            if !state.calls.load(id) {
                return Ok(None);
            }
            state.known.is_some()
        };
        self.watch(self.load_own(again).await)
    }

    async fn load_own(&self, again: bool) -> Result<Option<Loaded>, SessionError> {
        let session = &self.session;
        if again {
            session.reload().await?;
        }
        let values = session.snapshot().await?;
        // What is known of the session now.
        let Some(id) = session.presented_id().map(raw) else {
            return Ok(None);
        };
        let data = parse(&values);
        let mut state = self.state();
        state.calls.know_as(id);
        state.known = Some(Known::Loaded(values));
        Ok(Some(Loaded { id, data }))
    }

    /// The handler's `create`. Returns the id of the session.
    pub(crate) async fn create(&self, id: RawId, data: &Data) -> Result<RawId, SessionError> {
        let (step, known) = {
            let state = self.state();
            let known = state.known.as_ref().map(Known::data);
            (state.calls.create(id, known.as_ref(), data), known)
        };
        self.watch(self.store(step, id, known, data).await)
    }

    /// The handler's `save`.
    pub(crate) async fn save(&self, id: RawId, data: &Data) -> Result<(), SessionError> {
        let (step, known) = {
            let state = self.state();
            let known = state.known.as_ref().map(Known::data);
            (state.calls.save(id, known.as_ref()), known)
        };
        let Some(step) = step else {
            return Ok(());
        };
        self.watch(self.store(step, id, known, data).await.map(drop))
    }

    /// Notes what differs, and stores it if the layer doesn't do so presently.
    async fn store(
        &self,
        step: Step,
        id: RawId,
        known: Option<Data>,
        data: &Data,
    ) -> Result<RawId, SessionError> {
        let session = &self.session;
        let (step, user) = self.follow_user(step, known.as_ref(), data).await?;
        let base = step.base(known);
        let noted = self.note(step, &base, data, user);
        noted.inspect_err(|_| session.discard())?;
        let commits = self.state().phase != Phase::Ending;
        if commits {
            session.save().await?;
        }
        let own = session.presented_id().filter(|_| commits).map_or(id, raw);
        let mut state = self.state();
        state.known = Some(Known::Saved(data.clone()));
        state.calls.stored(id);
        state.calls.know_as(own);
        Ok(own)
    }

    fn note(
        &self,
        step: Step,
        base: &Data,
        data: &Data,
        user: Option<String>,
    ) -> Result<(), SessionError> {
        let session = &self.session;
        match step {
            Step::GoOn => {}
            Step::Rotate => session.rotate()?,
            Step::Clear => session.clear()?,
            Step::Renew => session.destroy()?,
        }
        for (key, value) in difference(base, data) {
            match value {
                None => session.remove(key)?,
                // As a value it is none, but for tower-sessions the key is there.
                Some(null) if null.is_null() => session.insert_bytes(key, write(null))?,
                Some(value) => session.insert(key, value)?,
            }
        }
        match user {
            Some(user) => session.sign_in(user),
            None => Ok(()),
        }
    }

    /// What a change of the user adds to a step, and the user who signs in.
    async fn follow_user(
        &self,
        step: Step,
        known: Option<&Data>,
        data: &Data,
    ) -> Result<(Step, Option<String>), SessionError> {
        let Some(user_of) = &self.user_of else {
            return Ok((step, None));
        };
        let (before, after) = (known.map(|known| user_of(known)), user_of(data));
        let owner = self.session.owner().await?;
        let users = Users {
            before: before.as_ref().map(Option::as_deref),
            after: after.as_deref(),
            owner: owner.as_ref().map(|owner| owner.as_str()),
        };
        let (step, signs_in) = follow_user(step, users);
        Ok((step, after.filter(|_| signs_in)))
    }

    /// The handler's `delete`: what it means is known by the end of the request.
    pub(crate) async fn delete(&self, id: RawId) -> Result<(), SessionError> {
        let ends = {
            let mut state = self.state();
            state.calls.delete(id);
            state.phase == Phase::Over && state.calls.is_over()
        };
        if ends {
            self.session.destroy()?;
            self.watch(self.session.save().await)?;
        }
        Ok(())
    }

    /// The response is ready: the layer commits what is saved from here on.
    pub(crate) fn end(&self) {
        self.state().phase = Phase::Ending;
    }

    /// Ends the session if it was deleted and nothing was stored since.
    pub(crate) fn end_if_deleted(&self) -> Result<(), SessionError> {
        let is_over = self.state().calls.is_over();
        if is_over {
            self.session.destroy()?;
        }
        Ok(())
    }

    /// The request is over, whether it succeeded or not.
    pub(crate) fn over(&self) {
        self.state().phase = Phase::Over;
    }

    fn watch<T>(&self, result: Result<T, SessionError>) -> Result<T, SessionError> {
        result.inspect_err(|error| self.state().error = Some(error.clone()))
    }

    /// Returns why the last call failed.
    pub(crate) fn take_error(&self) -> Option<SessionError> {
        self.state().error.take()
    }
}

/// Marks the request as over when it is dropped.
pub(crate) struct OverGuard(pub(crate) Arc<RequestStore>);

impl Drop for OverGuard {
    fn drop(&mut self) {
        self.0.over();
    }
}

/// The id as tower-sessions has it: the same bits.
pub(crate) const fn raw(id: SessionId) -> RawId {
    RawId::from_le_bytes(*id.as_bytes())
}

impl fmt::Debug for RequestStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestStore")
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}
