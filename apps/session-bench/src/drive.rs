//! Sends requests to a router in this process, without a socket.

use std::{
    convert::Infallible,
    future::Future,
    hint::black_box,
    io,
    net::{Ipv4Addr, SocketAddr},
    pin::pin,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, Bytes},
    http::{HeaderValue, Request, Response, Uri, header, response::Parts},
};
use http_body_util::BodyExt;
use tokio::{
    net::TcpListener,
    runtime::Runtime,
    task::{JoinSet, unconstrained},
};
use tower_service::Service;

/// A router on a current-thread runtime.
pub struct Driver {
    runtime: Runtime,
    router: Router,
}

impl Driver {
    /// Builds the router inside the runtime that will run it.
    pub fn new(router: impl FnOnce() -> Router) -> Self {
        Self::connect(async { router() })
    }

    /// Does the same for a router that first has to connect to its store.
    pub fn connect(router: impl Future<Output = Router>) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        // As `axum::serve` does. Otherwise each request would wrap its handler in the layer again.
        let router = runtime.block_on(async { router.await.with_state(()) });
        Self { runtime, router }
    }

    /// Returns the same router and store on another runtime, for another thread.
    pub fn fork(&self) -> Self {
        Self::new(|| self.router.clone())
    }

    /// Sends one request and checks that it was answered with success.
    pub fn send(&mut self, target: &Target) -> Response<Bytes> {
        let request = target.request();
        let (parts, body) = self.runtime.block_on(exchange(&mut self.router, request));
        assert!(parts.status.is_success(), "{}", parts.status);
        Response::from_parts(parts, body)
    }

    /// Serves the router on a free port of this machine, forever.
    ///
    /// # Errors
    /// If no port is free.
    pub fn serve(self, started: impl FnOnce(SocketAddr)) -> io::Result<()> {
        self.runtime.block_on(async {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            started(listener.local_addr()?);
            axum::serve(listener, self.router).await
        })
    }

    /// Returns the mean time of `count` requests, which go round the targets.
    pub fn time(&mut self, targets: &[Target], count: u32) -> Duration {
        let router = &mut self.router;
        let work = async {
            let start = Instant::now();
            for target in targets.iter().cycle().take(count as usize) {
                black_box(exchange(router, target.request()).await);
            }
            start.elapsed()
        };
        // A server's task starts each request with a fresh budget. Here none may interrupt the
        // loop.
        self.runtime.block_on(unconstrained(work)) / count
    }

    /// Returns the mean time of `count` requests, with a task for each target, all on one thread.
    pub fn time_concurrently(&mut self, targets: &[Target], count: u32) -> Duration {
        let router = &self.router;
        let each = count as usize / targets.len();
        self.runtime.block_on(async {
            let start = Instant::now();
            let mut tasks = JoinSet::new();
            for target in targets {
                let (mut router, target) = (router.clone(), target.clone());
                tasks.spawn(async move {
                    for _ in 0..each {
                        black_box(exchange(&mut router, target.request()).await);
                    }
                });
            }
            tasks.join_all().await;
            start.elapsed()
        }) / count
    }

    /// Sends a request `count` times, for a profiler or a counter.
    pub fn repeat(&mut self, target: &Target, count: usize) {
        let router = &mut self.router;
        self.runtime.block_on(unconstrained(async {
            for _ in 0..count {
                black_box(exchange(router, target.request()).await);
            }
        }));
    }
}

/// The path and the cookies of a request.
#[derive(Clone)]
pub struct Target {
    uri: Uri,
    cookie: Option<HeaderValue>,
}

impl Target {
    pub const fn new(uri: Uri, cookie: Option<HeaderValue>) -> Self {
        Self { uri, cookie }
    }

    pub fn path(&self) -> &str {
        self.uri.path()
    }

    pub const fn cookie(&self) -> Option<&HeaderValue> {
        self.cookie.as_ref()
    }

    pub fn request(&self) -> Request<Body> {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = self.uri.clone();
        if let Some(cookie) = &self.cookie {
            request.headers_mut().insert(header::COOKIE, cookie.clone());
        }
        request
    }
}

/// Returns the cookies that a browser sends back after this response.
pub fn cookies_of<B>(response: &Response<B>) -> Option<HeaderValue> {
    let pairs: Vec<&[u8]> = response
        .headers()
        .get_all(header::SET_COOKIE)
        .iter()
        .filter_map(|cookie| cookie.as_bytes().split(|byte| *byte == b';').next())
        .collect();
    (!pairs.is_empty())
        .then(|| HeaderValue::from_bytes(&pairs.join(&b"; "[..])).expect("parts of a header"))
}

/// Returns the result of a future that has nothing to wait for.
pub fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the future waits"),
    }
}

/// Sends a request and collects the body.
async fn exchange(router: &mut Router, request: Request<Body>) -> (Parts, Bytes) {
    let Ok::<_, Infallible>(response) = Service::call(router, request).await;
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("a body in memory").to_bytes();
    (parts, body)
}
