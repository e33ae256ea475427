//! A client that keeps cookies, and a store that fails.
#![allow(dead_code, reason = "no test file needs all of it")]

use std::collections::BTreeMap;

use axum::Router;
use axum::body::Body;
use http::request::Builder;
use http::{Method, Request, Response, header};
use http_body_util::BodyExt;
use tower::ServiceExt;
use tower_kr_session::{
    Owner, SessionId, SessionStore, SessionSummary, StoreError, Timestamp,
    store::{ApplyOutcome, CreateOutcome, Delta, Instants, Record, RemoveOutcome, SecretHash},
};

pub(crate) const NAME: &str = "Kr.Session";

/// A store that answers nothing.
pub(crate) struct Down;

impl SessionStore for Down {
    async fn load(&self, _: SessionId, _: Timestamp) -> Result<Option<Record>, StoreError> {
        Err(StoreError::unavailable("down"))
    }

    async fn create(
        &self,
        _: SessionId,
        _: Record,
        _: Timestamp,
    ) -> Result<CreateOutcome, StoreError> {
        Err(StoreError::unavailable("down"))
    }

    async fn apply(
        &self,
        _: SessionId,
        _: &SecretHash,
        _: Delta,
        _: Instants,
    ) -> Result<ApplyOutcome, StoreError> {
        Err(StoreError::unavailable("down"))
    }

    async fn remove(
        &self,
        _: SessionId,
        _: Option<&SecretHash>,
        _: Instants,
    ) -> Result<RemoveOutcome, StoreError> {
        Err(StoreError::unavailable("down"))
    }

    async fn list(&self, _: &Owner, _: Timestamp) -> Result<Vec<SessionSummary>, StoreError> {
        Err(StoreError::unavailable("down"))
    }

    async fn remove_owned(
        &self,
        _: &Owner,
        _: Option<SessionId>,
        _: Timestamp,
    ) -> Result<u64, StoreError> {
        Err(StoreError::unavailable("down"))
    }
}

/// Keeps cookies by their names alone, which is enough for one host and one path.
#[derive(Clone)]
pub(crate) struct Client {
    app: Router,
    pub(crate) jar: BTreeMap<String, String>,
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
            jar: BTreeMap::new(),
        }
    }

    pub(crate) fn token(&self) -> Option<&str> {
        self.jar.get(NAME).map(String::as_str)
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
        for (name, value) in &self.jar {
            request = request.header(header::COOKIE, format!("{name}={value}"));
        }
        let response = self
            .app
            .clone()
            .oneshot(request.body(Body::from(body)).unwrap())
            .await
            .unwrap();
        self.keep_cookies(&response);
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    fn keep_cookies(&mut self, response: &Response<Body>) {
        for cookie in response.headers().get_all(header::SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            let (pair, attributes) = cookie.split_once(';').unwrap_or((cookie, ""));
            let (name, value) = pair.split_once('=').unwrap();
            if attributes
                .split(';')
                .any(|attribute| attribute.trim() == "Max-Age=0")
            {
                self.jar.remove(name);
            } else {
                self.jar.insert(name.to_owned(), value.to_owned());
            }
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
