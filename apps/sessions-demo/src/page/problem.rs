//! Renders failures as pages.

use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use tower_http::csrf::ProtectionError;
use tower_kr_session::SessionError;

use super::document;
use crate::failure::Failure;

/// A failure of one of the page's handlers.
pub(crate) struct Problem(Failure);

impl<F: Into<Failure>> From<F> for Problem {
    fn from(failure: F) -> Self {
        Self(failure.into())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        match self.0 {
            Failure::Request(status, problem) => {
                (status, document::problem(status, problem.message())).into_response()
            }
            // The response carries the error in its extensions, like the layer's own: `as_page`
            // writes the body.
            Failure::Session(error) => error.into_response(),
        }
    }
}

/// Writes the body of responses that have none: session errors, forms sent by other sites, wrong
/// methods.
pub(super) async fn as_page(response: Response) -> Response {
    let extensions = response.extensions();
    let message = if let Some(error) = extensions.get::<SessionError>() {
        error.public_message()
    } else if extensions.get::<ProtectionError>().is_some() {
        "This form was sent by another site: nothing was done".to_owned()
    } else if response.status() == StatusCode::METHOD_NOT_ALLOWED {
        "This address is for the forms of the page".to_owned()
    } else {
        return response;
    };
    let (mut head, _) = response.into_parts();
    let page = document::problem(head.status, &message).into_response();
    let (page, body) = page.into_parts();
    head.headers.remove(header::CONTENT_LENGTH);
    head.headers.extend(page.headers);
    Response::from_parts(head, body)
}
