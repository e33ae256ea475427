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
///
/// The cause is logged even if the application makes another response of it. The client learns
/// nothing about the server's set-up.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}", SessionError::MissingLayer)]
pub struct MissingSessionLayer(());

impl IntoResponse for MissingSessionLayer {
    fn into_response(self) -> Response {
        tracing::error!("{self}");
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    }
}

/// For extractors that answer a [`SessionError`] as their rejection.
impl From<MissingSessionLayer> for SessionError {
    fn from(_: MissingSessionLayer) -> Self {
        Self::MissingLayer
    }
}

/// For extractors whose rejection is a status and a text.
impl From<MissingSessionLayer> for (StatusCode, &'static str) {
    fn from(missing: MissingSessionLayer) -> Self {
        tracing::error!("{missing}");
        (StatusCode::INTERNAL_SERVER_ERROR, "Internal server error")
    }
}

impl IntoResponse for SessionError {
    /// Responds with the status of the error, its public message as text, and `Retry-After` if the
    /// store is down.
    fn into_response(self) -> Response {
        if let Self::MissingLayer = self {
            tracing::error!("{self}");
        }
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
