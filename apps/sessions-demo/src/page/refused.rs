//! A form that can't be accepted.

use axum::response::{IntoResponse, Response};
use http::StatusCode;

/// What is wrong with a form, and what was written into it.
#[derive(Debug, Clone)]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    /// The id of the field that is wrong, or of the line below the form.
    pub(super) field: &'static str,
    /// What is wrong, as a sentence without its full stop.
    pub(super) message: String,
    /// What was written, by the ids of the fields.
    pub(super) input: Vec<(&'static str, String)>,
}

impl IntoResponse for Refused {
    /// The body is the page, which is rendered where the session and the state are known.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}
