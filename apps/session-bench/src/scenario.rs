//! Scenarios: what a request does with its session.

use axum::http::{HeaderValue, Uri};
use clap::ValueEnum;

use crate::{
    candidate::Candidate,
    drive::{Driver, Target, cookies_of},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// The handler ignores the session, and the request has no cookie.
    UntouchedNoCookie,
    /// The handler ignores the session of the request's cookie.
    UntouchedCookie,
    /// The handler reads one small value.
    Read,
    /// The handler increments a counter, with the best call that the layer has for it.
    Increment,
    /// The handler reads a value and writes another one.
    ReadWrite,
    /// The handler starts a session.
    New,
    /// The handler reads one text of a session that has this many.
    ReadOf1,
    ReadOf10,
    ReadOf100,
    /// The handler replaces one text of a session that has this many, without reading it.
    WriteOf1,
    WriteOf10,
    WriteOf100,
}

impl Scenario {
    /// The scenarios on a session with one small value.
    pub const SMALL: [Self; 6] = [
        Self::UntouchedNoCookie,
        Self::UntouchedCookie,
        Self::Read,
        Self::Increment,
        Self::ReadWrite,
        Self::New,
    ];

    /// The scenarios on sessions of several sizes.
    pub const SIZES: [Self; 6] = [
        Self::ReadOf1,
        Self::ReadOf10,
        Self::ReadOf100,
        Self::WriteOf1,
        Self::WriteOf10,
        Self::WriteOf100,
    ];

    pub fn all() -> &'static [Self] {
        Self::value_variants()
    }

    /// Returns the name in tables.
    pub const fn title(self) -> &'static str {
        match self {
            Self::UntouchedNoCookie => "untouched, no cookie",
            Self::UntouchedCookie => "untouched, cookie",
            Self::Read => "read",
            Self::Increment => "increment",
            Self::ReadWrite => "read+write",
            Self::New => "new session",
            Self::ReadOf1 => "read 1 of 1",
            Self::ReadOf10 => "read 1 of 10",
            Self::ReadOf100 => "read 1 of 100",
            Self::WriteOf1 => "write 1 of 1",
            Self::WriteOf10 => "write 1 of 10",
            Self::WriteOf100 => "write 1 of 100",
        }
    }

    /// Returns the name on the command line and in the budgets.
    pub fn key(self) -> String {
        self.to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned())
    }

    const fn path(self) -> &'static str {
        match self {
            Self::UntouchedNoCookie | Self::UntouchedCookie => "/untouched",
            Self::Read => "/read",
            Self::Increment => "/increment",
            Self::ReadWrite => "/read-write",
            Self::New => "/new",
            Self::ReadOf1 | Self::ReadOf10 | Self::ReadOf100 => "/get-text",
            Self::WriteOf1 | Self::WriteOf10 | Self::WriteOf100 => "/set-text",
        }
    }

    /// Returns the path that starts a session for the scenario, or `None` if the request has no
    /// cookie.
    const fn seed(self) -> Option<&'static str> {
        match self {
            Self::UntouchedNoCookie | Self::New => None,
            Self::UntouchedCookie | Self::Read | Self::Increment | Self::ReadWrite => Some("/new"),
            Self::ReadOf1 | Self::WriteOf1 => Some("/seed-1"),
            Self::ReadOf10 | Self::WriteOf10 => Some("/seed-10"),
            Self::ReadOf100 | Self::WriteOf100 => Some("/seed-100"),
        }
    }

    /// Starts the session that the request needs, if the candidate keeps sessions, and returns the
    /// request.
    pub fn prepare(self, candidate: Candidate, driver: &mut Driver) -> Target {
        if candidate.keeps_sessions() {
            return self.target(driver);
        }
        let cookie = self.seed().map(|_| cookie_without_session());
        Target::new(Uri::from_static(self.path()), cookie)
    }

    /// Starts the session that the request needs, and returns the request.
    pub fn target(self, driver: &mut Driver) -> Target {
        let cookie = self.seed().map(|path| start(driver, path));
        Target::new(Uri::from_static(self.path()), cookie)
    }
}

/// A cookie as long as ours, in memory of its own as they all are: a static one would cost the
/// driver 15 ns less.
pub fn cookie_without_session() -> HeaderValue {
    HeaderValue::from_str(concat!(
        "__Host-Kr.Session=",
        "AZrP0000cACAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    ))
    .expect("a header value")
}

/// Starts a session and returns its cookies.
pub fn start(driver: &mut Driver, path: &'static str) -> HeaderValue {
    let response = driver.send(&Target::new(Uri::from_static(path), None));
    cookies_of(&response).expect("a new session has a cookie")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All candidates must do the same work.
    #[test]
    fn every_candidate_counts() {
        for candidate in Candidate::with_sessions() {
            let mut driver = Driver::new(|| candidate.router());
            let cookie = start(&mut driver, "/new");
            let mut send = |path| {
                let target = Target::new(Uri::from_static(path), Some(cookie.clone()));
                driver.send(&target).into_body()
            };
            for path in [
                "/increment",
                "/read-write",
                "/increment",
                "/read",
                "/untouched",
            ] {
                assert_eq!(send(path), "ok");
            }
            assert_eq!(send("/counter"), "4", "{candidate:?}");
        }
    }
}
