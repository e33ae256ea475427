//! An application of one handler over Redis, and its client.

use std::{convert::Infallible, future::Future, time::Duration};

use http::{HeaderMap, Request, Response, StatusCode, header};
use kr_cookie::CookieBuilder;
use tower::{Layer, ServiceExt, service_fn};
use tower_kr_session::{Session, SessionError, SessionLayer};
use tower_kr_session_redis::RedisStore;

const NAME: &str = "Kr.Session";
pub(crate) const IO_TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Clone)]
pub(crate) struct App(SessionLayer);

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Reply {
    /// The token that the client was given.
    pub(crate) fn token(&self) -> String {
        let cookie = self.headers[header::SET_COOKIE].to_str().expect("text");
        let (pair, _) = cookie.split_once(';').expect("attributes");
        let token = pair.strip_prefix("Kr.Session=").expect("the cookie");
        assert_eq!(token.len(), 64);
        token.to_owned()
    }
}

impl App {
    pub(crate) async fn start(url: &str) -> Self {
        let store = RedisStore::builder(url)
            .response_timeout(IO_TIMEOUT / 4)
            .connect_timeout(IO_TIMEOUT / 4)
            .connect();
        let layer = SessionLayer::new(store.await.expect("connect"))
            .cookie(CookieBuilder::new(NAME))
            .io_timeout(IO_TIMEOUT);
        layer.check().expect("the settings are right");
        Self(layer)
    }

    /// Sends a request with this token and lets `handler` answer it.
    pub(crate) async fn request<F>(
        &self,
        token: Option<&str>,
        handler: impl FnOnce(Session) -> F + Send + 'static,
    ) -> Reply
    where
        F: Future<Output = Result<String, SessionError>> + Send + 'static,
    {
        let mut request = Request::builder().uri("/");
        if let Some(token) = token {
            request = request.header(header::COOKIE, format!("{NAME}={token}"));
        }
        let mut handler = Some(handler);
        let service = self.0.layer(service_fn(move |request: Request<()>| {
            let session = request.extensions().get::<Session>().cloned();
            let handler = handler.take().expect("one request");
            let answer = handler(session.expect("the layer is there"));
            async move {
                Ok::<_, Infallible>(match answer.await {
                    Ok(body) => Response::new(body),
                    // A handler that doesn't care: the layer must not let that pass.
                    Err(error) if error.status() == StatusCode::SERVICE_UNAVAILABLE => {
                        Response::new("all is well".to_owned())
                    }
                    Err(error) => {
                        let mut response = Response::new(String::new());
                        *response.status_mut() = error.status();
                        response
                    }
                })
            }
        }));
        let request = request.body(()).expect("a request");
        let Ok(response) = service.oneshot(request).await;
        let (parts, body) = response.into_parts();
        Reply {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    pub(crate) async fn counter(&self, token: Option<&str>) -> Reply {
        self.request(token, |session| async move {
            Ok(session.increment("counter", 1).await?.to_string())
        })
        .await
    }

    pub(crate) async fn insert(&self, token: Option<&str>, key: String) -> Reply {
        self.request(token, |session| async move {
            session.insert(&key, "value")?;
            Ok(key)
        })
        .await
    }

    pub(crate) async fn read(&self, token: &str) -> Reply {
        self.request(Some(token), |session| async move {
            Ok(format!("{:?}", session.get::<i64>("counter").await?))
        })
        .await
    }

    /// A handler that doesn't look at the session.
    pub(crate) async fn untouched(&self, token: Option<&str>) -> Reply {
        self.request(token, |_| async { Ok("hello".to_owned()) })
            .await
    }

    pub(crate) async fn sign_in(&self, token: Option<&str>, user: &'static str) -> Reply {
        self.request(token, move |session| async move {
            session.sign_in(user)?;
            Ok(user.to_owned())
        })
        .await
    }

    pub(crate) async fn sign_out(&self, token: &str) -> Reply {
        self.request(Some(token), |session| async move {
            session.sign_out()?;
            Ok(String::new())
        })
        .await
    }
}
