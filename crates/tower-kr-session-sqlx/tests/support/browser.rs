//! A visitor of an application that counts in its session.

use std::{
    convert::Infallible,
    time::{Duration, Instant},
};

use http::{Request, Response, StatusCode, header};
use test_support::Jar;
use tower::{Layer, ServiceExt, service_fn};
use tower_kr_session::{Session, SessionLayer, SessionStore};

/// The layer's timeout for each call of the store.
const IO_TIMEOUT: Duration = Duration::from_secs(1);

pub(crate) struct Browser {
    layer: SessionLayer,
    jar: Jar,
}

impl Browser {
    pub(crate) fn new(store: impl SessionStore) -> Self {
        Self {
            layer: SessionLayer::new(store).io_timeout(IO_TIMEOUT),
            jar: Jar::default(),
        }
    }

    /// Counts, and keeps the cookie if it gets one.
    pub(crate) async fn visit(&mut self) -> Response<String> {
        let handler = service_fn(|request: Request<()>| async move {
            let session: &Session = request.extensions().get().unwrap();
            let count = session.increment("n", 1).await;
            // It answers as if all were well, come what may: the layer knows better.
            Ok::<_, Infallible>(Response::new(
                count.map_or(String::new(), |n| n.to_string()),
            ))
        });
        let mut request = Request::new(());
        if let Some(cookies) = self.jar.header() {
            request.headers_mut().insert(header::COOKIE, cookies);
        }
        let Ok(response) = self.layer.layer(handler).oneshot(request).await;
        self.jar.keep(response.headers());
        response
    }

    /// Visits and expects this count.
    pub(crate) async fn counts(&mut self, count: i64) {
        let response = self.visit().await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.body(), &count.to_string());
    }

    /// Visits and is asked in time to come again; the cookie stays.
    pub(crate) async fn is_asked_to_come_again(&mut self) {
        let started = Instant::now();
        let response = self.visit().await;
        let elapsed = started.elapsed();
        assert!(elapsed < IO_TIMEOUT + Duration::from_secs(1), "{elapsed:?}");
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(response.headers().contains_key(header::RETRY_AFTER));
        assert!(!response.headers().contains_key(header::SET_COOKIE));
    }

    /// Visits until it is served again, and returns the count.
    pub(crate) async fn comes_again(&mut self) -> i64 {
        let deadline = Instant::now() + super::DEADLINE;
        loop {
            let response = self.visit().await;
            if response.status() == StatusCode::OK {
                return response.body().parse().unwrap();
            }
            assert!(Instant::now() < deadline, "{response:?}");
        }
    }
}
