//! Answers the questions that the page's query asks.

use http::StatusCode;
use tower_kr_session::Session;

use super::{problem::Problem, refused::Refused};
use crate::{failure::Failure, query::Query, user_input::UserKey};

/// The answer to the page's query, or to a form that was refused.
pub(super) enum Answer {
    Nothing,
    /// A key, and the value stored at it.
    Value(String, Option<String>),
    WhoAmI,
    Refused(Refused),
}

impl Answer {
    pub(super) async fn to(query: Query<'_>, session: &Session) -> Result<Self, Problem> {
        if let Some(key) = query.get("get")? {
            return match UserKey::new(&key) {
                Ok(stored_at) => Ok(Self::Value(key, session.get(&stored_at.0).await?)),
                Err(Failure::Request(status, problem)) => Ok(Self::Refused(Refused {
                    status,
                    field: "get-key",
                    message: problem.message().to_owned(),
                    input: vec![("get-key", key)],
                })),
                Err(failure) => Err(failure.into()),
            };
        }
        Ok(match query.get("whoami")? {
            Some(_) => Self::WhoAmI,
            None => Self::Nothing,
        })
    }

    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Refused(refused) => refused.status,
            _ => StatusCode::OK,
        }
    }
}
