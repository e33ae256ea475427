//! Answers failed requests with JSON.

use std::borrow::Cow;

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use serde::Serialize;
use tower_kr_session::SessionError;

/// Why a handler failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The request is wrong, or names something that doesn't exist.
    Request(StatusCode, Problem),
    /// The session couldn't be read or written.
    Session(SessionError),
}

/// Marks the response to a request for an unknown path.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NoSuchPath;

/// The body of an error response.
#[derive(Debug, Serialize)]
pub(crate) struct Problem {
    error: Cow<'static, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    example: Option<&'static str>,
}

impl Failure {
    pub(crate) fn bad_request(error: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error)
    }

    pub(crate) fn new(status: StatusCode, error: impl Into<Cow<'static, str>>) -> Self {
        Self::Request(
            status,
            Problem {
                error: error.into(),
                example: None,
            },
        )
    }

    /// A missing or blank parameter; `example` is a request that has it.
    pub(crate) fn missing(error: &'static str, example: &'static str) -> Self {
        Self::Request(
            StatusCode::BAD_REQUEST,
            Problem {
                error: error.into(),
                example: Some(example),
            },
        )
    }
}

impl Problem {
    pub(crate) fn message(&self) -> &str {
        &self.error
    }
}

impl From<SessionError> for Failure {
    fn from(error: SessionError) -> Self {
        Self::Session(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        match self {
            Self::Request(status, problem) => (status, Json(problem)).into_response(),
            // The response carries the error in its extensions: `session_error_as_json` writes the
            // body.
            Self::Session(error) => error.into_response(),
        }
    }
}

/// Gives a JSON body to a session error of the layer or a handler. Headers such as `Retry-After`
/// stay.
pub(crate) async fn session_error_as_json(mut response: Response) -> Response {
    let Some(error) = response.extensions_mut().remove::<SessionError>() else {
        return response;
    };
    let problem = Json(Problem {
        error: error.public_message().into(),
        example: None,
    })
    .into_response();
    let (parts, body) = problem.into_parts();
    response.headers_mut().remove(header::CONTENT_LENGTH);
    response.headers_mut().extend(parts.headers);
    *response.body_mut() = body;
    response
}
