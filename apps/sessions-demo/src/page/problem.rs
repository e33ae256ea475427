//! What went wrong, as a page.

use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use tower_http::csrf::ProtectionError;
use tower_kr_session::SessionError;

use super::view;
use crate::failure::Failure;

/// A failure of a handler of the page.
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
                (status, view::problem(status, problem.message())).into_response()
            }
            // Carries the error in its extensions, as the layer's own do: `as_page` writes the body.
            Failure::Session(error) => error.into_response(),
        }
    }
}

/// Gives a body to what has none yet: an error of a session, the layer's or a handler's, and a request from another site.
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
    let page = view::problem(head.status, &message).into_response();
    let (page, body) = page.into_parts();
    head.headers.remove(header::CONTENT_LENGTH);
    head.headers.extend(page.headers);
    Response::from_parts(head, body)
}
