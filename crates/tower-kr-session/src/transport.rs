//! Tokens in and out: the cookies or the header of a request, and the `Set-Cookie` or the header of
//! a response.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use kr_cookie::LIFETIME_LIMIT;
use time::OffsetDateTime;

use crate::{
    config::Config,
    model::{Timestamp, token_text::TokenText},
    site_data::CLEAR_SITE_DATA,
};

/// The most different tokens that a browser has reason to send. More are an attack with planted
/// cookies ("cookie tossing"), and would cost the store a load each.
const MAX_CANDIDATES: usize = 4;

/// The tokens that a request carries.
pub(crate) enum Candidates {
    None,
    One(TokenText),
    /// Two to [`MAX_CANDIDATES`] different ones.
    Several(Box<[TokenText]>),
    TooMany,
}

/// Finds the cookies or headers of the layer's name whose value can be a token. Everything else
/// counts as absent.
pub(crate) fn candidates(headers: &HeaderMap, config: &Config) -> Candidates {
    match &config.header {
        Some(header) => {
            let values = headers.get_all(header).iter();
            choose(values.filter_map(|value| TokenText::read(value.as_bytes())))
        }
        None => cookie_candidates(headers, config.cookie.name()),
    }
}

fn cookie_candidates(headers: &HeaderMap, name: &str) -> Candidates {
    let mut values = headers.get_all(header::COOKIE).iter();
    let Some(first) = values.next() else {
        return Candidates::None;
    };
    if let (None, Some(token)) = (values.next(), only_cookie(first.as_bytes(), name)) {
        return Candidates::One(token);
    }
    let named = kr_cookie::cookies(headers).filter(|cookie| cookie.name == name.as_bytes());
    choose(named.filter_map(|cookie| TokenText::read(cookie.value)))
}

/// Counts equal tokens once.
fn choose(mut found: impl Iterator<Item = TokenText>) -> Candidates {
    let Some(first) = found.next() else {
        return Candidates::None;
    };
    let Some(second) = found.find(|token| *token != first) else {
        return Candidates::One(first);
    };
    let mut several = vec![first, second];
    for token in found {
        if !several.contains(&token) {
            if several.len() == MAX_CANDIDATES {
                return Candidates::TooMany;
            }
            several.push(token);
        }
    }
    Candidates::Several(several.into())
}

/// Reads the token of a client that sends this cookie and no other. Reading it as a list of one
/// takes 15 ns longer.
fn only_cookie(value: &[u8], name: &str) -> Option<TokenText> {
    let value = value.strip_prefix(name.as_bytes())?;
    TokenText::read(value.strip_prefix(b"=")?)
}

/// The change of the cookie that a response carries.
#[derive(Debug)]
pub(crate) enum CookieChange {
    /// Sets a new token; `persistent_until` makes the cookie outlive the browser's session.
    Set {
        text: TokenText,
        persistent_until: Option<Timestamp>,
        /// What the browser may register its device with.
        #[cfg(feature = "device-bound")]
        challenge: Option<Box<crate::device::Secret>>,
    },
    Remove,
}

#[cfg(feature = "device-bound")]
impl CookieChange {
    /// Takes the offer back: the session that it was for is over.
    pub(crate) fn take_offer(&mut self) -> Option<Box<crate::device::Secret>> {
        match self {
            Self::Set { challenge, .. } => challenge.take(),
            Self::Remove => None,
        }
    }

    /// Keeps the offer of an earlier change of the same session, which was not sent yet.
    pub(crate) fn after(mut self, mut earlier: Self) -> Self {
        if let Self::Set { challenge, .. } = &mut self
            && challenge.is_none()
        {
            *challenge = earlier.take_offer();
        }
        self
    }

    /// Offers registration, or removes the bound cookie along with the session's.
    fn tell_device(&self, device: &crate::device::Device, headers: &mut HeaderMap, https: bool) {
        use crate::device::{REGISTRATION, registration};
        match self {
            Self::Set {
                challenge: Some(challenge),
                ..
            } => {
                let offer = registration(device.register_path(), challenge.as_str());
                headers.extend(offer.map(|offer| (REGISTRATION, offer)));
            }
            Self::Set { .. } => {}
            Self::Remove => drop(headers.append(header::SET_COOKIE, device.cookie.removal(https))),
        }
    }
}

/// Writes the change into the response, and keeps the response, which is already
/// [marked as private](mark_private), out of every cache (ASVS 5.0, 14.3.2).
pub(crate) fn send(
    change: &CookieChange,
    headers: &mut HeaderMap,
    config: &Config,
    https: bool,
) -> Result<(), kr_cookie::CookieError> {
    if let (CookieChange::Remove, Some(kinds)) = (change, &config.clear_site_data) {
        headers.append(CLEAR_SITE_DATA, kinds.clone());
    }
    match &config.header {
        Some(header) => headers.insert(header, header_value(change)),
        None => {
            headers.append(header::SET_COOKIE, set_cookie(change, config, https)?);
            #[cfg(feature = "device-bound")]
            if let Some(device) = &config.device {
                change.tell_device(device, headers, https);
            }
            None
        }
    };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    remove_targeted_cache_control(headers);
    Ok(())
}

