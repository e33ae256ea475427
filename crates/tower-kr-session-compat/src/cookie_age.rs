//! The age of the session cookie, which follows the expiry of tower-sessions.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue, header};
use time::OffsetDateTime;
use tower_kr_session::cookie::{CookieTemplate, parse};

/// The age that a bridge asks for; `None`: the cookie ends with the browser's session. Left in the
/// extensions of a response whose session was saved.
#[derive(Clone, Copy)]
pub(crate) struct CookieAge(pub(crate) Option<Duration>);

/// The length of a token.
const TOKEN_CHARACTERS: usize = 64;

/// Returns whether a cookie's value can be a token.
pub(crate) const fn may_be_token(value: &[u8]) -> bool {
    value.len() == TOKEN_CHARACTERS
}

/// The one token among these `Cookie` headers.
pub(crate) fn sent_token<'a>(
    sent: impl Iterator<Item = &'a HeaderValue>,
    name: &str,
) -> Option<String> {
    let mut tokens = sent
        .flat_map(|header| parse(header.as_bytes()))
        .filter(|cookie| cookie.name == name.as_bytes() && may_be_token(cookie.value))
        .map(|cookie| cookie.value);
    let first = tokens.next()?;
    if tokens.any(|token| token != first) {
        return None;
    }
    String::from_utf8(first.to_vec()).ok()
}

/// Gives the session cookie of a response this age. Returns `false` if the response has no such
/// cookie.
pub(crate) fn set_age(
    response: &mut HeaderMap,
    cookie: &CookieTemplate,
    age: Option<Duration>,
) -> bool {
    let set = response
        .iter_mut()
        .filter(|(header, _)| *header == header::SET_COOKIE);
    for (_, value) in set {
        let Some(token) = token_of(value, cookie.name()) else {
            continue;
        };
        if !token.is_empty() {
            let token = token.to_owned();
            write(value, cookie, &token, age);
        }
        return true;
    }
    false
}

/// Returns whether a response has a session cookie, or removes it.
pub(crate) fn has_cookie(response: &HeaderMap, name: &str) -> bool {
    let mut set = response.get_all(header::SET_COOKIE).iter();
    set.any(|value| token_of(value, name).is_some())
}

/// Sends a token, which the response doesn't set by itself.
pub(crate) fn send(
    response: &mut HeaderMap,
    cookie: &CookieTemplate,
    token: &str,
    age: Option<Duration>,
) {
    let mut value = HeaderValue::from_static("");
    if write(&mut value, cookie, token, age) {
        response.append(header::SET_COOKIE, value);
        let no_store = HeaderValue::from_static("no-store");
        response.insert(header::CACHE_CONTROL, no_store);
    }
}

fn write(
    value: &mut HeaderValue,
    cookie: &CookieTemplate,
    token: &str,
    age: Option<Duration>,
) -> bool {
    // The policies of tower-sessions don't depend on the request.
    let (https, now) = (true, OffsetDateTime::from(SystemTime::now()));
    let rendered = match age {
        None => cookie.render(token, https, now),
        Some(age) => cookie.render_with_max_age(token, https, now, age),
    };
    match rendered {
        Ok(rendered) => {
            *value = rendered;
            true
        }
        Err(error) => {
            tracing::error!(%error, "could not write the session cookie");
            false
        }
    }
}

/// The value of a `Set-Cookie` header of this name.
fn token_of<'a>(value: &'a HeaderValue, name: &str) -> Option<&'a str> {
    let value = value.to_str().ok()?.strip_prefix(name)?;
    let value = value.strip_prefix('=')?;
    Some(value.split(';').next().unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use tower_kr_session::cookie::CookieBuilder;

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn response(values: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::SET_COOKIE, HeaderValue::from_static(value));
        }
        headers
    }

    fn aged(values: &[&'static str], age: Option<Duration>) -> Vec<String> {
        let cookie = CookieBuilder::new("id").build().unwrap();
        let mut headers = response(values);
        let found = set_age(&mut headers, &cookie, age);
        assert_eq!(found, has_cookie(&headers, "id"));
        let set = headers.get_all(header::SET_COOKIE).iter();
        set.map(|value| value.to_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn only_the_session_cookie_changes_its_age() {
        let other = "idea=1; Max-Age=5";
        assert_eq!(
            aged(
                &[other, "id=abc; Max-Age=34560000; Secure; Path=/"],
                Some(DAY)
            ),
            [
                other,
                "id=abc; Max-Age=86400; Secure; Path=/; HttpOnly; SameSite=Lax"
            ]
        );
        assert_eq!(
            aged(&["id=abc; Max-Age=34560000"], None),
            ["id=abc; Secure; Path=/; HttpOnly; SameSite=Lax"]
        );
        for kept in ["id=; Max-Age=0", other] {
            assert_eq!(aged(&[kept], Some(DAY)), [kept]);
        }
    }

    #[test]
    fn one_token_is_sent_or_it_is_not_known_which() {
        let sent = |cookie: &str| sent_token([cookie.parse().unwrap()].iter(), "id");
        let (a, b) = ("a".repeat(64), "b".repeat(64));
        assert_eq!(sent(&format!("x=1; id={a}; id=old")), Some(a.clone()));
        assert_eq!(sent(&format!("id={a}; id={a}")), Some(a.clone()));
        assert_eq!(sent(&format!("id={a}; id={b}")), None);
        assert_eq!(sent("id=old"), None);
    }
}
