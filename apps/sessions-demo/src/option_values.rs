//! Reads the values of options. An error says what would be right.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    str::FromStr,
    time::Duration,
};

pub(crate) fn address(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| match text.parse::<SocketAddr>() {
        Ok(both) => format!(
            "write the address alone, and give {} to --port",
            both.port()
        ),
        Err(_) => "write an IP address, as in 127.0.0.1, 0.0.0.0 or ::1".to_owned(),
    })
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

/// A time that an option gives. Messages repeat it as it was written: `24h` is no `1d` there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Time {
    duration: Duration,
    written: String,
}

impl Time {
    pub(crate) fn hours(hours: u32) -> Self {
        Self {
            duration: Duration::from_secs(3600) * hours,
            written: format!("{hours}h"),
        }
    }

    pub(crate) fn duration(&self) -> Duration {
        self.duration
    }
}

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match humantime::parse_duration(text) {
            Ok(Duration::ZERO) => Err("must be longer than zero".to_owned()),
            Ok(duration) => Ok(Self {
                duration,
                // A line break in it would break the line of a message.
                written: text.split_whitespace().collect::<Vec<_>>().join(" "),
            }),
            Err(_) => Err("write a time with its unit, as in 20s, 10m or 500ms".to_owned()),
        }
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

/// A time for which the server waits. Nobody waits longer than an hour, and times near the end of
/// the clock overflow.
pub(crate) fn wait(text: &str) -> Result<Time, String> {
    match text.parse::<Time>()? {
        time if time.duration > Duration::from_secs(60 * 60) => {
            Err("must be at most 1h".to_owned())
        }
        time => Ok(time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_repeated_as_it_was_written() {
        for text in ["500ms", "24h", "1d", "90 min", "400d", "1d 30m", "1.5h"] {
            assert_eq!(text.parse::<Time>().unwrap().to_string(), text);
        }
        let time: Time = " 1d\n 30m ".parse().unwrap();
        assert_eq!(time.to_string(), "1d 30m");
        assert_eq!(time.duration(), Duration::from_secs(24 * 3600 + 30 * 60));
    }

    #[test]
    fn a_port_beside_the_address_has_an_option_of_its_own() {
        let says = |text| address(text).unwrap_err();
        assert_eq!(
            says("0.0.0.0:8080"),
            "write the address alone, and give 8080 to --port"
        );
        assert!(says("localhost").starts_with("write an IP address"));
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