fn set_cookie(
    change: &CookieChange,
    config: &Config,
    https: bool,
) -> Result<HeaderValue, kr_cookie::CookieError> {
    let cookie = &config.cookie;
    let CookieChange::Set {
        text,
        persistent_until,
        ..
    } = change
    else {
        return Ok(cookie.removal(https));
    };
    let text = text.as_str();
    let Some(until) = persistent_until else {
        // It has no Expires, which alone depends on the time.
        return cookie.render(text, https, OffsetDateTime::UNIX_EPOCH);
    };
    let now = config.now();
    if *until <= now {
        // A handler moved the deadline into the past: the session is over.
        return Ok(cookie.removal(https));
    }
    let age = until.saturating_duration_since(now).min(LIFETIME_LIMIT);
    cookie.render_with_max_age(text, https, now.into(), age)
}

/// The token for a client that keeps it itself; empty if it is to forget the one that it has.
fn header_value(change: &CookieChange) -> HeaderValue {
    match change {
        CookieChange::Set { text, .. } => {
            let mut value =
                HeaderValue::from_str(text.as_str()).expect("the alphabet is that of headers");
            value.set_sensitive(true);
            value
        }
        CookieChange::Remove => HeaderValue::from_static(""),
    }
}

/// Removes what a handler told certain caches alone, which counts for them before `Cache-Control`:
/// the targeted fields of RFC 9213, whose names end alike, and the two that are older.
fn remove_targeted_cache_control(headers: &mut HeaderMap) {
    let targeted: Vec<HeaderName> = headers
        .keys()
        .filter(|name| {
            let name = name.as_str();
            name.ends_with("-cache-control")
                || name == "surrogate-control"
                || name == "x-accel-expires"
        })
        .cloned()
        .collect();
    for name in targeted {
        headers.remove(name);
    }
}

const VARY_BY_COOKIE: HeaderValue = HeaderValue::from_static("Cookie");

/// Whom a response that depends on the session is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    /// Somebody without an account: their browser may keep it, and asks again before it shows it.
    Visitor,
    /// A user who signed in: after they signed out, not even the back button may show it (ASVS 5.0,
    /// 14.3.2).
    User,
}

impl Audience {
    const fn cache_control(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Visitor => "private, no-cache",
            Self::User => "no-store",
        })
    }
}

/// Marks a response that depends on the session: shared caches must keep apart the responses for
/// different tokens, or not keep them at all.
pub(crate) fn mark_private(headers: &mut HeaderMap, audience: Audience, config: &Config) {
    vary_by(headers, config.header.as_ref());
    keep_private(headers, audience);
}

/// By the cookies, or by the header that carries the token in their place.
fn vary_by(headers: &mut HeaderMap, header: Option<&HeaderName>) {
    // Added without a look, since most responses have none of them. A look first, through entries,
    // takes 45 ns instead of 20 on every response that used its session.
    let value = header.map_or(VARY_BY_COOKIE, |header| header.clone().into());
    if headers.append(header::VARY, value) && varied_by(headers, header.unwrap_or(&header::COOKIE))
    {
        take_back(headers, header::VARY);
    }
}

fn keep_private(headers: &mut HeaderMap, audience: Audience) {
    if headers.append(header::CACHE_CONTROL, audience.cache_control()) {
        take_back(headers, header::CACHE_CONTROL);
    }
}

/// Returns whether the handler's own values, all but the last one, already say so.
fn varied_by(headers: &HeaderMap, by: &HeaderName) -> bool {
    let by = by.as_str().as_bytes();
    headers
        .get_all(header::VARY)
        .iter()
        .rev()
        .skip(1)
        .any(|value| {
            value
                .as_bytes()
                .split(|byte| *byte == b',')
                .map(<[u8]>::trim_ascii)
                .any(|name| name == b"*" || name.eq_ignore_ascii_case(by))
        })
}

