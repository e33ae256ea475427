//! The tower service, which gives each request its session.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_service::Service;

#[cfg(feature = "device-bound")]
use crate::device::{self, Carried};
pub use crate::future::ResponseFuture;
use crate::{
    config::{Config, Head},
    session::Session,
    transport::{self, Candidates},
};

/// Gives each request a [`Session`]; made by [`SessionLayer`](crate::SessionLayer).
#[derive(Clone)]
pub struct SessionService<S> {
    inner: S,
    config: Arc<Config>,
}

impl<S> SessionService<S> {
    pub(crate) const fn new(inner: S, config: Arc<Config>) -> Self {
        Self { inner, config }
    }
}

impl<S, RequestBody, ResponseBody> Service<Request<RequestBody>> for SessionService<S>
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>>,
    ResponseBody: Default + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, ResponseBody>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<RequestBody>) -> Self::Future {
        let mut head = Head::default();
        if self.config.asks_for_head {
            #[cfg(feature = "device-bound")]
            if let Some(answer) = device::answer(&self.config, &request) {
                return ResponseFuture::answering(answer);
            }
            let (parts, body) = request.into_parts();
            head = self.config.read_head(&parts);
            request = Request::from_parts(parts, body);
        }
        let candidates = transport::candidates(request.headers(), &self.config);
        let too_many = matches!(candidates, Candidates::TooMany);
        let session = Session::new(Arc::clone(&self.config), candidates, head);
        #[cfg(feature = "device-bound")]
        if let Some(device) = &self.config.device {
            let carried = Carried::read(request.headers(), device.cookie.name());
            session.ask_for_proof(carried);
        }
        if let Some(outer) = request.extensions_mut().insert(session.clone())
            && outer.config().0.token_name() == self.config.token_name()
        {
            // An outer layer handles the session. Found out last, since it is rare.
            request.extensions_mut().insert(outer);
            return ResponseFuture::passing(self.inner.call(request));
        }
        // Reported once, by the layer whose session it is.
        if too_many {
            let config = &self.config;
            config
                .events
                .ambiguous("too many different session cookies", config.now());
        }
        ResponseFuture::new(self.inner.call(request), session)
    }
}

impl<S: fmt::Debug> fmt::Debug for SessionService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionService")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}
