//! The header fields between a browser and the endpoints (Device Bound Session Credentials).

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::model::SessionId;

/// Offers registration, in the response to a sign-in.
pub(crate) const REGISTRATION: HeaderName = HeaderName::from_static("secure-session-registration");
/// The next challenge, in responses of the endpoints.
pub(crate) const CHALLENGE: HeaderName = HeaderName::from_static("secure-session-challenge");
/// The proof, in requests to the endpoints.
pub(crate) const RESPONSE: HeaderName = HeaderName::from_static("secure-session-response");
/// The session that a browser wants to refresh. No script can send a header whose name begins so.
pub(crate) const ID: HeaderName = HeaderName::from_static("sec-secure-session-id");
/// Why a request comes without a fresh proof.
pub(crate) const SKIPPED: HeaderName = HeaderName::from_static("secure-session-skipped");

/// Why a browser sent a request without a fresh proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Skipped {
    Unreachable,
    ServerError,
    QuotaExceeded,
    Other,
}

impl Skipped {
    /// Reads the reason that a request gives, if it gives one.
    pub(crate) fn read(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(SKIPPED)?.as_bytes();
        let end = value.iter().position(|byte| b",; \t".contains(byte));
        Some(match &value[..end.unwrap_or(value.len())] {
            b"unreachable" => Self::Unreachable,
            b"server_error" => Self::ServerError,
            b"quota_exceeded" => Self::QuotaExceeded,
            _ => Self::Other,
        })
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::ServerError => "server_error",
            Self::QuotaExceeded => "quota_exceeded",
            Self::Other => "other",
        }
    }
}

/// Returns the offer of a registration at this path.
pub(crate) fn registration(path: &str, challenge: &str) -> Option<HeaderValue> {
    sensitive(format!(
        "(ES256 RS256);path=\"{path}\";challenge=\"{challenge}\""
    ))
}

/// Returns the next challenge of a session. Browsers ignore one without the id.
pub(crate) fn challenge(challenge: &str, id: SessionId) -> Option<HeaderValue> {
    sensitive(format!("\"{challenge}\";id=\"{id}\""))
}

fn sensitive(text: String) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Reads a field that comes once, as a bare text or in quotes: the specification and browsers don't
/// agree on that yet.
pub(crate) fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().filter(|_| values.next().is_none())?;
    let value = value.as_bytes();
    let quoted = value.strip_prefix(b"\"");
    Some(match quoted.and_then(|value| value.strip_suffix(b"\"")) {
        Some(unquoted) => unquoted,
        None => value,
    })
}

/// Reads the id of the session that a request wants to refresh.
pub(crate) fn id(headers: &HeaderMap) -> Option<SessionId> {
    str::from_utf8(only(headers, &ID)?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    fn headers(name: &HeaderName, values: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn a_field_comes_once_bare_or_in_quotes() {
        for (values, expected) in [
            (&["abc"][..], Some(&b"abc"[..])),
            (&["\"abc\""], Some(b"abc")),
            (&["\""], Some(b"\"")),
            (&[""], Some(b"")),
            (&["abc", "abc"], None),
            (&[], None),
        ] {
            assert_eq!(only(&headers(&RESPONSE, values), &RESPONSE), expected);
        }
    }

    #[test]
    fn an_id_is_that_of_a_session() {
        let known = "01890a5d-ac96-774b-bcce-b302099a8057";
        assert_eq!(id(&headers(&ID, &[known])), known.parse().ok());
        assert_eq!(id(&headers(&ID, &["x"])), None);
        assert_eq!(id(&HeaderMap::new()), None);
    }

    #[test]
    fn the_reason_of_a_skipped_proof_is_one_of_a_few() {
        for (value, expected) in [
            ("unreachable", Skipped::Unreachable),
            ("server_error;x=\"y\"", Skipped::ServerError),
            ("quota_exceeded, unreachable", Skipped::QuotaExceeded),
            ("", Skipped::Other),
            ("whatever", Skipped::Other),
        ] {
            let read = Skipped::read(&headers(&SKIPPED, &[value]));
            assert_eq!(read, Some(expected), "{value}");
        }
        assert_eq!(Skipped::read(&HeaderMap::new()), None);
    }

    #[test]
    fn the_offer_and_the_challenge_are_what_browsers_take() {
        let offer = registration("/session/device/register", "abc").unwrap();
        assert!(offer.is_sensitive());
        assert_eq!(
            offer,
            "(ES256 RS256);path=\"/session/device/register\";challenge=\"abc\""
        );
        let id = SessionId::generate(Timestamp::from_unix_millis(0));
        let next = challenge("abc", id).unwrap();
        assert_eq!(next, format!("\"abc\";id=\"{id}\"").as_str());
    }
}
