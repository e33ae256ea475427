//! The response future: runs the handler, then commits its session before the head leaves.

use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{HeaderValue, Response, StatusCode, header};
use pin_project_lite::pin_project;

use crate::{
    error::{RETRY_AFTER, SessionError},
    session::{AtOnce, Committed, Session},
    transport,
};

type Commit = Pin<Box<dyn Future<Output = Committed> + Send>>;

pin_project! {
    /// The response of a [`SessionService`](crate::SessionService). It is boxed only for a commit that needs I/O.
    pub struct ResponseFuture<F, B> {
        #[pin]
        inner: F,
        // None if a layer outside of this one commits.
        session: Option<Session>,
        // Apart, since it would make the future of each request larger.
        committing: Option<Box<(Commit, Response<B>)>>,
    }

    impl<F, B> PinnedDrop for ResponseFuture<F, B> {
        fn drop(this: Pin<&mut Self>) {
            // The client left, or the handler panicked: nothing further is committed, and a task that still holds the session
            // is told so.
            if let Some(session) = this.project().session.take() {
                session.abandon();
            }
        }
    }
}

impl<F, B> ResponseFuture<F, B> {
    pub(crate) const fn new(inner: F, session: Session) -> Self {
        Self {
            inner,
            session: Some(session),
            committing: None,
        }
    }

    pub(crate) const fn passing(inner: F) -> Self {
        Self {
            inner,
            session: None,
            committing: None,
        }
    }
}

impl<F, B, E> Future for ResponseFuture<F, B>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Default,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if this.committing.is_none() {
            // Changed where it stands: a response is large, and most only pass.
            let mut polled = this.inner.poll(context);
            let (Poll::Ready(Ok(response)), Some(session)) = (&mut polled, &mut *this.session)
            else {
                return polled;
            };
            match session.commit_at_once() {
                AtOnce::Untouched => {
                    *this.session = None;
                    return polled;
                }
                AtOnce::Unchanged => {
                    transport::mark_private(response.headers_mut());
                    *this.session = None;
                    return polled;
                }
                AtOnce::Done(committed) => {
                    finish(session, committed, response);
                    *this.session = None;
                    return polled;
                }
                AtOnce::Later => {}
            }
            let session = session.clone();
            let commit = Box::pin(async move { session.commit().await });
            *this.committing = Some(Box::new((commit, mem::take(response))));
        }
        let Some(committing) = this.committing else {
            unreachable!("set above")
        };
        let committed = ready!(committing.0.as_mut().poll(context));
        let (Some(committing), Some(session)) = (this.committing.take(), this.session.take())
        else {
            unreachable!("a commit has a response and a session")
        };
        let (_, mut response) = *committing;
        finish(&session, committed, &mut response);
        Poll::Ready(Ok(response))
    }
}

/// Writes into the response what became of the session.
fn finish<B: Default>(session: &Session, committed: Committed, response: &mut Response<B>) {
    if let Err(error) = committed.result {
        refuse(session, error, response);
    }
    transport::mark_private(response.headers_mut());
    if let Some(change) = committed.cookie {
        session.send(&change, response.headers_mut());
    }
}

/// A commit failed: no success and none of the handler's headers may reach the client. A handler's own 5xx stays.
fn refuse<B: Default>(session: &Session, error: SessionError, response: &mut Response<B>) {
    session.log_failure(&error);
    if !response.status().is_server_error() {
        *response = Response::default();
        *response.status_mut() = error.status();
        if error.status() == StatusCode::SERVICE_UNAVAILABLE {
            let seconds = HeaderValue::from_static(RETRY_AFTER);
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
    }
    if let Some(hook) = session.error_hook() {
        let (mut parts, body) = mem::take(response).into_parts();
        hook(&error, &mut parts);
        *response = Response::from_parts(parts, body);
    }
    response.extensions_mut().insert(error);
}

impl<F, B> fmt::Debug for ResponseFuture<F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
