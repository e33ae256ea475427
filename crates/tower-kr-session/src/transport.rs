//! Cookies in and out: the tokens of a request, and the `Set-Cookie` of a response.

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

/// The tokens among the cookies of a request.
pub(crate) enum Candidates {
    None,
    One(TokenText),
    /// Two to [`MAX_CANDIDATES`] different ones.
    Several(Box<[TokenText]>),
    TooMany,
}

/// Finds the cookies of this name whose value can be a token. Everything else counts as absent.
pub(crate) fn candidates(headers: &HeaderMap, name: &str) -> Candidates {
    let mut values = headers.get_all(header::COOKIE).iter();
    let Some(first) = values.next() else {
        return Candidates::None;
    };
    if let (None, Some(token)) = (values.next(), only_cookie(first.as_bytes(), name)) {
        return Candidates::One(token);
    }
    let mut found = kr_cookie::cookies(headers)
        .filter(|cookie| cookie.name == name.as_bytes())
        .filter_map(|cookie| TokenText::read(cookie.value));
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
    },
    Remove,
}

/// Writes the change into the response, and keeps the response, which is already
/// [marked as private](mark_private), out of every cache (ASVS 5.0, 14.3.2).
pub(crate) fn send(
    change: &CookieChange,
    headers: &mut HeaderMap,
    config: &Config,
    https: bool,
) -> Result<(), kr_cookie::CookieError> {
    let value = match change {
        CookieChange::Remove => {
            if let Some(kinds) = &config.clear_site_data {
                headers.append(CLEAR_SITE_DATA, kinds.clone());
            }
            config.cookie.removal(https)
        }
        CookieChange::Set {
            text,
            persistent_until,
        } => {
            let text = text.as_str();
            match persistent_until {
                None if !config.cookie.depends_on_time() => {
                    config
                        .cookie
                        .render(text, https, OffsetDateTime::UNIX_EPOCH)?
                }
                None => config.cookie.render(text, https, config.now().into())?,
                // A handler moved the deadline into the past: the session is over.
                Some(until) if *until <= config.now() => config.cookie.removal(https),
                Some(until) => {
                    let now = config.now();
                    let age = until.saturating_duration_since(now).min(LIFETIME_LIMIT);
                    config
                        .cookie
                        .render_with_max_age(text, https, now.into(), age)?
                }
            }
        }
    };
    headers.append(header::SET_COOKIE, value);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    remove_targeted_cache_control(headers);
    Ok(())
}

/// Removes what a handler told certain caches alone, which counts for them before `Cache-Control`: the
/// targeted fields of RFC 9213, whose names end alike, and the two that are older.
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

const VARY_BY: HeaderValue = HeaderValue::from_static("Cookie");
const KEEP_PRIVATE: HeaderValue = HeaderValue::from_static("private, no-cache");

/// Marks a response that depends on the session: shared caches must keep apart the responses for
/// different cookies, or not keep them at all.
pub(crate) fn mark_private(headers: &mut HeaderMap) {
    // Added without a look, since most responses have none of them. A look first, through entries,
    // takes 45 ns instead of 20 on every response that used its session.
    if headers.append(header::VARY, VARY_BY) && varied_by_cookie(headers) {
        take_back(headers, header::VARY);
    }
    if headers.append(header::CACHE_CONTROL, KEEP_PRIVATE) {
        take_back(headers, header::CACHE_CONTROL);
    }
}

/// Returns whether the handler's own values, all but the last one, already say so.
fn varied_by_cookie(headers: &HeaderMap) -> bool {
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
                .any(|name| name == b"*" || name.eq_ignore_ascii_case(b"cookie"))
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
        match candidates(&headers(values), NAME) {
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
        let marked = |vary: &[&'static str], cache: &[&'static str]| {
            let mut headers = HeaderMap::new();
            let own = [(header::VARY, vary), (header::CACHE_CONTROL, cache)];
            for (name, values) in &own {
                for value in *values {
                    headers.append(name, HeaderValue::from_static(value));
                }
            }
            mark_private(&mut headers);
            own.map(|(name, _)| {
                let values: Vec<_> = headers
                    .get_all(name)
                    .iter()
                    .map(|value| value.to_str().unwrap().to_owned())
                    .collect();
                values.join("|")
            })
        };
        assert_eq!(marked(&[], &[]), ["Cookie", "private, no-cache"]);
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
