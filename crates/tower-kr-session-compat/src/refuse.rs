//! The answer to a request whose session can't be stored.

use http::{HeaderValue, Response, StatusCode, header};
use tower_kr_session::SessionError;

/// How many seconds a client shall wait before it tries again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

/// Replaces a response as the session layer does: nothing of the handler's reaches the client.
pub(crate) fn refuse<B: Default>(error: SessionError, response: &mut Response<B>) {
    *response = Response::default();
    *response.status_mut() = error.status();
    if error.status() == StatusCode::SERVICE_UNAVAILABLE {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, RETRY_AFTER);
    }
    response.extensions_mut().insert(error);
}
