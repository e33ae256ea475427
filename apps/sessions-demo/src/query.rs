//! Reads query parameters strictly: an ambiguous or garbled one is an error, a missing or blank one
//! is not.

use percent_encoding::percent_decode_str;

use crate::failure::Failure;

/// The encoded query of a request.
pub(crate) struct Query<'a>(pub(crate) &'a str);

impl Query<'_> {
    /// The parameter's value; `None` if it is missing or blank.
    pub(crate) fn get(&self, name: &str) -> Result<Option<String>, Failure> {
        let mut found = None;
        for pair in self.0.split('&') {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            if decode(key).as_deref() != Some(name) {
                continue;
            }
            let value = decode(value).ok_or_else(|| {
                Failure::bad_request(format!("The '{name}' query parameter is not valid UTF-8"))
            })?;
            if found.replace(value).is_some() {
                return Err(Failure::bad_request(format!(
                    "The '{name}' query parameter is given more than once"
                )));
            }
        }
        Ok(found.filter(|value| !value.trim().is_empty()))
    }
}

fn decode(text: &str) -> Option<String> {
    let text = text.replace('+', " ");
    percent_decode_str(&text)
        .decode_utf8()
        .ok()
        .map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded() {
        for (query, value) in [
            ("user=max", Some("max")),
            ("a=1&user=max&b", Some("max")),
            ("user=a+b%20c%2B", Some("a b c+")),
            ("user=%F0%9F%8D%AA", Some("🍪")),
            ("us%65r=max", Some("max")),
            ("user=a=b", Some("a=b")),
            ("user=%zz", Some("%zz")),
            ("", None),
            ("user", None),
            ("user=", None),
            ("user=+%09", None),
            ("USER=max", None),
            ("%ff=1", None),
        ] {
            assert_eq!(
                Query(query).get("user").unwrap().as_deref(),
                value,
                "{query}"
            );
        }
    }

    #[test]
    fn the_ambiguous_and_the_garbled_are_refused() {
        for query in [
            "user=max&user=eve",
            "user=&user=max",
            "user=max&user",
            "user=%ff",
        ] {
            assert!(Query(query).get("user").is_err(), "{query}");
        }
    }
}