/// Removes the last value again.
fn take_back(headers: &mut HeaderMap, name: HeaderName) {
    let mut values: Vec<_> = headers.get_all(&name).iter().cloned().collect();
    values.pop();
    headers.remove(&name);
    for value in values {
        headers.append(&name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::token_text::TOKEN_CHARACTERS;

    const NAME: &str = "Kr.Session";

    fn headers(values: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::COOKIE, HeaderValue::from_bytes(value).unwrap());
        }
        headers
    }

    fn count(values: &[&[u8]]) -> usize {
        match cookie_candidates(&headers(values), NAME) {
            Candidates::None => 0,
            Candidates::One(_) => 1,
            Candidates::Several(several) => several.len(),
            Candidates::TooMany => usize::MAX,
        }
    }

    fn pair(fill: char) -> String {
        format!("{NAME}={}", fill.to_string().repeat(TOKEN_CHARACTERS))
    }

    #[test]
    fn only_an_exact_name_length_and_alphabet_count() {
        let token = "A".repeat(TOKEN_CHARACTERS);
        let long = "A".repeat(8_000);
        for bad in [
            String::new(),
            "Kr.Session".into(),
            "Kr.Session=".into(),
            format!("kr.session={token}"),
            format!("Kr.Session2={token}"),
            format!("xKr.Session={token}"),
            format!("Kr.Session={}", &token[1..]),
            format!("Kr.Session={token}A"),
            format!("Kr.Session={long}"),
            format!("Kr.Session=\"{token}\""),
            format!("Kr.Session={}+", &token[1..]),
            format!("Kr.Session={}=", &token[1..]),
            format!("Kr.Session={} ", &token[1..]),
            format!("Kr.Session={}%", &token[1..]),
            format!("Kr.Session={}\u{e9}", &token[2..]),
        ] {
            assert_eq!(count(&[bad.as_bytes()]), 0, "{bad}");
        }
        assert_eq!(count(&[pair('A').as_bytes()]), 1);
        assert_eq!(
            count(&[b"\xff\xfe; =x; ;;", pair('A').as_bytes(), b"\"; b=\""]),
            1
        );
        let between = format!("a=1; junk; Kr.Session=short; {}; b=2", pair('A'));
        assert_eq!(count(&[between.as_bytes()]), 1);
    }

    #[test]
    fn a_cookie_alone_is_read_as_one_of_several_would_be() {
        let long = format!("{}A", pair('A'));
        let texts = [
            pair('A'),
            long,
            format!("{} ", pair('A')),
            format!("{NAME} ={}", "A".repeat(TOKEN_CHARACTERS - 1)),
            format!("{NAME}={};", "A".repeat(TOKEN_CHARACTERS - 1)),
            format!("{NAME}=={}", "A".repeat(TOKEN_CHARACTERS - 1)),
            format!("{NAME}A{}", "=".repeat(TOKEN_CHARACTERS)),
            "A".repeat(NAME.len() + 1 + TOKEN_CHARACTERS),
        ];
        for text in texts {
            let beside = count(&[text.as_bytes(), b"a=1"]);
            assert_eq!(count(&[text.as_bytes()]), beside, "{text}");
        }
        assert_eq!(count(&[pair('A').as_bytes()]), 1);
    }

    #[test]
    fn equal_candidates_count_once_and_many_are_bounded() {
        let same = format!("{}; {}", pair('A'), pair('A'));
        assert_eq!(count(&[same.as_bytes(), pair('A').as_bytes()]), 1);
        let different: Vec<String> = ('A'..='Z').map(pair).collect();
        for number in 2..=MAX_CANDIDATES {
            assert_eq!(count(&[different[..number].join("; ").as_bytes()]), number);
        }
        assert_eq!(count(&[different[..5].join("; ").as_bytes()]), usize::MAX);
        let repeated = format!(
            "{}; {}",
            different[..4].join("; "),
            different[..4].join("; ")
        );
        assert_eq!(count(&[repeated.as_bytes()]), 4);
    }

    #[test]
    fn private_marks_add_what_is_missing_only() {
        let marked_for = |audience, vary: &[&'static str], cache: &[&'static str]| {
            let mut headers = HeaderMap::new();
            let own = [(header::VARY, vary), (header::CACHE_CONTROL, cache)];
            for (name, values) in &own {
                for value in *values {
                    headers.append(name, HeaderValue::from_static(value));
                }
            }
            vary_by(&mut headers, None);
            keep_private(&mut headers, audience);
            own.map(|(name, _)| {
                let values: Vec<_> = headers
                    .get_all(name)
                    .iter()
                    .map(|value| value.to_str().unwrap().to_owned())
                    .collect();
                values.join("|")
            })
        };
        let marked = |vary: &[_], cache: &[_]| marked_for(Audience::Visitor, vary, cache);
        assert_eq!(marked(&[], &[]), ["Cookie", "private, no-cache"]);
        assert_eq!(marked_for(Audience::User, &[], &[]), ["Cookie", "no-store"]);
        assert_eq!(marked_for(Audience::User, &[], &["private"])[1], "private");
        assert_eq!(marked(&["Accept"], &[])[0], "Accept|Cookie");
        assert_eq!(marked(&["accept , cookie"], &[])[0], "accept , cookie");
        assert_eq!(marked(&["Accept", "Cookie"], &[])[0], "Accept|Cookie");
        assert_eq!(marked(&["COOKIE", "Accept"], &[])[0], "COOKIE|Accept");
        assert_eq!(marked(&["Cookies"], &[])[0], "Cookies|Cookie");
        assert_eq!(marked(&["*"], &[])[0], "*");
        assert_eq!(marked(&[], &["no-store"])[1], "no-store");
        assert_eq!(marked(&[], &["a", "b"])[1], "a|b");
    }
}
