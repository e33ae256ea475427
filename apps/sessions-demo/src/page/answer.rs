//! Answers the questions that the page's query asks.

use tower_kr_session::Session;

use super::problem::Problem;
use crate::{query::Query, user_key::UserKey};

/// The answer to the page's query.
pub(super) enum Answer {
    Nothing,
    /// A key, and the value stored at it.
    Value(String, Option<String>),
    WhoAmI,
}

impl Answer {
    pub(super) async fn to(query: Query<'_>, session: &Session) -> Result<Self, Problem> {
        if let Some(key) = query.get("get")? {
            let value = session.get(&UserKey::new(&key)?.0).await?;
            return Ok(Self::Value(key, value));
        }
        Ok(match query.get("whoami")? {
            Some(_) => Self::WhoAmI,
            None => Self::Nothing,
        })
    }
}
