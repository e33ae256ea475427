//! A client for the examples' tests, which calls a router and keeps the session cookie.
#![allow(dead_code, reason = "no example needs all of it")]

use axum::{Router, body::Body};
use http::{Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use tower::ServiceExt;

/// A response.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    /// The `Set-Cookie` header, or empty.
    pub(crate) set_cookie: String,
    pub(crate) body: String,
}

#[derive(Clone)]
pub(crate) struct Client {
    app: Router,
    /// The `Cookie` header: `name=value`, or empty.
    pub(crate) cookie: String,
}

impl Client {
    pub(crate) fn new(app: &Router) -> Self {
        Self {
            app: app.clone(),
            cookie: String::new(),
        }
    }

    pub(crate) async fn get(&mut self, path: &str) -> Reply {
        self.send("GET", path).await
    }

    pub(crate) async fn post(&mut self, path: &str) -> Reply {
        self.send("POST", path).await
    }

    async fn send(&mut self, method: &str, path: &str) -> Reply {
        let response = self.start(method, path).await;
        let status = response.status();
        let set_cookie = response.headers().get(header::SET_COOKIE);
        let set_cookie = set_cookie.map_or("", |value| value.to_str().unwrap());
        let set_cookie = set_cookie.to_owned();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        Reply {
            status,
            set_cookie,
            body: String::from_utf8(body.into()).unwrap(),
        }
    }

    /// Sends a request and returns the head of the response, without waiting for its body.
    pub(crate) async fn start(&mut self, method: &str, path: &str) -> Response<Body> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::COOKIE, &self.cookie)
            .body(Body::empty());
        let response = self.app.clone().oneshot(request.unwrap()).await.unwrap();
        if let Some(cookie) = response.headers().get(header::SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            let (pair, attributes) = cookie.split_once("; ").unwrap();
            let removed = attributes.contains("Max-Age=0");
            self.cookie = if removed { "" } else { pair }.to_owned();
        }
        response
    }
}
