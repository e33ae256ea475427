//! What an application asks for, its checks, and the form in which requests use it.

use std::{any::Any, fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Extensions, HeaderValue, Method, Request, Uri};
use kr_cookie::{CookieBuilder, CookieTemplate, SecurePolicy};
use time::OffsetDateTime;

use super::{
    binding::Fresh,
    claims::Claim,
    secret::{Secret, challenge_hash, cookie_hash},
};
use crate::{
    config::ConfigError,
    model::{SessionId, Timestamp, whole_millis},
};

const DEFAULT_LIFETIME: Duration = Duration::from_secs(10 * 60);
const SHORTEST_LIFETIME: Duration = Duration::from_secs(2);
const LONGEST_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// What the name of the bound cookie has after that of the session's.
const SUFFIX: &str = ".Bound";

type OriginalUri = fn(&Extensions) -> Option<&Uri>;

/// Binds sessions to the browser's device, for
/// [`SessionLayer::device_binding`](crate::SessionLayer::device_binding) (feature `device-bound`).
///
/// **Experimental**: the [specification](https://www.w3.org/TR/dbsc/) is a draft of the W3C (as of
/// November 2026), and this follows it and the browsers, also where that breaks the API.
///
/// After a sign-in over HTTPS, a browser that supports Device Bound Session Credentials makes a key
/// that never leaves the device, and registers it at `<path>/register`. From then on a second
/// cookie, which lives some minutes, has to come with the session's. For a new one the browser
/// signs a challenge at `<path>/refresh`. The layer answers both itself. A stolen pair of cookies
/// is worthless after those minutes, and stolen tokens alone are at once. Other browsers go on as
/// if nothing was offered.
///
/// ```
/// use std::time::Duration;
/// use tower_kr_session::{DeviceBinding, MemoryStore, SessionLayer};
///
/// let layer = SessionLayer::new(MemoryStore::new()).device_binding(
///     DeviceBinding::new("/session/device").proof_lifetime(Duration::from_secs(5 * 60)),
/// );
#[cfg_attr(feature = "axum", doc = "# layer.check()?;")]
/// # Ok::<(), tower_kr_session::ConfigError>(())
/// ```
#[derive(Clone)]
#[must_use = "it does nothing until a layer gets it"]
pub struct DeviceBinding {
    path: String,
    lifetime: Duration,
    grace: Duration,
    original_uri: Option<OriginalUri>,
    body: Option<BodyMaker>,
}

/// How the service makes a body of its responses: a `fn(Bytes) -> Body`.
#[derive(Clone)]
struct BodyMaker(Arc<dyn Any + Send + Sync>);

impl BodyMaker {
    fn new<B: 'static>(make: fn(Bytes) -> B) -> Self {
        Self(Arc::new(make))
    }
}

impl DeviceBinding {
    /// Creates the binding whose endpoints are `<path>/register` and `<path>/refresh`: a public
    /// path of the site, such as `/session/device`, without a slash at the end.
    ///
    /// It is the path that browsers request, and the session cookie must be sent to it. Requests
    /// other than `POST` go to the application.
    pub fn new(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            lifetime: DEFAULT_LIFETIME,
            grace: Duration::ZERO,
            original_uri: None,
            #[cfg(feature = "axum")]
            body: Some(BodyMaker::new(axum_core::body::Body::from)),
            #[cfg(not(feature = "axum"))]
            body: None,
        }
    }

    /// Sets how long a proof counts, from 2 seconds to a day. Default: 10 minutes.
    ///
    /// The bound cookie lives a tenth of it shorter, but at most 10 seconds, rounded down to whole
    /// seconds, so that no request of a good browser comes too late. A proof that was given before
    /// counts until its own end.
    pub const fn proof_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Sets how long after its end a proof still counts in a request that says, with
    /// `Secure-Session-Skipped`, that the browser could not get a new one. Up to a day. Default:
    /// zero.
    ///
    /// Browsers limit how often they sign, and send the request all the same when that is used up.
    /// Whoever has both cookies can send that header too: they are worth this much longer.
    pub const fn accept_stale_when_skipped(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Sets where the original URI of a request is, for a layer inside of a router that strips the
    /// path before. Default: the request's own URI.
    ///
    /// With axum: `|extensions| extensions.get::<OriginalUri>().map(|uri| &uri.0)`. A nested router
    /// passes only the requests that it has routes for, so give it some for both endpoints.
    pub const fn original_uri(mut self, find: fn(&Extensions) -> Option<&Uri>) -> Self {
        self.original_uri = Some(find);
        self
    }

    /// Sets how to make the body of a response, for a service whose body is not axum's. Default:
    /// with the feature `axum` as axum's body, else none, and then the check of the layer fails.
    pub fn body<B: 'static>(mut self, make: fn(Bytes) -> B) -> Self {
        self.body = Some(BodyMaker::new(make));
        self
    }

    pub(crate) fn check(&self, session: &CookieBuilder) -> Result<Device, ConfigError> {
        let template = session.build()?;
        let name = format!("{}{SUFFIX}", template.name());
        let cookie = session.clone().name(name).http_only(true).build()?;
        if cookie.secure_policy() == SecurePolicy::None {
            return Err(ConfigError::DeviceCookie);
        }
        let body = self.body.clone().ok_or(ConfigError::DeviceBody)?;
        if !(SHORTEST_LIFETIME..=LONGEST_LIFETIME).contains(&self.lifetime)
            || self.grace > LONGEST_LIFETIME
        {
            return Err(ConfigError::DeviceLifetime {
                lifetime: self.lifetime,
                stale: self.grace,
            });
        }
        let attributes = attributes(&cookie)?;
        if !is_path(&self.path) || !is_sent_to(&attributes, &self.path) {
            let path = self.path.clone();
            return Err(ConfigError::DevicePath { path });
        }
        let claim = Claim::new(&self.path, template.name()).map_err(|other| {
            ConfigError::DevicePathTaken {
                path: self.path.clone(),
                other,
            }
        })?;
        let lifetime = whole_millis(self.lifetime);
        let early = (lifetime / 10).min(Duration::from_secs(10));
        Ok(Device {
            register: format!("{}/register", self.path),
            refresh: format!("{}/refresh", self.path),
            cookie,
            attributes,
            lifetime,
            // In whole seconds, rounded down: a cookie must not live longer than its proof.
            cookie_age: Duration::from_secs((lifetime - early).as_secs()),
            grace: whole_millis(self.grace),
            original_uri: self.original_uri,
            body,
            _claim: claim,
        })
    }
}

