//! Reads the values of options. An error says what would be right.

use std::{net::IpAddr, ops::RangeInclusive, str::FromStr, time::Duration};

pub(crate) fn address(text: &str) -> Result<IpAddr, String> {
    text.parse()
        .map_err(|_| "write an IP address, as in 127.0.0.1, 0.0.0.0 or ::1".to_owned())
}

pub(crate) fn port(text: &str) -> Result<u16, String> {
    within(0..=u16::MAX, text)
}

pub(crate) fn sessions(text: &str) -> Result<u32, String> {
    within(1..=u32::MAX, text)
}

pub(crate) fn connections(text: &str) -> Result<u32, String> {
    within(1..=1_000_000, text)
}

fn within<T>(range: RangeInclusive<T>, text: &str) -> Result<T, String>
where
    T: FromStr + PartialOrd + std::fmt::Display,
{
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| format!("write a number from {} to {}", range.start(), range.end()))
}

pub(crate) fn switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err("write true or false".to_owned()),
    }
}

pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err("must be longer than zero".to_owned()),
        Ok(duration) => Ok(duration),
        Err(_) => Err("write a time with its unit, as in 20s, 10m or 500ms".to_owned()),
    }
}

/// A time for which the server waits. Nobody waits longer than an hour, and times near the end of
/// the clock overflow.
pub(crate) fn wait(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        time if time > Duration::from_secs(60 * 60) => Err("must be at most 1h".to_owned()),
        time => Ok(time),
    }
}

/// Writes a time as options take it, without units whose length varies: 400d, not years and months.
pub(crate) fn as_written(time: Duration) -> String {
    const DAY: u64 = 24 * 60 * 60;
    let days = time.as_secs() / DAY;
    let rest = time - Duration::from_secs(days * DAY);
    match (days, rest) {
        (0, rest) => humantime::format_duration(rest).to_string(),
        (days, Duration::ZERO) => format!("{days}d"),
        (days, rest) => format!("{days}d {}", humantime::format_duration(rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for text in ["500ms", "20s", "12h", "1d", "400d", "1d 30m", "1000000d 1s"] {
            assert_eq!(as_written(duration(text).unwrap()), text);
        }
    }

    #[test]
    fn switches_are_as_people_write_them() {
        for text in ["true", "TRUE", "yes", "on", "1"] {
            assert_eq!(switch(text), Ok(true));
        }
        for text in ["false", "no", "Off", "0"] {
            assert_eq!(switch(text), Ok(false));
        }
        assert!(switch("maybe").is_err());
    }
}
