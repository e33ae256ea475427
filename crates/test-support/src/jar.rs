//! A cookie jar.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderValue, header};

/// The cookies of one client by their names, which is enough for one host and one path.
#[derive(Clone, Debug, Default)]
pub struct Jar(BTreeMap<String, String>);

impl Jar {
    /// Does what the `Set-Cookie` headers of a response ask.
    ///
    /// # Panics
    /// If one is not text or has no name: no application under test may send that.
    pub fn keep(&mut self, response: &HeaderMap) {
        for cookie in response.get_all(header::SET_COOKIE) {
            self.set(cookie.to_str().expect("a cookie of text"));
        }
    }

    /// Does what one `Set-Cookie` value asks.
    ///
    /// # Panics
    /// If the cookie has no name.
    pub fn set(&mut self, cookie: &str) {
        let mut parts = cookie.split(';').map(str::trim);
        let pair = parts.next().unwrap_or_default();
        let (name, value) = pair.split_once('=').expect("a cookie with a name");
        if parts.any(|attribute| attribute == "Max-Age=0") {
            self.0.remove(name);
        } else {
            self.insert(name, value);
        }
    }

    /// The value of the `Cookie` header of the next request; `None` without cookies.
    ///
    /// # Panics
    /// If a value fits in no header.
    pub fn header(&self) -> Option<HeaderValue> {
        if self.0.is_empty() {
            return None;
        }
        let pairs: Vec<String> = self
            .0
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        Some(HeaderValue::from_str(&pairs.join("; ")).expect("cookies that fit in a header"))
    }

    /// The value of a cookie.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts a cookie in, as somebody would who has its value.
    pub fn insert(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.insert(name.into(), value.into());
    }

    /// Takes all cookies out.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}
