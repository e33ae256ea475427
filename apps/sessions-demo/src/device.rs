//! Names the browser and the system that a request comes from, for the list of a user's sessions.

use http::{HeaderMap, header::USER_AGENT};

/// Marks in a `User-Agent`, the more particular ones first: Edge and Opera also say `Chrome/`, and
/// Chrome says `Safari/`.
const BROWSERS: [(&str, &str); 8] = [
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
];

/// Android also says `Linux`, and an iPhone `Mac OS X`.
const SYSTEMS: [(&str, &str); 7] = [
    ("Android", "Android"),
    ("iPhone", "iOS"),
    ("iPad", "iPadOS"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
];

/// Returns a name such as "Firefox on Linux". It has words of this file alone: what a header says
/// is shown to nobody.
pub(crate) fn name(headers: &HeaderMap) -> String {
    let agent = headers.get(USER_AGENT);
    let agent = agent.and_then(|agent| agent.to_str().ok());
    let agent = agent.unwrap_or_default();
    let find = |marks: &[(&str, &'static str)]| {
        let found = marks.iter().find(|(mark, _)| agent.contains(mark));
        found.map(|(_, name)| *name)
    };
    match (find(&BROWSERS), find(&SYSTEMS)) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(browser), None) => browser.to_owned(),
        (None, Some(system)) => format!("a program on {system}"),
        (None, None) => "an unknown device".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn of(agent: &[u8]) -> String {
        let agent = HeaderValue::from_bytes(agent).expect("a header value");
        name(&HeaderMap::from_iter([(USER_AGENT, agent)]))
    }

    #[test]
    fn the_more_particular_mark_counts() {
        let chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
                      Chrome/146.0.0.0 Safari/537.36";
        assert_eq!(of(chrome.as_bytes()), "Chrome on Linux");
        assert_eq!(
            of(format!("{chrome} Edg/146.0").as_bytes()),
            "Edge on Linux"
        );
        let phone = "Mozilla/5.0 (Linux; Android 16) Gecko/140.0 Firefox/140.0";
        assert_eq!(of(phone.as_bytes()), "Firefox on Android");
        let safari = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1 \
                      (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1";
        assert_eq!(of(safari.as_bytes()), "Safari on iOS");
        assert_eq!(of(b"curl/8.14"), "curl");
    }

    #[test]
    fn what_a_header_says_is_not_shown() {
        assert_eq!(of(b"<script>alert(1)</script>"), "an unknown device");
        assert_eq!(of(b"\xff\xfe Windows"), "an unknown device");
        assert_eq!(of(b"Evil/1.0 (Windows)"), "a program on Windows");
        assert_eq!(name(&HeaderMap::new()), "an unknown device");
    }
}
