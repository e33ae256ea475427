//! A browser for tests: it calls a router and keeps its cookies.
#![allow(dead_code, reason = "no test needs all of it")]

use axum::{Router, body::Body};
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::BodyExt;
use test_support::Jar;
use tower::ServiceExt;

/// A response.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Reply {
    /// The one Set-Cookie header, if there is one.
    pub(crate) fn set_cookie(&self) -> Option<&str> {
        let mut all = self.headers.get_all(header::SET_COOKIE).iter();
        let first = all.next().map(|value| value.to_str().unwrap());
        assert!(all.next().is_none(), "more than one Set-Cookie: {self:?}");
        first
    }

    /// The Max-Age of the cookie, in seconds.
    pub(crate) fn max_age(&self) -> Option<u64> {
        let mut attributes = self.set_cookie().expect("a cookie").split("; ");
        let age = attributes.find_map(|attribute| attribute.strip_prefix("Max-Age="));
        age.map(|age| age.parse().unwrap())
    }
}

#[derive(Clone)]
pub(crate) struct Browser {
    pub(crate) app: Router,
    pub(crate) jar: Jar,
}

impl Browser {
    pub(crate) fn new(app: &Router) -> Self {
        Self {
            app: app.clone(),
            jar: Jar::default(),
        }
    }

    pub(crate) async fn get(&mut self, path: &str) -> Reply {
        let request = Request::get(path).body(Body::empty()).unwrap();
        self.send(request).await
    }

    /// Submits a form.
    pub(crate) async fn post(&mut self, path: &str, form: &str) -> Reply {
        let request = Request::post(path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(form.to_owned()));
        self.send(request.unwrap()).await
    }

    /// Sends a request with the cookies, and keeps those of the response.
    pub(crate) async fn send(&mut self, mut request: Request<Body>) -> Reply {
        if let Some(cookies) = self.jar.header() {
            request.headers_mut().insert(header::COOKIE, cookies);
        }
        let response = self.app.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        self.jar.keep(&parts.headers);
        let body = body.collect().await.unwrap().to_bytes();
        Reply {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8(body.into()).unwrap(),
        }
    }
}
