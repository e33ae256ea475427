//! Tells the next page what the last action did.
//!
//! The notice travels in a short-lived cookie, so that it works without a session too.

use std::{
    convert::Infallible,
    time::{Duration, SystemTime},
};

use axum::{
    extract::{FromRef, FromRequestParts, State},
    response::Response,
};
use http::{HeaderMap, HeaderValue, header, request::Parts};
use kr_cookie::{CookieBuilder, CookieTemplate, SameSite, SecurePolicy};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};
use tower_kr_session::ConfigError;

use super::{action::Action, remark::Remark};

/// The name of the cookie. The session cookie can't have it too.
pub(crate) const NOTICE_COOKIE: &str = "Kr.Notice";

/// Writes and reads the cookie that carries a notice to the next page.
#[derive(Clone)]
pub(super) struct Notices {
    cookie: CookieTemplate,
    https: bool,
}

/// What the last action did.
#[derive(Default)]
pub(super) struct Notice {
    pub(super) action: Option<Action>,
    pub(super) remark: Option<Remark>,
    /// The `Set-Cookie` header of its session cookie, without the value.
    pub(super) set_cookie: Option<String>,
}

/// Marks the response of a page that shows a notice, or doesn't.
#[derive(Clone, Copy)]
pub(super) struct Seen(bool);

impl Notices {
    pub(super) fn new(https: bool) -> Result<Self, ConfigError> {
        let cookie = CookieBuilder::new(NOTICE_COOKIE)
            .same_site(SameSite::Strict)
            .secure_policy(SecurePolicy::SameAsRequest)
            .max_age(Duration::from_secs(60))
            .build()?;
        Ok(Self { cookie, https })
    }

    fn read(&self, headers: &HeaderMap) -> Option<Notice> {
        let name = self.cookie.name().as_bytes();
        let cookie = kr_cookie::cookies(headers).find(|cookie| cookie.name == name)?;
        let text = percent_decode(cookie.value).decode_utf8().ok()?;
        let (action, rest) = text.split_once(' ')?;
        let (remark, set_cookie) = rest.split_once(' ')?;
        Some(Notice {
            action: Action::from_name(action),
            remark: Remark::from_name(remark),
            set_cookie: (!set_cookie.is_empty()).then(|| set_cookie.to_owned()),
        })
    }

    fn write(
        &self,
        action: Action,
        remark: Option<Remark>,
        set_cookie: Option<&HeaderValue>,
    ) -> Option<HeaderValue> {
        let set_cookie = set_cookie.and_then(without_value).unwrap_or_default();
        let remark = remark.map_or("-", Remark::name);
        let text = format!("{} {remark} {set_cookie}", action.name());
        let value = utf8_percent_encode(&text, NON_ALPHANUMERIC).to_string();
        self.cookie
            .render(&value, self.https, SystemTime::now().into())
            .ok()
    }
}

impl Notice {
    pub(super) const fn seen(&self) -> Seen {
        Seen(self.action.is_some())
    }
}

/// Replaces the token in `name=token; attributes`, so that no page shows it.
fn without_value(set_cookie: &HeaderValue) -> Option<String> {
    let (pair, attributes) = set_cookie.to_str().ok()?.split_once("; ")?;
    let (name, value) = pair.split_once('=')?;
    let value = if value.is_empty() { "" } else { "…" };
    Some(format!("{name}={value}; {attributes}"))
}

/// Sets the notice after an action, and removes it once a page has shown it.
pub(super) async fn leave(State(notices): State<Notices>, mut response: Response) -> Response {
    let action = response.extensions().get::<Action>().copied();
    let remark = response.extensions().get::<Remark>().copied();
    let seen = response.extensions().get::<Seen>().copied();
    let headers = response.headers_mut();
    let cookie = match (action, seen) {
        (Some(action), _) => notices.write(action, remark, headers.get(header::SET_COOKIE)),
        (None, Some(Seen(true))) => Some(notices.cookie.removal(notices.https)),
        (None, _) => None,
    };
    if let Some(cookie) = cookie {
        headers.append(header::SET_COOKIE, cookie);
    }
    response
}

impl<S: Send + Sync> FromRequestParts<S> for Notice
where
    Notices: FromRef<S>,
{
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let notices = Notices::from_ref(state);
        Ok(notices.read(&parts.headers).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_holds_no_token() {
        let set = HeaderValue::from_static("id=c2VjcmV0; Secure; Path=/");
        assert_eq!(without_value(&set).unwrap(), "id=…; Secure; Path=/");
        let removal = HeaderValue::from_static("id=; Max-Age=0; Path=/");
        assert_eq!(without_value(&removal).unwrap(), "id=; Max-Age=0; Path=/");
    }

    #[test]
    fn a_notice_arrives_as_it_was_written() {
        let notices = Notices::new(true).unwrap();
        let set = HeaderValue::from_static("id=c2VjcmV0; Secure; Path=/");
        let remark = Some(Remark::Renewed);
        let cookie = notices.write(Action::RevokeOthers, remark, Some(&set));
        let cookie = cookie.unwrap();
        let pair = cookie.to_str().unwrap().split(';').next().unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, pair.parse().unwrap());
        let notice = notices.read(&headers).unwrap();
        assert_eq!(notice.action, Some(Action::RevokeOthers));
        assert_eq!(notice.remark, remark);
        assert_eq!(notice.set_cookie.unwrap(), "id=…; Secure; Path=/");
    }

    #[test]
    fn garbage_is_no_notice() {
        let notices = Notices::new(true).unwrap();
        for garbage in [
            "Kr.Notice=",
            "Kr.Notice=%ff",
            "Kr.Notice=counter",
            "Kr.Notice=counter%20",
            "other=counter%20-%20",
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, garbage.parse().unwrap());
            assert!(notices.read(&headers).is_none(), "{garbage}");
        }
    }
}
