//! Renders failures as pages.

use axum::{
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode, header};
use tower_http::csrf::ProtectionError;
use tower_kr_session::SessionError;

use super::{document, refused::Refused};
use crate::failure::{Failure, NoSuchPath};

/// A failure of one of the page's handlers.
pub(crate) enum Problem {
    /// It gets a page of its own.
    Failure(Failure),
    /// The page shows the form again.
    Form(Refused),
}

impl<F: Into<Failure>> From<F> for Problem {
    fn from(failure: F) -> Self {
        Self::Failure(failure.into())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        match self {
            Self::Failure(Failure::Request(status, problem)) => {
                (status, document::problem(status, problem.message())).into_response()
            }
            // The response carries the error in its extensions, like the layer's own: `as_page`
            // writes the body.
            Self::Failure(Failure::Session(error)) => error.into_response(),
            Self::Form(refused) => refused.into_response(),
        }
    }
}

/// Writes the body of responses that have none: session errors, forms sent by other sites, wrong
/// methods.
pub(super) async fn as_page(request: Request, next: Next) -> Response {
    let is_form = request.uri().path() != "/";
    let response = next.run(request).await;
    let wrong_method = response.status() == StatusCode::METHOD_NOT_ALLOWED;
    let extensions = response.extensions();
    let message = if let Some(error) = extensions.get::<SessionError>() {
        error.public_message()
    } else if extensions.get::<ProtectionError>().is_some() {
        "This form was sent by another site: nothing was done".to_owned()
    } else if wrong_method && is_form {
        "This address is for the forms of the page: it takes POST alone".to_owned()
    } else if wrong_method {
        "This address is the page itself: it takes GET and HEAD alone".to_owned()
    } else {
        return response;
    };
    with_page(response, &message)
}

/// Answers browsers that ask for an unknown path with a page.
pub(crate) async fn no_such_path(request: Request, next: Next) -> Response {
    let is_browser = wants_html(request.headers());
    let response = next.run(request).await;
    if is_browser && response.extensions().get::<NoSuchPath>().is_some() {
        return with_page(response, "There is nothing at this address");
    }
    response
}

fn wants_html(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter();
    let mut accepted = accepted.filter_map(|accepted| accepted.to_str().ok());
    accepted.any(|accepted| accepted.contains("text/html"))
}

fn with_page(response: Response, message: &str) -> Response {
    let (mut head, _) = response.into_parts();
    let page = document::problem(head.status, message).into_response();
    let (page, body) = page.into_parts();
    head.headers.remove(header::CONTENT_LENGTH);
    head.headers.extend(page.headers);
    Response::from_parts(head, body)
}
