//! Texts and times, as the page writes them.

use std::time::{Duration, SystemTime};

use maud::{Markup, html};
use tower_kr_session::Timestamp;

/// What somebody wrote. It doesn't turn the direction of the text around it.
pub(super) fn quoted(text: &str) -> Markup {
    html! { bdi { (text) } }
}

/// A time in UTC. The script writes it as the browser's clock has it.
pub(super) fn time(at: Timestamp) -> Markup {
    let text = rfc3339(at);
    html! { time datetime=(text) { (text.replace('T', " ").replace('Z', " UTC")) } }
}

/// A text, and the one that the script puts in its place when the ring has run down.
pub(super) fn until_over(text: &str, past: &str) -> Markup {
    html! { span data-past=(past) { (text) } }
}

/// As [`until_over`], but when a time has come.
pub(super) fn until(at: Timestamp, text: &str, past: &str) -> Markup {
    html! { span data-until=(rfc3339(at)) data-past=(past) { (text) } }
}

fn rfc3339(at: Timestamp) -> String {
    let millis = u64::try_from(at.as_unix_millis()).unwrap_or_default();
    humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + Duration::from_millis(millis))
        .to_string()
}

pub(super) fn shortened(value: &str) -> String {
    const MOST: usize = 200;
    match value.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}… ({} bytes)", &value[..end], value.len()),
        None => value.to_owned(),
    }
}
