//! The response future, which runs the handler and commits its session before the head leaves.

use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{HeaderValue, Response, StatusCode, header};
use pin_project_lite::pin_project;

#[cfg(feature = "device-bound")]
use crate::device::Answer;
use crate::{
    config::Config,
    error::{RETRY_AFTER, SessionError},
    session::{Commit, Committed, End, Session},
    transport,
};

/// Without the feature there is none: the layer never answers in the application's place.
#[cfg(not(feature = "device-bound"))]
struct Answer<B>(std::convert::Infallible, std::marker::PhantomData<B>);

#[cfg(not(feature = "device-bound"))]
impl<B> Answer<B> {
    fn poll(&mut self, _: &mut Context<'_>) -> Poll<Response<B>> {
        match self.0 {}
    }
}

pin_project! {
    /// The response of a [`SessionService`](crate::service::SessionService).
    pub struct ResponseFuture<F, B> {
        #[pin]
        answerer: Answerer<F, B>,
    }
}

pin_project! {
    /// Who answers.
    #[project = Projected]
    enum Answerer<F, B> {
        /// The application.
        Application {
            #[pin]
            inner: F,
            state: State<B>,
        },
        /// The layer, a browser that binds or proves its device.
        Layer { answer: Box<Answer<B>> },
    }

    impl<F, B> PinnedDrop for Answerer<F, B> {
        fn drop(this: Pin<&mut Self>) {
            // The client left, or the handler failed: nothing further is committed, and a task that
            // still holds the session learns of it.
            if let Projected::Application { state, .. } = this.project() {
                match state {
                    State::Handling(session) => session.abandon(),
                    State::Committing(committing) => committing.session.abandon(),
                    State::Passing => {}
                }
            }
        }
    }
}

enum State<B> {
    /// The handler works on its response, and its session is committed afterwards.
    Handling(Session),
    /// The response waits for the commit.
    Committing(Box<Committing<B>>),
    /// Nothing is left to do: the session is committed, or an outer layer commits it.
    Passing,
}

struct Committing<B> {
    session: Session,
    commit: Commit,
    response: Response<B>,
}

impl<F, B> ResponseFuture<F, B> {
    pub(crate) const fn new(inner: F, session: Session) -> Self {
        let state = State::Handling(session);
        Self {
            answerer: Answerer::Application { inner, state },
        }
    }

    pub(crate) const fn passing(inner: F) -> Self {
        let state = State::Passing;
        Self {
            answerer: Answerer::Application { inner, state },
        }
    }

    #[cfg(feature = "device-bound")]
    pub(crate) fn answering(answer: Answer<B>) -> Self {
        let answer = Box::new(answer);
        Self {
            answerer: Answerer::Layer { answer },
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
        let (mut inner, state) = match self.project().answerer.project() {
            Projected::Application { inner, state } => (inner, state),
            Projected::Layer { answer } => return answer.poll(context).map(Ok),
        };
        match state {
            State::Passing => inner.poll(context),
            State::Handling(session) => {
                // The response is changed where it stands: it is large, and most only pass.
                let mut polled = inner.as_mut().poll(context);
                let Poll::Ready(Ok(response)) = &mut polled else {
                    return polled;
                };
                let mut commit = match session.end(response.status().is_server_error()) {
                    End::Untouched => {
                        *state = State::Passing;
                        return polled;
                    }
                    End::Unchanged(audience) => {
                        let (config, _) = session.config();
                        transport::mark_private(response.headers_mut(), audience, config);
                        *state = State::Passing;
                        return polled;
                    }
                    End::Commit(commit) => commit,
                };
                if let Poll::Ready(committed) = commit.as_mut().poll(context) {
                    finish(session, committed, response);
                    *state = State::Passing;
                    return polled;
                }
                *state = State::Committing(Box::new(Committing {
                    session: session.clone(),
                    commit,
                    response: mem::take(response),
                }));
                Poll::Pending
            }
            State::Committing(committing) => {
                let committed = ready!(committing.commit.as_mut().poll(context));
                let mut response = mem::take(&mut committing.response);
                finish(&committing.session, committed, &mut response);
                *state = State::Passing;
                Poll::Ready(Ok(response))
            }
        }
    }
}

/// Writes the outcome of the commit into the response.
fn finish<B: Default>(session: &Session, committed: Committed, response: &mut Response<B>) {
    let (config, https) = session.config();
    if let Err(error) = committed.result {
        refuse(config, error, response);
    }
    transport::mark_private(response.headers_mut(), committed.audience, config);
    if let Some(change) = committed.cookie
        && let Err(error) = transport::send(&change, response.headers_mut(), config, https)
    {
        // The template was checked at start and a token is always a cookie value: only a clock far
        // off gets here.
        tracing::error!(%error, "could not write the session cookie");
    }
}

/// Replaces the response after a failed commit: neither a success nor a header of the handler may
/// reach the client. A handler's own 5xx stays.
fn refuse<B: Default>(config: &Config, error: SessionError, response: &mut Response<B>) {
    config.events.commit_failed(&error, config.now());
    if !response.status().is_server_error() {
        *response = Response::default();
        *response.status_mut() = error.status();
        if error.status() == StatusCode::SERVICE_UNAVAILABLE {
            let seconds = HeaderValue::from_static(RETRY_AFTER);
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
    }
    if let Some(hook) = &config.on_error {
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
