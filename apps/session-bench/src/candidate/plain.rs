//! Routers without sessions, for what a request costs anyway.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{Extension, Router, extract::FromRequestParts, http::request::Parts};
use tower_layer::Layer;
use tower_service::Service;

use crate::routes::{Handle, routes};

/// Builds a router without a layer.
pub(super) fn bare() -> Router {
    routes::<Nothing>()
}

/// Builds a router with a layer that does nothing, above which overheads are counted.
pub(super) fn identity() -> Router {
    routes::<Nothing>().layer(Identity)
}

/// Builds a router with axum's own `Extension` layer.
pub(super) fn extension() -> Router {
    routes::<Nothing>().layer(Extension(Arc::new(0_i64)))
}

/// A substitute for a session where there is none.
struct Nothing;

impl FromRequestParts<()> for Nothing {
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, (): &()) -> Result<Self, Infallible> {
        Ok(Self)
    }
}

impl Handle for Nothing {
    async fn counter(&self) -> Option<i64> {
        None
    }

    async fn set_counter(&self, _: i64) {}

    async fn text(&self, _: &'static str) -> Option<String> {
        None
    }

    async fn set_text(&self, _: &'static str, _: &str) {}
}

#[derive(Clone, Copy)]
struct Identity;

impl<S> Layer<S> for Identity {
    type Service = IdentityService<S>;

    fn layer(&self, inner: S) -> IdentityService<S> {
        IdentityService(inner)
    }
}

/// A service of its own type, which `tower`'s identity layer would not add.
#[derive(Clone)]
struct IdentityService<S>(S);

impl<S: Service<R>, R> Service<R> for IdentityService<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: R) -> S::Future {
        self.0.call(request)
    }
}