impl fmt::Debug for DeviceBinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceBinding")
            .field("path", &self.path)
            .field("proof_lifetime", &self.lifetime)
            .field("accept_stale_when_skipped", &self.grace)
            .finish_non_exhaustive()
    }
}

/// The attributes of a cookie, as its `Set-Cookie` has them. A browser compares them.
fn attributes(cookie: &CookieTemplate) -> Result<String, ConfigError> {
    let header = cookie.render("", true, OffsetDateTime::UNIX_EPOCH)?;
    let text = header.to_str().unwrap_or_default();
    let attributes = text.split_once("; ").map(|(_, attributes)| attributes);
    Ok(attributes.unwrap_or_default().to_owned())
}

/// Whether it is an absolute path that needs no quoting anywhere.
fn is_path(path: &str) -> bool {
    let segments = path.strip_prefix('/').map(|path| path.split('/'));
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let is_segment = |text: &str| !["", ".", ".."].contains(&text) && text.bytes().all(is_plain);
    segments.is_some_and(|mut segments| segments.all(is_segment))
}

/// Whether a cookie with these attributes is sent to a path (RFC 6265bis, section 5.1.4).
fn is_sent_to(attributes: &str, path: &str) -> bool {
    let mut attributes = attributes.split("; ");
    let scope = attributes.find_map(|attribute| attribute.strip_prefix("Path="));
    let scope = scope.unwrap_or("/").trim_end_matches('/');
    path.strip_prefix(scope)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The checked settings.
pub(crate) struct Device {
    register: String,
    refresh: String,
    /// The bound cookie.
    pub(crate) cookie: CookieTemplate,
    attributes: String,
    pub(crate) lifetime: Duration,
    cookie_age: Duration,
    pub(crate) grace: Duration,
    original_uri: Option<OriginalUri>,
    body: BodyMaker,
    _claim: Claim,
}

/// What a browser asks the layer for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Register,
    Refresh,
}

/// The texts that a proof brings, and their hashes.
pub(crate) struct Issued {
    pub(crate) cookie: Secret,
    pub(crate) challenge: Secret,
}

impl Device {
    pub(crate) fn register_path(&self) -> &str {
        &self.register
    }

    /// Returns the endpoint that a request is for, if it is for one.
    pub(crate) fn endpoint<B>(&self, request: &Request<B>) -> Option<Endpoint> {
        if request.method() != Method::POST {
            return None;
        }
        let original = self
            .original_uri
            .and_then(|find| find(request.extensions()));
        let path = original.unwrap_or(request.uri()).path();
        match path {
            path if path == self.register => Some(Endpoint::Register),
            path if path == self.refresh => Some(Endpoint::Refresh),
            _ => None,
        }
    }

    /// Returns how to make a body of this type, if the application said so.
    pub(crate) fn body_maker<B: 'static>(&self) -> Option<fn(Bytes) -> B> {
        self.body.0.downcast_ref().copied()
    }

    pub(crate) fn fresh(&self, issued: &Issued, now: Timestamp) -> Fresh {
        Fresh {
            secret: cookie_hash(issued.cookie.as_str().as_bytes(), self.cookie.name()),
            challenge: challenge_hash(issued.challenge.as_str()),
            now,
            lifetime: self.lifetime,
            kept_for: self.grace,
        }
    }

    pub(crate) fn set_cookie(
        &self,
        value: &Secret,
        now: Timestamp,
    ) -> Result<HeaderValue, kr_cookie::CookieError> {
        let age = self.cookie_age;
        self.cookie
            .render_with_max_age(value.as_str(), true, now.into(), age)
    }

    /// Returns what a browser needs to know of a bound session. The origin is left to the browser,
    /// which knows it also behind a proxy.
    pub(crate) fn instructions(&self, id: SessionId) -> Bytes {
        let instructions = serde_json::json!({
            "session_identifier": id,
            "refresh_url": self.refresh,
            "scope": { "include_site": false },
            "credentials": [{
                "type": "cookie",
                "name": self.cookie.name(),
                "attributes": self.attributes,
            }],
        });
        Bytes::from(instructions.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_absolute_and_plain() {
        for good in ["/session/device", "/a", "/a.b/c-d_~"] {
            assert!(is_path(good), "{good}");
        }
        for bad in [
            "", "/", "a", "/a/", "//a", "/a//b", "/a?b", "/a#b", "/a%20", "/a/../b", "/\"",
            "/\u{e9}",
        ] {
            assert!(!is_path(bad), "{bad}");
        }
    }

    #[test]
    fn a_cookie_is_sent_to_its_path_and_below() {
        for (scope, path, expected) in [
            ("Secure; Path=/; HttpOnly", "/session", true),
            ("Path=/app", "/app", true),
            ("Path=/app/", "/app/session", true),
            ("Path=/app", "/application", false),
            ("Path=/app", "/session", false),
        ] {
            assert_eq!(is_sent_to(scope, path), expected, "{scope} {path}");
        }
    }
}
