//! A client of the application without a server in between.

use axum::{Router, body::Body};
use http::{Method, Request, header, request::Builder};
use http_body_util::BodyExt;
use test_support::Jar;
use tower::ServiceExt;

pub(crate) const NAME: &str = "Kr.Session";

#[derive(Clone)]
pub(crate) struct Client {
    app: Router,
    pub(crate) jar: Jar,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: String,
}

impl Client {
    pub(crate) fn new(app: &Router) -> Self {
        Self {
            app: app.clone(),
            jar: Jar::default(),
        }
    }

    pub(crate) fn token(&self) -> Option<&str> {
        self.jar.get(NAME)
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.send(Method::GET, path).await
    }

    pub(crate) async fn post(&mut self, path: &str, form: &'static str) -> Answer {
        let request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.request(request, form).await
    }

    pub(crate) async fn send(&mut self, method: Method, path: &str) -> Answer {
        self.request(Request::builder().method(method).uri(path), "")
            .await
    }

    pub(crate) async fn request(&mut self, mut request: Builder, body: &'static str) -> Answer {
        if let Some(cookies) = self.jar.header() {
            request = request.header(header::COOKIE, cookies);
        }
        let response = self
            .app
            .clone()
            .oneshot(request.body(Body::from(body)).unwrap())
            .await
            .unwrap();
        self.jar.keep(response.headers());
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }
}

impl Answer {
    #[track_caller]
    pub(crate) fn is(&self, status: u16, body: &str) {
        assert_eq!((self.status, self.body.as_str()), (status, body));
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}
