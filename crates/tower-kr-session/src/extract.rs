//! The axum extractor for [`Session`], and errors as axum responses (feature `axum`).

use std::convert::Infallible;

use axum_core::{
    extract::{FromRequestParts, OptionalFromRequestParts},
    response::{IntoResponse, Response},
};
use http::{StatusCode, header, request::Parts};

use crate::{
    error::{RETRY_AFTER, SessionError},
    session::Session,
};

impl<S: Sync> FromRequestParts<S> for Session {
    type Rejection = MissingSessionLayer;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        parts
            .extensions
            .get()
            .cloned()
            .ok_or(MissingSessionLayer(()))
    }
}

/// `None` where no layer is around the route.
impl<S: Sync> OptionalFromRequestParts<S> for Session {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        Ok(parts.extensions.get().cloned())
    }
}

/// Rejection of a handler that extracts a [`Session`] without a
/// [`SessionLayer`](crate::SessionLayer) around it. 500
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "no SessionLayer around this route: add `.layer(SessionLayer::new(store))` after the routes that use `Session`"
)]
pub struct MissingSessionLayer(());

impl IntoResponse for MissingSessionLayer {
    /// Logs the cause. The client learns nothing about the server's set-up.
    fn into_response(self) -> Response {
        tracing::error!("{self}");
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    }
}

impl IntoResponse for SessionError {
    /// Responds with the status of the error, its public message as text, and `Retry-After` if the
    /// store is down.
    fn into_response(self) -> Response {
        let message = self.public_message();
        let mut response = if self.is_temporary() {
            (self.status(), [(header::RETRY_AFTER, RETRY_AFTER)], message).into_response()
        } else {
            (self.status(), message).into_response()
        };
        response.extensions_mut().insert(self);
        response
    }
}
