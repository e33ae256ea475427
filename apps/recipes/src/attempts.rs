use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tower_kr_session::{Clock, Session, SessionError, Timestamp};

const MAX_AGE: Duration = Duration::from_secs(10 * 60);
const MAX_OPEN: usize = 8;

/// Attempts of one kind in a session: what each has to remember until another request ends it.
pub struct Attempts {
    prefix: &'static str,
    clock: Arc<dyn Clock>,
}

#[derive(Serialize, Deserialize)]
struct Begun<T> {
    at_millis: i64,
    attempt: T,
}

impl Attempts {
    /// Keeps attempts under keys that begin with `prefix`.
    pub fn new(prefix: &'static str, clock: Arc<dyn Clock>) -> Self {
        Self { prefix, clock }
    }

    /// Stores an attempt under a random id, which nobody else can know.
    ///
    /// # Errors
    /// If the session can't be read or changed.
    pub async fn begin<T: Serialize>(
        &self,
        session: &Session,
        id: &str,
        attempt: T,
    ) -> Result<(), SessionError> {
        let keys = session.keys().await?;
        let open: Vec<_> = keys
            .iter()
            .filter(|key| key.starts_with(self.prefix))
            .collect();
        if open.len() >= MAX_OPEN {
            // Nobody has so many open: they were given up.
            for key in open {
                session.remove(key)?;
            }
        }
        let at_millis = self.clock.now().as_unix_millis();
        session.insert(&self.key(id), &Begun { at_millis, attempt })
    }

    /// Takes an attempt out of the session; `None` if this session didn't begin it, if it was
    /// taken already, or if it is too old.
    ///
    /// # Errors
    /// If the session can't be read or changed.
    pub async fn take<T: DeserializeOwned>(
        &self,
        session: &Session,
        id: &str,
    ) -> Result<Option<T>, SessionError> {
        let begun = session.take::<Begun<T>>(&self.key(id)).await?;
        let now = self.clock.now();
        Ok(begun.and_then(|Begun { at_millis, attempt }| {
            let age = now.saturating_duration_since(Timestamp::from_unix_millis(at_millis));
            (age <= MAX_AGE).then_some(attempt)
        }))
    }

    fn key(&self, id: &str) -> String {
        format!("{}{id}", self.prefix)
    }
}
