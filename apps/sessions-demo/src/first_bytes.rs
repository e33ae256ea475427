//! Ends connections that don't begin a request in time, and says so if one begins with TLS instead.
//!
//! hyper starts its timeout for headers once it knows the version of HTTP. It waits for the bytes
//! that tell the version without one. It ends a connection that begins with anything else, and
//! tells nobody.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum_server::accept::Accept;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

use crate::{log::Limit, stream::forward_writes};

/// What a client of HTTP/2 sends first. hyper knows the version when it has all of this, or a byte
/// that differs.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The type of a record that begins a TLS handshake.
const TLS: u8 = 22;

/// Accepts what `inner` accepts, and gives its streams a deadline for the first bytes.
#[derive(Clone)]
pub(crate) struct FirstBytes<A> {
    inner: A,
    timeout: Duration,
    tls: Arc<Limit>,
}

impl<A> FirstBytes<A> {
    pub(crate) fn within(timeout: Duration, inner: A) -> Self {
        let tls = Arc::default();
        Self {
            inner,
            timeout,
            tls,
        }
    }
}

impl<A, I, S> Accept<I, S> for FirstBytes<A>
where
    A: Accept<I, S, Future: Send + 'static>,
{
    type Stream = Hurried<A::Stream>;
    type Service = A::Service;
    type Future = Pin<Box<dyn Future<Output = io::Result<(Self::Stream, Self::Service)>> + Send>>;

    fn accept(&self, stream: I, service: S) -> Self::Future {
        let accepted = self.inner.accept(stream, service);
        let timeout = self.timeout;
        let tls = Arc::clone(&self.tls);
        Box::pin(async move {
            let (stream, service) = accepted.await?;
            let hurried = Hurried {
                stream,
                awaited: PREFACE,
                deadline: Some(Box::pin(sleep(timeout))),
                tls,
            };
            Ok((hurried, service))
        })
    }
}

/// A stream whose first bytes must come before a deadline.
pub(crate) struct Hurried<S> {
    stream: S,
    /// What is left of the preface.
    awaited: &'static [u8],
    /// Gone once the version is known.
    deadline: Option<Pin<Box<Sleep>>>,
    tls: Arc<Limit>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Hurried<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if let Some(deadline) = &mut self.deadline {
            if read.is_pending() && deadline.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            let bytes = &buffer.filled()[before..];
            if self.awaited == PREFACE
                && bytes.first() == Some(&TLS)
                && let Some(suppressed) = self.tls.permit()
            {
                tracing::info!(suppressed, "TLS at the HTTP port: the connection ends");
            }
            match self.awaited.strip_prefix(bytes) {
                Some(rest) if !rest.is_empty() => self.awaited = rest,
                _ => self.deadline = None,
            }
        }
        read
    }
}

forward_writes!([S: AsyncWrite + Unpin] Hurried<S>);
